from __future__ import annotations

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from neuroattn.experiments.tuning.figure import tuning_figure
from neuroattn.figures.style import COLUMN_WIDTH

BIOLOGY = {"V4": 1.26, "V1": 1.08}


def tables(layers: tuple[str, ...] = ("stage1/response", "stage2/response")):
    """Return small tables of the shape that the protocol gives."""
    rng = np.random.default_rng(7)
    units, statistics, examples = [], [], []
    for layer in layers:
        units.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "gain_maximum": rng.uniform(0.5, 3, 41),
                    "baseline_difference_maximum": rng.normal(0, 0.8, 41),
                    "shift_maximum": rng.normal(0, 20, 41),
                    "bandwidth_change_maximum": rng.normal(3, 4, 41),
                }
            )
        )
        common = {"layer": layer, "model": "", "reduction": "maximum", "estimate": 1.0}
        common |= {"interval_low": 0.8, "interval_high": 1.3}
        measures = ("gain", "baseline_difference", "shift", "bandwidth_change", "modulation_index")
        statistics += [
            {"what": what, "control": control, "equivalence_high": 5.0 if what == "shift" else np.nan, **common}
            for what, control in itertools.product(measures, ("", "zero_strength", "untrained"))
        ]
        about = {"layer": layer, "neuroid_id": "m.1", "gain": 1.21, "orientation": np.arange(0, 180, 9.0)}
        examples += [
            pd.DataFrame({"example": example, "state": state, "kind": kind, "response": rng.uniform(0, 2, 20), **about})
            for example, state, kind in itertools.product(range(3), ("attended", "unattended"), ("data", "fit"))
        ]
    return pd.concat(examples), pd.concat(units), pd.DataFrame(statistics)


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_axes_are_labelled_with_units_and_the_biology_is_named() -> None:
    figure = tuning_figure(*tables(), "maximum", BIOLOGY)
    shown = texts(figure)
    for label in ("orientation of the bar (°)", "response (1)", "gain (ratio of amplitudes)", "V4 1.26", "V1 1.08",
                  "shift of preferred orientation (°)", "change of half width (°)", "bar attended", "bar unattended",
                  "stage 1", "stage 2", "n = 41 / 41", "s = 0", "untrained", "fraction of units"):  # fmt: skip
        assert label in shown
    assert figure.get_size_inches()[0] == COLUMN_WIDTH


def test_values_beyond_the_axis_are_counted_not_lost() -> None:
    examples, units, statistics = tables(("stage1/response",))
    units["shift_maximum"] = np.where(np.arange(41) < 5, 80.0, 0.0)
    units.loc[:2, "gain_maximum"] = np.inf
    assert "n = 41\n(3 beyond the axis)" in texts(tuning_figure(examples, units, statistics, "maximum", BIOLOGY))
    assert "n = 41\n(5 beyond the axis)" in texts(tuning_figure(examples, units, statistics, "maximum", BIOLOGY))


def test_the_outermost_bins_are_marked_and_infinity_is_put_in_words() -> None:
    examples, units, statistics = tables()
    examples["gain"] = np.select([examples["example"] == 0, examples["example"] == 1], [np.inf, 0.0], 1.21)
    shown = texts(tuning_figure(examples, units, statistics, "maximum", BIOLOGY))
    for text in ("≥ 8\nor ∞", "≤ ¼", "≤ −1", "≥ 1", "≤ −30", "≥ 30", "stage 1, silent\nwhen unattended",
                 "stage 2, silent\nwhen attended", "stage 1, gain 1.21", "(a match is a choice of s)"):  # fmt: skip
        assert text in shown


def test_rows_of_one_network_are_not_drawn_as_those_of_all() -> None:
    examples, units, statistics = tables(("stage1/response",))
    others = statistics.assign(model="a", estimate=0.3, interval_low=0.3, interval_high=0.3)
    figure = tuning_figure(examples, units, pd.concat([others, statistics]), "maximum", BIOLOGY)
    medians = [line.get_xdata() for axes in figure.axes for line in axes.lines if line.get_marker() == "o"]
    drawn = np.concatenate([np.atleast_1d(values) for values in medians if len(np.atleast_1d(values)) == 1])
    assert 1.0 in drawn
    assert 0.3 not in drawn


def test_an_interval_that_leaves_the_axis_is_cut_and_marked() -> None:
    examples, units, statistics = tables(("stage1/response",))

    def marks(**columns: float) -> list[tuple[str, float]]:
        table = statistics.assign(**columns).where(statistics["what"] == "shift", statistics)
        figure = tuning_figure(examples, units, table, "maximum", BIOLOGY)
        (axes,) = (axes for axes in figure.axes if "shift" in axes.get_xlabel())
        lines = [line for line in axes.lines if line.get_marker() in ("<", ">")]
        return [(line.get_marker(), float(line.get_xdata()[0])) for line in lines]

    assert marks() == []
    assert marks(interval_low=-322.0, interval_high=338.0) == [("<", -30.0), (">", 30.0)]
    assert marks(interval_low=-3.0, interval_high=338.0) == [(">", 30.0)]


def test_layers_are_drawn_in_the_order_of_the_units() -> None:
    shown = texts(tuning_figure(*tables(("stage2/response", "stage10/response")), "maximum", BIOLOGY))
    assert shown.index("stage 2") < shown.index("stage 10")


def test_no_dot_is_cut_off_at_a_limit() -> None:
    examples, units, statistics = tables()
    figure = tuning_figure(examples, units, statistics, "maximum", BIOLOGY)
    *_, controls = (axes for axes in figure.axes if "modulation" in axes.get_ylabel())
    assert not any(line.get_clip_on() for line in controls.lines if line.get_marker() == "o")


@pytest.mark.slow
def test_nothing_is_drawn_outside_the_picture_and_nothing_fails_without_units() -> None:
    examples, units, statistics = tables()
    for table in (examples, examples.iloc[:0]):
        file = io.BytesIO()
        tuning_figure(table, units.assign(gain_maximum=np.nan), statistics, "maximum", BIOLOGY).savefig(
            file, format="png", dpi=100
        )
        picture = imread(io.BytesIO(file.getvalue()))
        border = np.concatenate(
            [picture[:2].reshape(-1, 4), picture[-2:].reshape(-1, 4), picture[:, -2:].reshape(-1, 4)]
        )
        assert (border[:, :3] == 1).all()  # no label runs over the edge
