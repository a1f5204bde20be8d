"""One look for all figures: sized for a journal's column, legible in print, safe for colour-blind readers."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.46  # inches, 88 mm: one column of a two-column journal
# What a format would write of the time: the same figure gives the same bytes.
_UNDATED: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
# Okabe & Ito (2008), the palette made for colour-blind readers.
STATE_COLOURS = {"attended": "#D55E00", "unattended": "#0072B2"}
LAYER_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
REFERENCE_COLOUR = "#555555"


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house's style for as long as the ``with`` lasts."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "font.size": 6.5,
        "axes.titlesize": 6.5,
        "axes.labelsize": 6.5,
        "xtick.labelsize": 6,
        "ytick.labelsize": 6,
        "legend.fontsize": 6,
        "legend.frameon": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",  # text stays text, which a journal can edit
        "svg.hashsalt": "neuroattn",
        "savefig.dpi": 300,
    }
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, file: Path) -> None:
    """Save a figure in the format that its file's ending names, in the house's style."""
    with house_style():
        figure.savefig(file, metadata=_UNDATED.get(file.suffix))


def as_svg(figure: Figure) -> str:
    """Return a figure as the text of an SVG file whose texts are texts."""
    buffer = io.StringIO()
    with house_style():
        figure.savefig(buffer, format="svg", metadata=_UNDATED[".svg"])
    return buffer.getvalue()
