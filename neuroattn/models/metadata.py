"""Metadata of a checkpoint, taken as a stranger's word: checked before anything is made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from neuroattn.models.config import GatedConfig
from neuroattn.models.gain_cnn import KIND, GainConfig
from neuroattn.runs.plain_text import shortened, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "neuroattn-checkpoint-1"
FLOATING = ("F64", "F32", "F16", "BF16")  # as safetensors calls them
_JSON = ("seed", "config", "training", "provenance")

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Option = bool | Whole | float | str | list[Whole | float] | None


class Pictures(msgspec.Struct):
    """What a network was trained on: digits or scenes."""

    sha256: str
    what: str = ""
    n: Count = 0


class Start(msgspec.Struct):
    """The network whose weights a training began with."""

    name: str
    weights_sha256: str


class Options(msgspec.Struct):
    """Options of a training that are read from its file; others may be any `Option`."""

    n_objects: Annotated[int, msgspec.Meta(ge=2, le=10)] = 2
    labels: str = ""
    size: tuple[Side, Side] = (1, 1)
    phi: float = 0.0
    learning_rate: float = 0.0
    initial: Literal["uniform", "he"] = "uniform"


class Training(msgspec.Struct):
    """What is read of a training, and its types; a file may hold more."""

    options: dict[str, Option] = {}
    epochs: list[dict[str, float]] = []
    digits: Pictures | msgspec.UnsetType = msgspec.UNSET
    scenes: Pictures | msgspec.UnsetType = msgspec.UNSET
    classes: list[str] | msgspec.UnsetType = msgspec.UNSET
    held_out_images: list[Whole] | msgspec.UnsetType = msgspec.UNSET
    n_cutouts: Count = 0
    start: Start | msgspec.UnsetType = msgspec.UNSET
    device: str = ""
    precision: str = ""
    processes: Count = 1
    threads: Count = 1


class _Metadata(msgspec.Struct):
    name: str
    seed: Count | None
    training: Training
    provenance: dict[str, str]


class _TrainingOfOptions(msgspec.Struct):
    options: Options = msgspec.field(default_factory=Options)


class _MetadataOfOptions(msgspec.Struct):
    training: _TrainingOfOptions


def own_metadata(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the decoded header of a checkpoint of this package: name, seed, config, training, provenance.

    Raises
    ------
    ValueError
        If it is not of this package, or anything in it is of the wrong type; the message names `path`.

    Examples
    --------
    >>> from pathlib import Path
    >>> own_metadata(Path("a.safetensors"), {"format": "pt"})
    Traceback (most recent call last):
    ValueError: model 'a.safetensors' is not a checkpoint of this package: its metadata says format 'pt', expected ...
    """
    if metadata is None or metadata.get("format") != FORMAT:
        found = (metadata or {}).get("format", "none")
        raise ValueError(
            f"model {str(path)!r} is not a checkpoint of this package: its metadata says format {shown(found)}, "
            f"expected {FORMAT!r}; load a file that neuroattn.training wrote"
        )
    if missing := [key for key in ("name", *_JSON) if key not in metadata]:
        raise damaged(path, f"no {missing[0]}")
    decoded: dict[str, Any] = {"name": metadata["name"]}
    if "kind" in metadata:  # gated networks, the first, do not say theirs
        decoded["kind"] = metadata["kind"]
        if decoded["kind"] != KIND:
            raise damaged(path, f"kind {shown(decoded['kind'])}")
    for key in _JSON:
        try:
            decoded[key] = json.loads(metadata[key], object_pairs_hook=_different, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise damaged(path, f"{key}: {error}") from error
    try:
        msgspec.convert(decoded, _Metadata)
        msgspec.convert(decoded, _MetadataOfOptions)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    configured(path, decoded)
    return decoded


def configured(path: Path, metadata: Mapping[str, Any]) -> GatedConfig | GainConfig:
    """Return the configuration in the metadata of a checkpoint, or raise ValueError if it is none.

    >>> from pathlib import Path
    >>> configured(Path("a.safetensors"), {"config": {"size": [1, 28, 42], "channels": [20], "classes": 10}}).steps
    5
    """
    try:
        of = GainConfig if metadata.get("kind") == KIND else GatedConfig
        return of.from_values(metadata["config"])
    except (ValueError, OverflowError) as error:
        reason = shortened(str(error).replace("`$.", "`"), 200)
        raise ValueError(
            f"model {str(path)!r} has a configuration of another version, or a damaged one ({reason})"
        ) from error


def require_weights(
    path: Path, config: GatedConfig | GainConfig, found: Mapping[str, tuple[tuple[int, ...], str]]
) -> None:
    """Raise unless a file holds the weights of a configuration, and no others.

    Parameters
    ----------
    path
        Of the file, for errors.
    config
        Of the network.
    found
        Shape and type (as in `FLOATING`) of every tensor of the file.

    Raises
    ------
    ValueError
        Naming a tensor, what it is and what it should be.

    Examples
    --------
    >>> from pathlib import Path
    >>> config = GatedConfig(size=(1, 5, 5), channels=(2,), classes=3, kernel=2)
    >>> require_weights(Path("a.safetensors"), config, {})
    Traceback (most recent call last):
    ValueError: model 'a.safetensors' does not hold the weights its configuration needs: stages.0.conv.weight ...
    """
    expected = config.weight_shapes
    wrong = [f"{shown(name)} is none of them" for name in found if name not in expected]
    for name, shape in expected.items():
        found_shape, kind = found.get(name, (None, ""))
        if found_shape is None:
            wrong.append(f"{name} {shown(shape)} is missing")
        elif found_shape != shape:
            wrong.append(f"{name} has shape {shown(found_shape)}, expected {shown(shape)}")
        elif kind not in FLOATING:
            wrong.append(f"{name} holds {shortened(kind)}, expected floating point numbers ({', '.join(FLOATING)})")
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ValueError(
            f"model {str(path)!r} does not hold the weights its configuration needs: {wrong[0]}{more}; copy it again"
        )


def says(metadata: object, *paths: str) -> bool:
    """Return whether the metadata of a checkpoint has values at all `paths`.

    Of a list, every item must have one, and there must be an item.

    >>> says({"training": {"epochs": [{"loss": 0.1}]}}, "training.epochs.loss")
    True
    """
    return all(_has(metadata, path) for path in paths)


def _has(part: object, path: str) -> bool:
    if isinstance(part, list):
        return bool(part) and all(_has(item, path) for item in part)
    name, _, rest = path.partition(".")
    return isinstance(part, dict) and name in part and (not rest or _has(part[name], rest))


def damaged(path: Path, reason: str) -> ValueError:
    """Return the error of a checkpoint whose metadata cannot be used.

    >>> from pathlib import Path
    >>> damaged(Path("a.safetensors"), "no config")
    ValueError("model 'a.safetensors' has damaged metadata (no config); copy it again")
    """
    short = shortened(reason.replace("`$.", "`"), 200)
    return ValueError(f"model {str(path)!r} has damaged metadata ({short}); copy it again")


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
