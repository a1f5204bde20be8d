"""Figures of scenes: a sheet of photographs as a network sees them, and which classes a network takes for which."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from neuroattn.figures.style import COLUMN_WIDTH, house_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ACROSS = 3  # scenes side by side


def scenes_sheet(
    images: NDArray[np.uint8], objects: NDArray[np.uint8], names: Sequence[Sequence[str]], titles: Sequence[str]
) -> Figure:
    """Draw each photograph (scene, 3, y, x) beside its objects (scene, object, 3, y, x), with the names of these."""
    per = 1 + objects.shape[1]
    down = math.ceil(len(images) / _ACROSS)
    with house_style():
        figure = Figure(
            figsize=(2 * COLUMN_WIDTH, 2 * COLUMN_WIDTH / _ACROSS / per * 1.45 * down), layout="constrained"
        )
        panels = figure.subplots(down, _ACROSS * per, squeeze=False)
        for axes in panels.ravel():
            axes.axis("off")
        for number, (image, alone) in enumerate(zip(images, objects, strict=True)):
            row, first = panels[number // _ACROSS], number % _ACROSS * per
            for k, picture in enumerate([image, *alone]):
                row[first + k].imshow(picture.transpose(1, 2, 0))
                row[first + k].set_title(titles[number] if k == 0 else names[number][k - 1], fontsize=6)
    return figure


def confusion_figure(confusion: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw how often objects of each class were taken for each class: (class attended, class decided) counts."""
    shown = confusion.sum(1) + confusion.sum(0) > 0
    counts = confusion[np.ix_(shown, shown)]
    names = [name for name, there in zip(classes, shown, strict=True) if there]
    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    size = max(COLUMN_WIDTH, 0.24 * len(names) + 1.2)
    with house_style():
        figure = Figure(figsize=(size, size * 0.95), layout="constrained")
        axes = figure.subplots()
        picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
        for (y, x), count in np.ndenumerate(counts):
            if count:
                axes.text(
                    x, y, f"{count}", ha="center", va="center", fontsize=5, color="k" if share[y, x] > 0.55 else "w"
                )
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), [f"{name} ({n})" for name, n in zip(names, counts.sum(1), strict=True)])
        axes.set_xlabel("class decided on")
        axes.set_ylabel("class of the attended object (phases)")
        axes.set_title(title, loc="left")
        figure.colorbar(picture, ax=axes, shrink=0.75, label="fraction of the phases of the row")
    return figure
