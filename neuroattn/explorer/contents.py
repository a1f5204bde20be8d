"""What the page shows: one description as JSON, and blocks of numbers that are read when they are looked at."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import dims
from neuroattn.explorer.pictures import pictures
from neuroattn.explorer.responses import curves, extremes, layout
from neuroattn.explorer.view import View
from neuroattn.runs.plain_text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from neuroattn.explorer.pictures import Pictures
    from neuroattn.explorer.responses import Layout
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.fields import Fields

MOST_UNITS = 100_000
_PER_BLOCK, _PICTURES_PER_BLOCK = 512, 32
_KEPT_BITS = 0xFFFF_FC00  # of a measure's float32: 13 bits of its fraction, four decimal digits
_WHOLE = 2**24  # below it a float32 holds every whole number
_LARGEST = 1024.0  # of responses as float16, after they are scaled
_NO_MEASURE = (dims.CHANNEL, dims.CHANNEL_Y, dims.CHANNEL_X, dims.TIME_STEP, dims.STIMULUS_ID)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The description of a page, its blocks, each compressed by gzip, and the table whose rows it shows."""

    head: dict[str, Any]
    blocks: dict[str, bytes]
    units: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a recording does not hold.

    Attributes
    ----------
    stimuli
        The set that was shown; None where it is not known, and then `reason` says why.
    fields
        Network, variable → receptive fields, None where they are not known.
    """

    stimuli: StimulusSet | None = None
    reason: str = "a recording does not hold them"
    fields: Callable[[str, str], Fields | None] = lambda _model, _variable: None


def contents(
    title: str,
    units: pd.DataFrame,
    recording: xr.DataTree,
    view: View | None = None,
    shown: Shown | None = None,
    *,
    notes: Sequence[str] = (),
    most: int = MOST_UNITS,
) -> Contents:
    """Return what the explorer shows of a table of units and their recording.

    Parameters
    ----------
    title
        Of the page.
    units
        One row a unit, with ``model, layer, neuroid_id``; or rows of another kind, which have numbers and no curves.
    recording
        A group a network, in it a group a layer.
    view
        How responses are laid out as curves.
    shown
        The stimuli and the receptive fields.
    notes
        What must be said on top.
    most
        Of more units so many are drawn.
    """
    view, shown = view or View(), shown or Shown()
    total, of_units = len(units), dims.NEUROID_ID in units
    if total > most:
        chosen = np.random.default_rng([*b"explorer units"]).choice(total, most, replace=False)
        units = units.iloc[np.sort(chosen)]
    if of_units:
        units = _in_groups(units)
    else:
        units = units.reset_index(drop=True)
        notes = [*notes, "The rows are not single units, and the recording holds no responses of single units."]
    made = Contents(head={}, blocks={}, units=units)
    columns = _columns(units, made.blocks)
    groups = []
    for (model, layer), first, count in _groups(units) if of_units else ():
        group = {"model": model, "layer": layer, "first": first, "count": count, "blocks": []}
        dataset = _dataset(recording, model, layer)
        of_layer = None if dataset is None else layout(dataset, view)
        if dataset is not None and of_layer is not None:
            group |= _group(made.blocks, dataset, of_layer, view, shown, units.iloc[first : first + count])
        groups.append(group)
    measures = _measures(columns, units, view)
    made.head.update(
        title=title, notes=[printable(note) for note in notes], n_units=len(units), n_total=total, columns=columns,
        groups=groups, measures=measures, of_units=of_units, no_pictures="" if shown.stimuli else shown.reason,
        fit=view.fit, per_block=_PER_BLOCK, pictures_per_block=_PICTURES_PER_BLOCK,
    )  # fmt: skip
    return made


def _in_groups(units: pd.DataFrame) -> pd.DataFrame:
    """Return units with those of one layer of one network side by side, in the order in which they first stand."""
    number = units.groupby([dims.MODEL, dims.LAYER], sort=False).ngroup()
    return units.iloc[np.argsort(number.to_numpy(), kind="stable")].reset_index(drop=True)


def _groups(units: pd.DataFrame) -> list[tuple[tuple[str, str], int, int]]:
    found = units.groupby([dims.MODEL, dims.LAYER], sort=False).indices
    ordered: list[tuple[Any, Any]] = sorted(found.items(), key=lambda item: int(item[1][0]))
    return [((str(key[0]), str(key[1])), int(rows[0]), len(rows)) for key, rows in ordered]


def _dataset(recording: xr.DataTree, model: str, layer: str) -> xr.Dataset | None:
    """Return what was recorded of a layer, from a tree of networks or of one network."""
    for path in (f"{model}/{layer}", layer):
        node: Any = recording
        for name in path.split("/"):
            node = node.children.get(name) if node is not None else None
        if node is not None and node.has_data and dims.NEUROID_ID in node.dataset.variables:
            found: xr.Dataset = node.to_dataset()
            return found
    return None


def _group(
    blocks: dict[str, bytes],
    dataset: xr.Dataset,
    of: Layout,
    view: View,
    shown: Shown,
    units: pd.DataFrame,
) -> dict[str, Any]:
    """Write the blocks of one layer of one network, and return its description."""
    recorded = {str(name): place for place, name in enumerate(dataset[dims.NEUROID_ID].values.tolist())}
    places = np.array([recorded.get(str(name), -1) for name in units[dims.NEUROID_ID]], np.int64)
    if (places < 0).any():
        return {}
    model, layer = str(units[dims.MODEL].iloc[0]), str(units[dims.LAYER].iloc[0])
    parts = [values for _, values in curves(dataset, of, places)]
    values = np.concatenate(parts).reshape(len(places), -1)
    finite = np.abs(values[np.isfinite(values)])
    scale = 2.0 ** math.ceil(math.log2(finite.max() / _LARGEST)) if finite.size and finite.max() > 0 else 1.0
    record = [(values / scale).astype("<f2").view("<u2")]
    found = pictures(shown.stimuli, dataset, of, view) if shown.stimuli is not None else None
    ranks = 0
    if found is not None and len(found.ids) and not found.values and dims.STIMULUS_ID in dataset.variables:
        which, driven = extremes(dataset, of, places, found.ids)
        ranks = which.shape[1]
        record += [which.astype("<u2"), (driven / scale).astype("<f2").view("<u2")]
    boxes = shown.fields(model, layer)
    if boxes is not None:
        y, x = (dataset[name].values[places] for name in (dims.CHANNEL_Y, dims.CHANNEL_X))
        edges = [getattr(boxes, edge)[y, x] for edge in ("top", "bottom", "left", "right")]
        record.append(np.stack(edges, 1).astype("<u2"))
    name = f"units-{len(blocks)}"
    packed = np.concatenate(record, 1)
    described: dict[str, Any] = {"values": of.arrays, "states": of.states, "keys": of.keys, "steps": of.steps}
    described |= {"x": [_scalar(x) for x in of.x], "x_name": of.x_name, "unit": view.unit, "scale": scale}
    described |= {"ranks": ranks, "field": boxes is not None}
    described["blocks"] = [
        _put(blocks, f"{name}-{number}", _planes(packed[first : first + _PER_BLOCK]))
        for number, first in enumerate(range(0, len(packed), _PER_BLOCK))
    ]
    return described | ({} if found is None else {"pictures": _pictures(blocks, name, found, of)})


def _pictures(blocks: dict[str, bytes], name: str, found: Pictures, of: Layout) -> dict[str, Any]:
    """Write pictures, unless another group has the same, and return their description."""
    pieces = [found.pixels[first : first + _PICTURES_PER_BLOCK].tobytes()
              for first in range(0, len(found.pixels), _PICTURES_PER_BLOCK)]  # fmt: skip
    names = [_put(blocks, f"pictures-{name}-{number}", piece) for number, piece in enumerate(pieces)]
    return {
        "blocks": names,
        "shape": found.pixels.shape[1:],
        "size": found.size,
        "ids": [_scalar(one) for one in found.ids.tolist()],
        "of_x": [found.values.get(x, []) for x in of.x] if found.values else [],
    }


def _put(blocks: dict[str, bytes], name: str, content: bytes) -> str:
    """Compress a block under a name and return it; what is there already is not there twice."""
    made = gzip.compress(content, 6, mtime=0)
    same = (other for other, block in blocks.items() if len(block) == len(made) and block == made)
    name = next(same, name)
    blocks[name] = made
    return name


def _planes(values: NDArray[np.uint16]) -> bytes:
    """Return all low bytes and then all high ones, which compress better apart."""
    flat = np.ascontiguousarray(values).reshape(-1, 1).view(np.uint8)
    return flat.T.tobytes()


def _columns(units: pd.DataFrame, blocks: dict[str, bytes]) -> list[dict[str, Any]]:
    """Write the columns of a table and return their descriptions; columns of lists are left out."""
    found: list[dict[str, Any]] = []
    for number, (name, column) in enumerate(units.items()):
        values, about = column.to_numpy(), {"name": printable(str(name)), "block": f"column-{number}"}
        if values.dtype.kind == "f" or (values.dtype.kind in "iu" and np.abs(values).max(initial=0) < _WHOLE):
            numbers = values.astype("<f4")
            if values.dtype.kind == "f":  # halves of the last kept digit away from zero, as rounding does
                bits = numbers.view("<u4")
                finite = np.isfinite(numbers)
                numbers = np.where(finite, (bits + np.uint32(0x200)) & np.uint32(_KEPT_BITS), bits).view("<f4")
            shuffled = np.ascontiguousarray(numbers).reshape(-1, 1).view(np.uint8).T.tobytes()
            found.append({**about, "kind": "number", "whole": values.dtype.kind != "f"})
            _put_column(blocks, about["block"], shuffled)
            continue
        if any(isinstance(value, list | tuple | dict | np.ndarray) for value in values):
            continue
        absent = column.isna().to_numpy()
        words = ["" if none else shortened(str(value)) for value, none in zip(values, absent, strict=True)]
        distinct = list(dict.fromkeys(words))
        if len(distinct) <= max(64, len(words) // 4) and len(distinct) < 2**16:
            code = {word: place for place, word in enumerate(distinct)}
            _put_column(blocks, about["block"], _planes(np.array([code[word] for word in words], "<u2")))
            found.append({**about, "kind": "word", "words": distinct})
        else:
            _put_column(blocks, about["block"], json.dumps(words, ensure_ascii=False).encode())
            found.append({**about, "kind": "text"})
    return found


def _put_column(blocks: dict[str, bytes], name: str, content: bytes) -> None:
    blocks[name] = gzip.compress(content, 6, mtime=0)


def _measures(columns: Sequence[Mapping[str, Any]], units: pd.DataFrame, view: View) -> list[str]:
    """Return the two measures of the first scatter: those of the view, else the first of the table."""
    numbers = [c["name"] for c in columns if c["kind"] == "number" and c["name"] not in _NO_MEASURE]
    varied = [name for name in numbers if name in units and len(np.unique(units[name])) > 1]
    chosen = [name for name in view.measures if name in numbers]
    return list(dict.fromkeys([*chosen, *varied, *numbers]))[:2]


def _scalar(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, int | float) else shortened(str(plain))
