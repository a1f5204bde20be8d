"""The Dask cluster that a command's options ask for."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client


@contextmanager
def dask_client(workers: int, address: str | None) -> Iterator[Client]:
    """Connect to a running cluster, or to a local one that goes with the block.

    Parameters
    ----------
    workers
        Processes of the local cluster, each of one thread, where no address is given.
    address
        Of a scheduler (tcp://HOST:PORT).

    Raises
    ------
    ValueError
        If no scheduler answers there.
    """
    import distributed

    # A lost scheduler is told by whoever waits for it, in a line; the log would add a traceback.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # On a busy machine workers may take more than its four seconds to end, and are ended: nobody need know.
    logging.getLogger("distributed.nanny").setLevel(logging.ERROR)
    connect: Any = distributed.Client  # without annotations
    if address is not None:
        try:
            client = connect(address, timeout="10s")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"dask must be the address of a running scheduler, got {address!r} ({error}); start one with "
                "`dask scheduler`"
            ) from error
        with client:
            yield client
        return
    local: Any = distributed.LocalCluster
    with local(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster, connect(cluster) as client:
        yield client
