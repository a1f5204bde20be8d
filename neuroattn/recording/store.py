"""Recordings on disk: one Zarr v3 store, with a group a network."""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING, Any

import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from neuroattn.models.name import require_name
from neuroattn.recording.damage import require_whole
from neuroattn.recording.seal import CHECKED, seal
from neuroattn.runs.local_path import local_path
from neuroattn.runs.output_file import new_folder, refused_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_model(tree: xr.DataTree, store: Path, model: str) -> None:
    """Add the recording of one network to a store, new or not, as the group of its name, whole or not at all.

    Raises
    ------
    ValueError
        If the name cannot be a group's, or the store holds a recording of that name.
    OSError
        If it cannot be written.
    """
    require_name(model)
    if (store / model).exists():
        raise ValueError(f"store {str(store)!r} holds a recording of {model!r} already; write to another store")
    unfinished = store.with_name(f"{store.name}.{model}.part")
    try:
        with refused_at(store):
            new_folder(unfinished)
            checked = {
                node.path: {name: {"compressors": CHECKED} for name in node.to_dataset(inherit=False).variables}
                for node in tree.subtree
            }
            every: dict[str, Any] = {"write_empty_chunks": True}
            tree.to_zarr(unfinished, mode="w", encoding=checked, consolidated=False, zarr_format=3, **every)
            seal(unfinished, {})
            if not _is_store(store):
                zarr.create_group(store, zarr_format=3)
            unfinished.rename(store / model)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_attributes(store: Path, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a store's root, scalars and JSON, and seal all that it holds."""
    with refused_at(store):
        seal(store, attributes)


def recorded_models(store: Path) -> list[str]:
    """Return the names of the networks that a store holds whole recordings of; none where there is no store."""
    if not _is_store(store):
        return []
    try:
        with warnings.catch_warnings(action="ignore", category=ZarrUserWarning):  # of folders that are no groups
            return sorted(zarr.open_group(store, mode="r").group_keys())
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"store {str(store)!r} is damaged, its zarr.json cannot be understood; remove it") from error


def require_recording(store: Path, model: str, weights: str) -> None:
    """Raise unless a store's recording of a network says that it is of these weights."""
    try:
        attributes = dict(zarr.open_group(store, path=model, mode="r").attrs)
    except (ValueError, KeyError, TypeError):
        attributes = {}
    if attributes.get("weights_sha256") != weights or not isinstance(attributes.get("model_config"), str):
        raise ValueError(
            f"store {str(store)!r} must hold a recording of {model} as it is, got one that is damaged or of other "
            "weights; remove the store"
        )


def open_recording(store: str | Path) -> xr.DataTree:
    """Return a store as `xarray.open_datatree` reads it, loaded when it is looked at.

    Raises
    ------
    ValueError
        If the recording is finished and a file of it is gone; xarray alone would read NaN or 0 in its place.
    """
    path = local_path("store", store)
    require_whole(path)
    return xr.open_datatree(path, engine="zarr", consolidated=False)


def _is_store(path: Path) -> bool:
    return (path / "zarr.json").exists()
