"""A seal on what was written whole: which descriptions (``zarr.json``) there are, and what they say.

A chunk has its own checksum, and Zarr reads one that is gone as the fill value; a description has none. So the group of
a finished recording holds a digest of every description in it, and of its own. Whatever is sealed has all its chunks,
those of nothing but the fill value, too.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Attributes of the sealed group: JSON of the folder of each array and group in it → digest; and the digest of its own.
OTHERS, OWN = "zarr_json_sha256", "root_sha256"
DESCRIPTION = "zarr.json"
# How chunks are to be encoded for their damage to be noticed.
CHECKED = (ZstdCodec(), Crc32cCodec())


def seal(group: Path, attributes: Mapping[str, Any], without: str = "") -> None:
    """Set attributes, scalars and JSON, of a group whose arrays are written, and seal it at the same moment.

    `without` is in the group and will not stay.
    """
    found = {folder: _digest((group / folder / DESCRIPTION).read_bytes()) for folder in _folders(group)}
    others = {folder: digest for folder, digest in found.items() if folder != without}
    about = description(group)
    about["attributes"] = {**about["attributes"], **attributes, OTHERS: json.dumps(others)}
    own = _digest_without_own(about)
    zarr.open_group(group, mode="r+").attrs.update({**attributes, OTHERS: json.dumps(others), OWN: own})


def is_sealed(group: Path) -> bool:
    """Return whether a group has a seal, broken or not."""
    found = description(group)["attributes"]
    return OTHERS in found or OWN in found


def sealed_folders(group: Path) -> list[str]:
    """Return the folders of the arrays and groups in a sealed group, as they were written."""
    try:
        return list(json.loads(description(group)["attributes"][OTHERS]))
    except (KeyError, TypeError, ValueError):
        return []


def altered(group: Path, without: str = "") -> Iterator[str]:
    """Yield what became of the descriptions of a sealed group, a line a fault; see `seal`."""
    about = description(group)
    if about["attributes"].get(OWN) != _digest_without_own(about):
        yield f"{DESCRIPTION} is not what was written"
    try:
        written = dict(json.loads(about["attributes"][OTHERS]))
    except (KeyError, TypeError, ValueError):
        return  # as the line above says
    for folder, digest in written.items():
        file = group / folder / DESCRIPTION
        if file.is_file() and _digest(file.read_bytes()) != digest:
            yield f"{folder}/{DESCRIPTION} is not what was written"
    more = [folder for folder in _folders(group) if folder not in written and folder != without]
    yield from (f"{folder} is no part of the recording" for folder in more)


def missing(group: Path, folders: list[str]) -> Iterator[str]:
    """Yield the files, by their path in a group, that arrays and groups in these folders lack."""
    for folder in folders:
        if not (group / folder / DESCRIPTION).is_file():
            yield f"{folder}/{DESCRIPTION}"
        else:
            yield from (f"{folder}/{key}" for key in chunk_keys(group / folder) if not (group / folder / key).is_file())


def chunk_keys(array: Path) -> Iterator[str]:
    """Yield the path of each chunk that an array must have, in order; a group has none.

    Arrays without a checksum are of an earlier version, which left out chunks of nothing but the fill value.
    """
    about = description(array)
    if about["node_type"] != "array" or not has_checksums(array):
        return
    sizes = about["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [-(-length // size) for length, size in zip(about["shape"], sizes, strict=True)]
    for place in np.ndindex(*counts):
        yield "/".join(["c", *map(str, place)])


def has_checksums(folder: Path) -> bool:
    """Return whether damage of an array's chunks is noticed; of a group, which has none, True."""
    about = description(folder)
    return bool(about["node_type"] != "array" or about["codecs"][-1]["name"] == "crc32c")


def description(folder: Path) -> dict[str, Any]:
    """Return what an array or group says of itself; raise ValueError where that is no description of either."""
    try:
        found = json.loads((folder / DESCRIPTION).read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("attributes"), dict) or "node_type" not in found:
        raise ValueError(f"{DESCRIPTION} in {folder.name!r} does not describe an array or a group")
    return found


def _folders(group: Path) -> list[str]:
    inside = (file.parent.relative_to(group).as_posix() for file in group.rglob(DESCRIPTION))
    return sorted(folder for folder in inside if folder != ".")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]  # against damage, not against anyone


def _digest_without_own(about: dict[str, Any]) -> str:
    attributes = {name: value for name, value in about["attributes"].items() if name != OWN}
    return _digest(json.dumps({**about, "attributes": attributes}, sort_keys=True).encode())
