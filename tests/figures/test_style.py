"""How figures are saved: text stays text, and the same figure gives the same bytes."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from neuroattn.figures.style import as_svg, save


def drawn():
    figure = Figure(figsize=(1, 1))
    axes = figure.subplots()
    axes.plot([2, 3], [5, 7], clip_on=True)
    axes.set_xlabel("gain (1)")
    return figure


def test_text_is_text():
    assert ">gain (1)</text>" in as_svg(drawn())


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, kind, monkeypatch):
    files = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for number, file in enumerate(files):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_000_000_000 * (number + 1)))  # another time of day
        save(drawn(), file)
    assert files[0].read_bytes() == files[1].read_bytes()
