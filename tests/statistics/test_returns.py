"""From recorded runs to trials, effects and sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from neuroattn.statistics.return_findings import findings, of_place, verdict
from neuroattn.statistics.return_summary import adjusted, summarise
from neuroattn.statistics.return_trials import return_trials

CONDITIONS = ["free"] * 3 + ["imposed", "ablated", "swapped", "another", "carried", "moved, no mask"]
PHASES = [1, 2, 3, *[2] * 6]


def recorded(seed, n_stimuli=60, *, memory=True, inhibits="place", before=0.3):
    """Runs of a network of three objects that avoids what it attended, by the mask or not at all.

    The gate of an object is 0.1 where it is attended and 0.6 elsewhere, + 0.05 a place, and `before` more where it was
    attended before and a mask says so.
    """
    random = np.random.default_rng(seed)
    order = np.argsort(random.random((n_stimuli, 3)), axis=1)  # object attended in each phase
    rows = np.arange(n_stimuli)
    place = np.tile(np.arange(3), (9, 1))
    place[-2:] = [1, 2, 0]
    attended = np.empty((9, n_stimuli), int)
    attended[:3] = order.T
    attended[3] = order[:, 1] if memory else order[:, 0]
    attended[4] = order[:, 0]
    attended[5] = order[:, 0]
    attended[6] = random.integers(0, 3, n_stimuli)
    at_place = np.array([np.flatnonzero(place[-1] == k)[0] for k in range(3)])[order[:, 0]]  # what stands there now
    avoided = at_place if inhibits == "place" else order[:, 0]
    attended[7] = (avoided + random.integers(1, 3, n_stimuli)) % 3
    attended[8] = random.integers(0, 3, n_stimuli)
    if not memory:  # no mask does anything
        attended[7] = attended[8]
    gate = 0.6 + 0.05 * place[:, None, :] + random.normal(0, 0.02, (9, n_stimuli, 3))
    for run in range(9):
        gate[run, rows, attended[run]] = 0.1
    gate[1, rows, order[:, 0]] += before
    gate[3, rows, order[:, 0]] += before if memory else 0
    other = {name: (("run", "stimulus"), np.full((9, n_stimuli), value)) for name, value in
             (("gate_background", 0.95), ("gate_attended", 0.1), ("gate_unattended", 0.9))}  # fmt: skip
    return xr.Dataset(
        {
            "gate": (("run", "stimulus", "object"), gate),
            "chosen": (("run", "stimulus"), attended),
            "attended": (("run", "stimulus"), attended),
            **other,
        },
        {
            "condition": ("run", np.array(CONDITIONS, dtype=object)),
            "phase": ("run", PHASES),
            "place": (("run", "object"), place),
            "label": (("stimulus", "object"), random.integers(0, 10, (n_stimuli, 3))),
            "stimulus_id": ("stimulus", rows),
        },
    )


def rows_of(table, what, condition=None):
    rows = table[table["what"] == what]
    return rows if condition is None else rows[rows["condition"] == condition].iloc[0]


def test_what_an_object_is_to_a_phase():
    runs = recorded(0)
    table = return_trials(runs, "a").set_index(["condition", "phase", "stimulus_id", "object"])
    order = runs["attended"].values[:3].T
    for i in (0, 17, 59):
        one, two, three = order[i]
        status = {
            (1, one): "attended now", (1, two): "never attended", (1, three): "never attended",
            (2, one): "attended before", (2, two): "attended now", (2, three): "never attended",
            (3, one): "attended before", (3, two): "attended before", (3, three): "attended now",
        }  # fmt: skip
        for (phase, thing), expected in status.items():
            assert table.loc[("free", phase, i, thing), "status"] == expected
        assert table.loc[("free", 3, i, one), "lag"] == 2
        assert table.loc[("free", 3, i, two), "lag"] == 1
        assert np.isnan(table.loc[("free", 3, i, three), "lag"])
        assert table.loc[("carried", 2, i, (one - 1) % 3), "inhibited_place"]
        assert table.loc[("carried", 2, i, one), "first"]
        # Without the mask it attends the first object again: it is attended now, not before.
        assert table.loc[("ablated", 2, i, one), "status"] == "attended now"


def test_one_network():
    runs = recorded(1)
    table = summarise(return_trials(runs, "a"), np.random.default_rng(0), 500)
    for condition, fraction in (("imposed", 0), ("ablated", 1), ("swapped", 1)):
        row = rows_of(table, "return", condition)
        assert row["estimate"] == fraction
        assert_allclose(
            [row["interval_low"], row["interval_high"]], proportion_confint(60 * fraction, 60, method="wilson")
        )
        assert_allclose(row["null"], 1 / 3)
    assert rows_of(table, "return to place", "carried")["estimate"] == 0
    matched = rows_of(table, "matched difference", "imposed")
    assert_allclose(matched["estimate"], 0.3, atol=0.02)
    assert matched["interval_low"] < 0.3 < matched["interval_high"]
    # At matched places the difference of the places themselves, 0.05 each, is gone.
    assert matched["interval_high"] - matched["interval_low"] < 0.05
    lags = rows_of(table, "return by lag").set_index(["phase", "lag"])["estimate"]
    assert lags.to_dict() == {(2, 1): 0, (3, 1): 0, (3, 2): 0}
    gates = rows_of(table, "gate").set_index("measure")["estimate"]
    assert_allclose(gates["attended now"], 0.1)
    assert_allclose(gates["background"], 0.95)
    assert rows_of(table, "contrast").set_index("measure").loc["difference", "estimate"] == pytest.approx(0.8)
    assert table["p"].isna().all()
    assert set(table["scope"]) == {"stimuli of one network"}


def test_several_networks():
    tables = [return_trials(recorded(seed, before=0.2 + 0.05 * seed), f"net{seed}") for seed in range(6)]
    table = adjusted(summarise(pd.concat(tables), np.random.default_rng(0), 200).assign(control=None))
    matched = rows_of(table, "matched difference", "imposed")
    assert matched["scope"] == "6 networks"
    assert_allclose(matched["estimate"], 0.325, atol=0.01)
    assert matched["p"] < 0.01
    assert matched["p_sign_flip"] == matched["smallest_p_sign_flip"] == 2 / 2**6
    another = rows_of(table, "return", "another")
    means = [one[(one["condition"] == "another") & one["first"]]["chosen"].mean() for one in tables]
    test = stats.ttest_1samp(means, 1 / 3)
    assert_allclose([another["estimate"], another["p"]], [np.mean(means), test.pvalue])
    interval = test.confidence_interval()
    assert_allclose([another["interval_low"], another["interval_high"]], [interval.low, interval.high])
    assert rows_of(table, "return", "imposed")["warnings"] == "network means are equal: no t test"


@pytest.mark.parametrize(
    ("options", "whose", "what"),
    [
        ({}, "imposed by the mask", "the place"),
        ({"inhibits": "object"}, "imposed by the mask", "the object"),
    ],
)
def test_verdicts(options, whose, what):
    table = summarise(return_trials(recorded(2, **options), "a"), np.random.default_rng(0), 200)
    assert (verdict(table), of_place(table)) == (whose, what)
    lines = findings(table.assign(control=None), 3)
    assert f"Verdict: avoidance of the attended object is {whose}; what the mask inhibits is {what}." in lines
    assert lines[0].startswith("Inhibition of return, stimuli of one network, 60 composites of 3 digits.")


def test_masks_that_do_nothing():
    table = summarise(return_trials(recorded(2, memory=False), "a"), np.random.default_rng(0), 200)
    assert (verdict(table), of_place(table)) == ("absent", "neither place nor object")
    assert "Verdict: avoidance of the attended object is absent." in findings(table.assign(control=None), 3)


def test_avoidance_is_against_no_mask_on_the_same_pictures():
    trials = return_trials(recorded(5), "a")
    table = summarise(trials, np.random.default_rng(0), 500).set_index(["what", "condition"])
    assert table.loc[("avoidance", "imposed"), "estimate"] == 1  # never with it, always without
    moved, carried = (trials[trials["condition"] == name] for name in ("moved, no mask", "carried"))
    for name, which in (("carried", "first"), ("carried to place", "inhibited_place")):
        one, other = (rows[rows[which]].set_index("stimulus_id")["chosen"].astype(float) for rows in (moved, carried))
        row = table.loc[("avoidance", name)]
        assert_allclose([row["estimate"], row["sd"]], [(one - other).mean(), (one - other).std()])
    assert table.loc[("avoidance", "carried to place"), "interval_low"] > 0


def test_a_choice_that_is_not_defined_is_left_out():
    runs = recorded(6)
    runs["chosen"].values[6, :13] = -1
    trials = return_trials(runs, "a")
    assert len(trials[trials["condition"] == "another"]) == 3 * (60 - 13)
    table = summarise(trials, np.random.default_rng(0), 200)
    assert rows_of(table, "return", "another")["n_stimuli"] == 47


def test_an_emergent_return_would_be_seen():
    runs = recorded(3)
    runs["chosen"].values[4] = runs["attended"].values[1]  # without a mask, too, it goes elsewhere
    table = summarise(return_trials(runs, "a"), np.random.default_rng(0), 200)
    assert verdict(table) == "emergent"


def test_a_control_that_avoids_is_a_warning():
    table = summarise(return_trials(recorded(4), "a"), np.random.default_rng(0), 200).assign(control=None)
    control = table[(table["condition"] == "imposed") & table["what"].isin(["return", "avoidance"])]
    lines = findings(pd.concat([table, control.assign(control="untrained")]), 3)
    expected = "WARNING: the control untrained avoids the first object: with its mask it returns on 1.000 fewer trials"
    assert lines[0] == f"{expected} than without."
