from __future__ import annotations

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from neuroattn.figures.panels import CONTROL_NAMES, above, controls, curves, reference, stage
from neuroattn.figures.style import LAYER_COLOURS

LAYERS = ["stage1/response", "stage10/response"]


@pytest.fixture
def axes():
    return Figure(layout="constrained").subplots()


def rows(**columns):
    table = pd.DataFrame({**columns, "estimate": [2.0, 3.0, 5.0], "interval_low": 1.0, "interval_high": 7.0})
    return pd.concat([table.assign(layer=layer) for layer in LAYERS])


def test_layers_stand_side_by_side_in_each_control(axes):
    controls(axes, rows(control=["untrained", "intact", "other"]), dict(list(CONTROL_NAMES.items())[:2]), LAYERS)
    first, second, _ = axes.lines
    assert_allclose([first.get_xdata(), second.get_xdata()], [[-0.11, 0.89], [0.11, 1.11]])
    assert_allclose(first.get_ydata(), [3, np.nan])  # in the order of the names
    assert [label.get_text() for label in axes.get_xticklabels()] == ["intact", "s = 0"]


def test_a_panel_without_controls_has_a_layout(axes):
    controls(axes, rows(control="")[:0], {}, LAYERS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes.figure.savefig(io.BytesIO())


def test_curves_go_from_left_to_right(axes):
    curves(axes, rows(strength=[0.5, 0.2, 0.3]), "strength", LAYERS)
    line = axes.lines[1]
    assert_allclose(line.get_xydata(), [[0.2, 3], [0.3, 5], [0.5, 2]])
    assert line.get_color() == LAYER_COLOURS[1]


@pytest.mark.parametrize(("low", "high", "marks"), [(0, 1, ["o"]), (-3, 1, ["o", "<"]), (-3, 3, ["o", "<", ">"])])
def test_an_interval_that_leaves_the_axes_ends_in_an_arrow(axes, low, high, marks):
    above(axes, pd.Series({"interval_low": low, "interval_high": high, "estimate": 0.5}), (-1, 1), 1.1, "black")
    assert [line.get_marker() for line in axes.lines[1:]] == marks
    assert_allclose(axes.lines[0].get_xdata(), np.clip([low, high], -1, 1))


def test_the_biology_is_drawn_from_the_least_on(axes):
    assert reference(axes, {"V4": 1.26, "V1": 1.08}) == [("V1 1.08", "dotted"), ("V4 1.26", "dashed")]
    assert stage("stage10/response") == "stage 10"
