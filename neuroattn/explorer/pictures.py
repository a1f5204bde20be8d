"""The pictures of the explorer: those that were shown, small, and as many as a page has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neuroattn import dims

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from neuroattn.explorer.responses import Layout
    from neuroattn.explorer.view import View
    from neuroattn.stimuli.stimulus_set import StimulusSet

_MOST, _MOST_BYTES, _SIDE = 300, 3 * 2**19, 64


class Pictures(NamedTuple):
    """Pictures to show.

    Attributes
    ----------
    pixels
        (picture, y, x, channel), 8 bits a value, of no more than 64 pixels a side.
    ids
        Their stimuli.
    size
        (y, x) of the pictures as they were shown.
    values
        Value along the curve → pictures, where a recording tells conditions and no single presentations.
    """

    pixels: NDArray[np.uint8]
    ids: NDArray[Any]
    size: tuple[int, int]
    values: dict[Any, list[int]]


def pictures(stimuli: StimulusSet, dataset: xr.Dataset, of: Layout, view: View) -> Pictures:
    """Return examples of every condition, or the presented stimuli, of which a sample where they are many."""
    channels, height, width = stimuli.size
    known, values = stimuli.table[dims.STIMULUS_ID].to_numpy(), {}
    room = max(2, min(_MOST, _MOST_BYTES // (channels * min(height, _SIDE) * min(width, _SIDE))))
    if dims.STIMULUS_ID in dataset.variables:
        chosen = np.flatnonzero(np.isin(known, np.unique(dataset[dims.STIMULUS_ID].values[of.rows])))
        if len(chosen) > room:
            generator = np.random.default_rng([*b"explorer pictures"])
            chosen = np.sort(generator.choice(chosen, room, replace=False))
    else:
        table = stimuli.table
        for name, value in {"bar": True, **view.where}.items():
            table = table[table[name] == value] if name in table else table
        groups = table.groupby(of.x_name).indices if of.x_name in table else {}
        number, parts = 0, [np.zeros(0, np.int64)]
        for value in of.x:
            if value in groups:
                rows = table.index.to_numpy()[groups[value]]
                generator = np.random.default_rng([*b"explorer pictures"])  # of each condition the same ones
                drawn = np.sort(generator.permutation(len(rows))[: max(1, room // len(of.x))])
                values[value] = [*range(number, number := number + len(drawn))]
                parts.append(rows[drawn])
        chosen = np.concatenate(parts)
    return Pictures(_small(stimuli.images[chosen]), known[chosen], (height, width), values)


def _small(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return pictures of 8 bits (picture, y, x, channel), means over squares of pixels where they are large."""
    step = -(-max(images.shape[2:]) // _SIDE)
    if images.shape[1] not in {1, 3}:  # no colours
        images = images.mean(1, keepdims=True)
    if step > 1:
        edges = [(0, 0), (0, 0), *((0, -side % step) for side in images.shape[2:])]
        padded = np.pad(images, edges, mode="edge")
        n, channels, height, width = padded.shape
        images = padded.reshape(n, channels, height // step, step, width // step, step).mean((3, 5))
    return np.round(images.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
