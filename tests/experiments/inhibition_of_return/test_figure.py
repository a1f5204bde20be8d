"""The figure of inhibition of return: its panels, names and numbers."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from neuroattn.experiments.inhibition_of_return.figure import returns_figure


def row(what, condition, estimate, n=60, *, test="none", **more):
    return {
        "model": "", "what": what, "condition": condition, "estimate": estimate, "interval_low": estimate - 0.1,
        "interval_high": estimate + 0.1, "n_models": 3, "n_stimuli": n, "n_stimuli_most": n, "null": 0.5, "test": test,
        "control": "", "measure": "", **more,
    }  # fmt: skip


@pytest.fixture
def statistics():
    """Two objects: the scene whose objects changed places tells of fewer stimuli than the others."""
    statuses = ("attended now", "attended before", "never attended", "background")
    stages = [f"stage{number} alone" for number in range(1, 5)]
    rows = [row("gate", "free", 0.5, measure=status) for status in statuses]
    rows.append(row("return", "ablated", 1.0, test="none: follows from the architecture"))
    rows += [row("return", name, 0.3) for name in ("imposed", *stages, "swapped", "another")]
    rows += [row(what, name, 0.4, 41, n_stimuli_most=43) for what in ("return", "return to place")
             for name in ("carried", "moved, no mask")]  # fmt: skip
    rows += [row("return", "imposed", 0.2, 30, control=name) for name in ("intact", "shuffled_gates", "untrained")]
    rows.append(row("return", "imposed", 0.9, 7, model="net-0"))  # of one network: not drawn
    return pd.DataFrame(rows)


def names(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_two_objects_leave_no_panel_empty(statistics):
    gates, controls, returns, to_place = returns_figure(statistics).axes
    assert names(gates) == ["now", "before", "never", "back-\nground"]
    assert names(controls) == ["intact", "shuffled\ngates", "un-\ntrained"]
    assert len(names(returns)) == 10
    assert names(to_place) == ["carried", "moved,\nno mask"]
    with_three = pd.concat([statistics, pd.DataFrame([row("matched difference", "imposed", 0.1, measure="gate")])])
    assert len(returns_figure(with_three).axes) == 5
    without = statistics[statistics["control"].eq("") & (statistics["what"] != "return to place")]
    assert len(returns_figure(without).axes) == 2


def test_every_number_of_stimuli_is_told(statistics):
    _, _, returns, to_place = returns_figure(statistics).axes
    assert names(returns)[0] == "ablated\n60"
    assert names(returns)[-2:] == ["carried\n41–43", "moved,\nno mask\n41–43"]
    assert "(n = 3 networks, 41–60 stimuli; open: by construction)" in returns.get_xlabel()
    assert to_place.get_xlabel() == "objects changed places\n(n = 3 networks, 41–43 stimuli)"


def test_what_is_counted_is_said_of_each_axis(statistics):
    _, _, returns, to_place = returns_figure(statistics).axes
    assert returns.get_ylabel() == "second phase chooses the\nobject attended first (fraction)"
    assert to_place.get_ylabel() == "second phase chooses what\nstands where it stood (fraction)"


def test_what_follows_from_the_architecture_has_no_interval(statistics):
    _, _, returns, _ = returns_figure(statistics).axes
    assert len(returns.collections[0].get_segments()) == 9
    (hollow,) = [line for line in returns.lines if line.get_markerfacecolor() == "white"]
    np.testing.assert_array_equal(hollow.get_xydata(), [[0, 1]])


@pytest.mark.parametrize("n_objects", [2, 3])
def test_names_do_not_lie_over_one_another(statistics, n_objects):
    if n_objects == 3:
        measures = ("gate", "response_stage1", "response_stage2")
        more = [row("matched difference", "imposed", 0.1, measure=measure) for measure in measures]
        statistics = pd.concat([statistics, pd.DataFrame(more)])
    figure = returns_figure(statistics)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that does not fit is told as a warning
        figure.canvas.draw()
    for axes in figure.axes:
        extent = axes.xaxis.label.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.width
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
