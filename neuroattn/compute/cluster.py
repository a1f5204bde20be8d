"""The Dask cluster of a command's options.

Whoever reaches a scheduler can run code as the user of its workers. A local cluster therefore speaks TLS with a key
that never leaves its processes, listens on the loopback only, and serves no pages. A scheduler that the user names is
trusted as it is: run it with TLS (``distributed.comm.tls`` in Dask's configuration) wherever others can reach it.
"""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

_LOOPBACK = "127.0.0.1"
_NO_PAGES: dict[str, list[str]] = {f"distributed.{server}.http.routes": [] for server in ("scheduler", "worker")}


@contextmanager
def dask_client(workers: int, address: str | None) -> Iterator[Client]:
    """Connect to a running cluster, or to a local one that ends with the block.

    Parameters
    ----------
    workers
        Processes of one thread each in the local cluster; unused with an address.
    address
        Of a scheduler: tcp://HOST:PORT, or tls://HOST:PORT with the certificates that Dask's configuration names.

    Raises
    ------
    ValueError
        If no scheduler answers there.
    """
    import dask
    import distributed

    # Whoever waits for a lost scheduler reports it in a line; the log would add a traceback.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # Workers that take more than four seconds to end, as on a busy machine, are killed: not worth a word.
    logging.getLogger("distributed.nanny").setLevel(logging.ERROR)
    # A default client would compute everybody's dask arrays in this process, and stay set when it is gone.
    connect = functools.partial[Any](distributed.Client, set_as_default=False)
    if address is not None:
        try:
            client = connect(address, timeout="10s")
        except (OSError, ValueError, TypeError, AssertionError) as error:  # the last two where certificates do not fit
            reason = str(error) or "refused; do its certificates fit?"
            raise ValueError(
                f"dask must be the address of a running scheduler, got {address!r} ({reason}); start one with "
                "`dask scheduler`"
            ) from error
        with client:
            yield client
        return
    local: Any = distributed.LocalCluster
    with (
        dask.config.set(_NO_PAGES),
        local(
            n_workers=workers,
            threads_per_worker=1,
            host=_LOOPBACK,
            security=True,
            # Dask always starts its web server: on a free port, without the dashboard.
            dashboard_address=f"{_LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        connect(cluster) as client,
    ):
        yield client
