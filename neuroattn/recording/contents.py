"""What a streamed store holds, and how complete it is."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import zarr
from zarr.errors import ZarrUserWarning

from neuroattn import dims
from neuroattn.recording.attributes import stored_identity
from neuroattn.recording.layout import DONE, array_at, variables_of
from neuroattn.recording.seal import DESCRIPTION, description, is_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# Attributes that a summary shows.
PROVENANCE = (
    *("model", "weights_sha256", "stimuli_sha256", "protocol", "interventions", "seeds", "package_version"),
    *("git_commit", "device", "schema_version", "identity"),
)

PROVENANCE_OF_RUN = ("protocol", "configuration", "weights_sha256", "stimuli_sha256", "seeds", "versions")


class Contents(NamedTuple):
    """What is in a store: the root's attributes, the shape of each variable, presentations done of all, bytes on disk.

    Shapes are (presentation, time_step, neuroid).
    """

    attributes: dict[str, object]
    variables: dict[str, tuple[int, ...]]
    done: int
    presentations: int
    n_bytes: int


def contents(store: Path) -> Contents:
    """Return what a store holds; raise ValueError where there is no streamed recording, or it is damaged."""
    root = streamed_root(store)
    try:
        done = np.asarray(array_at(root, DONE)[:])
        variables = {name: array_at(root, f"{name}/{dims.ACTIVATION}").shape for name in variables_of(root)}
    except Exception as error:
        raise _damaged(store, error) from error
    return Contents(dict(root.attrs), variables, int(done.sum()), len(done), _n_bytes(store))


def _n_bytes(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def _damaged(store: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    return ValueError(f"store must be whole, got {str(store)!r}, which is damaged ({reason})")


def summary(store: Path) -> str:
    """Return the contents of a store in words."""
    with warnings.catch_warnings(action="ignore", category=ZarrUserWarning):  # damage is told by who looks for it
        return _networks_summary(store) if holds_networks(store) else _streamed_summary(store)


def _networks_summary(store: Path) -> str:
    try:
        attributes = description(store)["attributes"]
        arrays = {name: _arrays(group) for name, group in sorted(zarr.open_group(store, mode="r").groups())}
    except Exception as error:
        raise _damaged(store, error) from error
    state = "of a finished run" if named_networks(attributes) else "of a run that is not finished"
    lines = [f"{store}: networks {state}, {_n_bytes(store) / 1e6:,.1f} MB on disk"]
    lines += [f"  {name}: {', '.join(found)}" for name, found in arrays.items()]
    return "\n".join([*lines, *(f"  {name}: {attributes.get(name)}" for name in PROVENANCE_OF_RUN)])


def _arrays(group: zarr.Group) -> list[str]:
    """Return the groups of a network with the number of arrays in each."""
    paths = [path.rpartition("/")[0] for path, found in group.members(max_depth=None) if isinstance(found, zarr.Array)]
    return [f"{path or '/'} ({paths.count(path)} arrays)" for path in sorted(set(paths))]


def _streamed_summary(store: Path) -> str:
    held = contents(store)
    share = f"{held.done:,} of {held.presentations:,} presentations recorded ({held.done / held.presentations:.1%})"
    lines = [f"{store}: {share}, {held.n_bytes / 1e6:,.1f} MB on disk"]
    lines += [
        f"  {name}: {' × '.join(f'{size:,}' for size in shape)} (presentation × time step × neuroid), "
        f"{held.attributes.get('precision')}"
        for name, shape in held.variables.items()
    ]
    return "\n".join([*lines, *(f"  {name}: {held.attributes.get(name)}" for name in PROVENANCE)])


def holds_networks(store: Path) -> bool:
    """Return whether a store is a protocol's, which has a group a network, and no recording of its own."""
    try:
        attributes = description(store)["attributes"]
    except (OSError, ValueError):
        return False
    if "identity_of" in attributes or (store / DONE).exists():
        return False
    return bool(named_networks(attributes)) or any(is_network(file.parent) for file in store.glob(f"*/{DESCRIPTION}"))


def is_network(group: Path) -> bool:
    """Return whether a folder is a network's group in a protocol's store."""
    try:
        attributes = description(group)["attributes"]
        return is_sealed(group) and "model_config" in attributes and not (group / DONE).exists()
    except (OSError, ValueError):
        return False


def named_networks(attributes: Mapping[str, object]) -> list[str]:
    """Return the networks that the root of a protocol's store names: all that it holds, once it is complete."""
    try:
        found = json.loads(str(attributes["weights_sha256"]))
    except (KeyError, ValueError, RecursionError):
        return []
    return list(found) if isinstance(found, dict) else []


def streamed_root(store: Path) -> zarr.Group:
    """Return the root of a streamed recording; raise ValueError where there is none."""
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
