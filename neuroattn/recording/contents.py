"""What a streamed store holds, and how complete it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import zarr

from neuroattn import labels
from neuroattn.recording.attributes import stored_identity
from neuroattn.recording.layout import DONE, array_at, variables_of

if TYPE_CHECKING:
    from pathlib import Path


# Attributes that a summary shows.
PROVENANCE = (
    *("model", "weights_sha256", "stimuli_sha256", "protocol", "interventions", "seeds", "package_version"),
    *("git_commit", "device", "schema_version", "identity"),
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a store.

    Attributes
    ----------
    attributes
        Of the root: identity, provenance, schema version.
    variables
        Variable → shape of its activation (presentation, time_step, neuroid).
    done, presentations
        How many presentations are recorded, of how many.
    n_bytes
        On disk.
    """

    attributes: dict[str, object]
    variables: dict[str, tuple[int, ...]]
    done: int
    presentations: int
    n_bytes: int


def contents(store: Path) -> Contents:
    """Return what a store holds.

    Raises
    ------
    ValueError
        If there is no streamed recording at `store`, or it is damaged.
    """
    root = streamed_root(store)
    try:
        done = np.asarray(array_at(root, DONE)[:])
        variables = {name: array_at(root, f"{name}/{labels.ACTIVATION}").shape for name in variables_of(root)}
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"store must be whole, got {str(store)!r}, which is damaged ({reason})") from error
    return Contents(
        attributes=dict(root.attrs),
        variables=variables,
        done=int(done.sum()),
        presentations=len(done),
        n_bytes=sum(path.stat().st_size for path in store.rglob("*") if path.is_file()),
    )


def summary(store: Path) -> str:
    """Return the contents of a store in words."""
    held = contents(store)
    share = f"{held.done:,} of {held.presentations:,} presentations recorded ({held.done / held.presentations:.1%})"
    lines = [f"{store}: {share}, {held.n_bytes / 1e6:,.1f} MB on disk"]
    lines += [
        f"  {name}: {' × '.join(f'{size:,}' for size in shape)} (presentation × time step × neuroid), "
        f"{held.attributes.get('precision')}"
        for name, shape in held.variables.items()
    ]
    for name in PROVENANCE:
        lines.append(f"  {name}: {held.attributes.get(name)}")
    return "\n".join(lines)


def streamed_root(store: Path) -> zarr.Group:
    """Return the root of a streamed recording.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        root = zarr.open_group(store, mode="r")
        streamed = DONE in root and "identity_of" in root.attrs
    except Exception as error:
        raise ValueError(
            f"store must be the path of a recording, got {str(store)!r}, which is none, or damaged"
        ) from error
    if not streamed:
        raise ValueError(f"store must be a streamed recording, got {str(store)!r}; it has no flags of what is done")
    stored_identity(store, dict(root.attrs))
    return root
