"""From recorded runs to trials, effects and sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from neuroattn.experiments.inhibition_of_return.findings import AVOIDANCE, inhibited, own_pixels, verdict
from neuroattn.experiments.inhibition_of_return.sentences import sentences
from neuroattn.experiments.inhibition_of_return.summary import return_statistics
from neuroattn.experiments.inhibition_of_return.trials import return_trials
from neuroattn.statistics.intervals import fraction_interval
from neuroattn.statistics.summary import adjusted

CONDITIONS = ["free"] * 3 + ["imposed", "ablated", "swapped", "another", "carried", "moved, no mask"]
PHASES = [1, 2, 3, *[2] * 6]


def recorded(seed, n_stimuli=60, *, memory=True, inhibits="place", before=0.3, share=1.0):
    """Runs of a network of three objects that avoids what it attended, by the mask or not at all.

    The gate of an object is 0.1 where it is attended and 0.6 elsewhere, + 0.05 a place, and `before` more where it was
    attended before and a mask says so. The mask inhibits the place whatever stands there, the object wherever it
    stands, both, or with ``pixels`` the object in its place alone; that of another stimulus on a share of stimuli. Some
    choices are made at random, one in fifty.
    """
    random = np.random.default_rng(seed)
    order = np.argsort(random.random((n_stimuli, 3)), axis=1)  # object attended in each phase
    rows = np.arange(n_stimuli)
    place = np.tile(np.arange(3), (9, 1))
    place[-2:] = [1, 2, 0]
    attended = np.empty((9, n_stimuli), int)

    def disturbed(choice, other):
        return np.where(random.random(n_stimuli) < 0.02, other, choice)

    attended[:3] = order.T
    attended[3] = order[:, 1] if memory else disturbed(order[:, 0], order[:, 1])
    attended[4] = order[:, 0]
    attended[5] = order[:, 0]
    acts = memory and inhibits in {"place", "both"}
    avoided = random.random(n_stimuli) < (share if acts else 0)
    attended[6] = disturbed(*np.where(avoided, order[:, [1, 0]].T, order[:, :2].T))
    at_place = np.array([np.flatnonzero(place[-1] == k)[0] for k in range(3)])[order[:, 0]]  # what stands there now
    attended[8] = random.integers(0, 3, n_stimuli)
    allowed = np.ones((n_stimuli, 3))
    if inhibits in {"place", "both"}:
        allowed[rows, at_place] = 0
    if inhibits in {"object", "both"}:
        allowed[rows, order[:, 0]] = 0
    inert = not memory or inhibits == "pixels"
    chosen = attended[8] if inert else (allowed * random.random((n_stimuli, 3))).argmax(1)
    attended[7] = disturbed(chosen, random.integers(0, 3, n_stimuli))
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


def statistics_of(*runs, n_resamples=100):
    """Return the statistics of the runs of networks net0, net1 …"""
    trials = pd.concat([return_trials(of_network, f"net{number}") for number, of_network in enumerate(runs)])
    return return_statistics(trials, 0, n_resamples)


def verdict_line(table, *shown):
    (line,) = [line for line in sentences(table, 3, *shown) if line.startswith("Verdict")]
    return line


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
    table = statistics_of(runs, n_resamples=500)
    for condition, fraction in (("imposed", 0), ("ablated", 1), ("swapped", 1)):
        row = rows_of(table, "return", condition)
        assert row["estimate"] == fraction
        assert_allclose(
            [row["interval_low"], row["interval_high"]], proportion_confint(60 * fraction, 60, method="wilson")
        )
        assert_allclose(row["null"], 1 / 3)
    assert rows_of(table, "return to place", "carried")["estimate"] < 0.05
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
    table = adjusted(return_statistics(pd.concat(tables), 0, 200))
    matched = rows_of(table, "matched difference", "imposed")
    assert matched["scope"] == "6 networks"
    assert_allclose(matched["estimate"], 0.325, atol=0.01)
    assert matched["p"] < 0.01
    assert matched["p_sign_flip"] == matched["smallest_p_sign_flip"] == 2 / 2**6
    moved = rows_of(table, "return", "moved, no mask")
    means = [one[(one["condition"] == "moved, no mask") & one["first"]]["chosen"].mean() for one in tables]
    test = stats.ttest_1samp(means, 1 / 3)
    assert_allclose([moved["estimate"], moved["p"]], [np.mean(means), test.pvalue])
    assert_allclose([moved["interval_low"], moved["interval_high"]], fraction_interval(means)[1:])
    interval = stats.ttest_1samp([one["gate"].mean() for one in tables], 0).confidence_interval()
    assert interval.low < interval.high
    assert rows_of(table, "return", "imposed")["warnings"] == "network means are equal: no t test"


@pytest.mark.parametrize(
    ("options", "what", "pixels"),
    [
        ({}, "the place", "none"),
        ({"share": 0.6}, "the place", "part"),
        ({"inhibits": "object"}, "the object", "part"),
        ({"inhibits": "both"}, "place and object", "none"),
        ({"inhibits": "pixels"}, "neither place nor object", "part"),
    ],
)
@pytest.mark.parametrize("n_networks", [1, 4])
def test_verdicts(options, what, pixels, n_networks):
    table = statistics_of(*(recorded(seed, 150, **options) for seed in range(n_networks)))
    assert (verdict(table), inhibited(table), own_pixels(table)) == ("imposed by the mask", what, pixels)
    line = verdict_line(table)
    needs = "part of the avoidance needs the object's own pixels" if pixels == "part" else (
        "the object's own pixels are not needed")  # fmt: skip
    expected = "Verdict: avoidance of the attended object is imposed by the mask; what the mask inhibits is"
    assert line == f"{expected} {what}; {needs}."


def test_of_photographs_nothing_is_said_of_own_pixels():
    """Another stimulus's object of the same rank from the left lies elsewhere, whatever its shape is."""
    table = statistics_of(recorded(0, 150, share=0.6))
    line = verdict_line(table, ("scenes", "objects"))
    assert "; whether it needs the object's own pixels cannot be told of photographs, in which " in line


def test_with_nine_stimuli_what_is_inhibited_is_undecided():
    table = statistics_of(recorded(7, 9, inhibits="pixels"))
    assert (verdict(table), inhibited(table)) == ("imposed by the mask", "undecided")
    line = verdict_line(table)
    assert "what the mask inhibits is undecided; " in line
    assert line.endswith("needs the object's own pixels.")


@pytest.mark.parametrize(("n_stimuli", "expected"), [(300, "absent"), (9, "undecided")])
@pytest.mark.parametrize("n_networks", [1, 4])
def test_that_masks_do_nothing_is_shown_by_equivalence(n_stimuli, expected, n_networks):
    table = statistics_of(*(recorded(seed, n_stimuli, memory=False) for seed in range(n_networks)))
    assert verdict(table) == expected
    line = verdict_line(table)
    assert line == f"Verdict: avoidance of the attended object is {expected}."


def test_what_is_inhibited_is_undecided_where_no_stimulus_tells():
    runs = recorded(2)
    runs["chosen"].values[6:] = -1  # as in a mirror in which no objects changed places
    table = statistics_of(runs)
    assert set(table["condition"].dropna()).isdisjoint({"another", "carried", "carried to place"})
    assert (verdict(table), inhibited(table), own_pixels(table)) == ("imposed by the mask", "undecided", "undecided")
    assert any("what the mask inhibits is undecided" in line for line in sentences(table, 3))


def test_the_numbers_of_the_verdict_stand_beside_it():
    runs = recorded(3, 150, share=0.6)
    runs["chosen"].values[7:, :13] = -1
    table = statistics_of(runs)
    lines = sentences(table, 3)
    for condition, n in (("imposed", 150), ("another", 150), ("own less another", 150), ("carried to place", 137)):
        row = rows_of(table, "avoidance", condition)
        (line,) = [line for line in lines if line.startswith(f"  avoidance {AVOIDANCE[condition]}: ")]
        interval = f"{row['estimate']:.3f} [{row['interval_low']:.3f}, {row['interval_high']:.3f}]"
        assert line.endswith(f": {interval} (n = {n})")


def test_how_much_of_the_avoidance_needs_the_own_pixels():
    runs = recorded(3, 150, share=0.6)
    runs["chosen"].values[6, :11] = -1
    table = statistics_of(runs)
    first, another = runs["chosen"].values[[0, 6], 11:]
    back = (first == another).mean()
    rows = {name: rows_of(table, "avoidance", name) for name in ("imposed", "another", "own less another")}
    assert_allclose([row["estimate"] for row in rows.values()], [1, 1 - back, back])
    assert [row["n_stimuli"] for row in rows.values()] == [150, 139, 139]
    need = rows_of(table, "needs own pixels", "another")
    expected = [back, *proportion_confint(139 * back, 139, method="wilson")]
    assert_allclose([need["estimate"], need["interval_low"], need["interval_high"]], expected)


def two_objects(runs):
    """The runs of three objects as if only the first two had been shown."""
    runs = runs.isel(object=slice(2), run=[0, 1, *range(3, 9)])
    for name in ("chosen", "attended"):
        runs[name].values[:] = runs[name].values % 2
    runs["attended"].values[1] = 1 - runs["attended"].values[0]
    runs["place"].values[-2:] = [1, 0]
    return runs


def test_what_is_one_number_with_two_objects_is_tested_once():
    table = adjusted(statistics_of(*(two_objects(recorded(seed)) for seed in range(6))))
    together = table[table["model"] == ""].set_index(["what", "condition"])
    for one, other, sign in ((("avoidance", "carried"), ("avoidance", "carried to place"), -1),
                             (("return", "carried"), ("return to place", "carried"), 1)):  # fmt: skip
        kept, left_out = together.loc[one], together.loc[other]
        assert_allclose(left_out["estimate"], sign * kept["estimate"] + (0 if sign < 0 else 1 - 2 * kept["estimate"]))
        assert kept["p"] >= 0
        assert left_out[["p", "p_adjusted", "p_sign_flip"]].isna().all()
        assert left_out["test"].startswith("none: with two objects")
    three = statistics_of(*map(recorded, range(6)))
    assert three[three["condition"] == "carried to place"]["p"].iloc[0] >= 0


def test_what_follows_from_the_architecture_is_not_tested():
    tables = [return_trials(recorded(seed), f"net{seed}") for seed in range(6)]
    whole = return_statistics(pd.concat(tables), 0, 100)
    control = return_statistics(pd.concat(tables), 0, 100, control="one_step")
    table = adjusted(pd.concat([whole, control], ignore_index=True))
    ablated = rows_of(table, "return", "ablated")
    assert ablated[["p", "p_sign_flip"]].isna().all()
    assert ablated["test"] == "none: follows from the architecture"
    checks = table[table["control"] == "one_step"]
    assert checks["p"].isna().all()
    assert set(checks["test"]) == {"none: checks the code: without feedback no mask acts"}
    lines = sentences(table, 3)
    assert "  return to the first object, no mask: 1.000, which follows from the architecture" in lines
    expected = "  checks of the code, which follow from the architecture: return 0.000 with one time step"
    assert f"{expected}, where no mask acts, not defined at strength 0" in lines


def test_fractions_have_intervals_with_a_width_within_their_limits():
    """Three networks that all but agree: a t interval reaches beyond 0 and 1, or has no width."""
    tables = [return_trials(recorded(seed, 30, share=0.95), f"net{seed}") for seed in range(3)]
    for table in (return_statistics(pd.concat(tables), 0, 100), return_statistics(tables[0], 0, 100)):
        for whats, low, high in ((("return", "return to place", "return by lag", "needs own pixels"), 0, 1),
                                 (("avoidance",), -1, 1)):  # fmt: skip
            rows = table[table["what"].isin(whats)]
            assert len(rows) > 4
            assert (rows["interval_low"] >= low).all()
            assert (rows["interval_high"] <= high).all()
            assert (rows["interval_low"] < rows["interval_high"]).all()


def test_every_network_has_its_rows():
    tables = [return_trials(recorded(seed, 30 + seed), f"net{seed}") for seed in (2, 0, 1)]
    table = adjusted(return_statistics(pd.concat(tables), 0, 100))
    assert list(dict.fromkeys(table["model"])) == ["", "net2", "net0", "net1"]
    together, apart = table[table["model"] == ""], table[table["model"] != ""]
    keys = ["what", "measure", "condition", "phase", "lag"]
    means = apart.groupby(keys, dropna=False, sort=False)["estimate"].mean().reset_index()
    both = together[[*keys, "estimate"]].merge(means, on=keys)
    assert len(both) == len(together)
    assert_allclose(both["estimate_x"], both["estimate_y"], atol=1e-12)
    assert apart[["p", "p_adjusted", "p_sign_flip"]].isna().all(axis=None)
    # What is said of one network does not depend on the others, nor on which are there.
    alone = return_statistics(tables[1], 0, 100).drop(columns="model")
    of_one = table[table["model"] == "net0"].drop(columns=["model", "p_adjusted"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(of_one, alone.drop(columns="p_adjusted"), check_dtype=False)
    row = rows_of(together, "return", "imposed")
    assert (row["n_stimuli"], row["n_stimuli_most"]) == (30, 32)


def test_the_order_in_which_a_store_lists_variables_does_not_reach_the_tables():
    runs = recorded(0)
    for seed in range(4):
        names = np.random.default_rng(seed).permutation(list(runs.data_vars))
        pd.testing.assert_frame_equal(return_trials(runs[list(names)], "a"), return_trials(runs, "a"))


def test_avoidance_is_against_no_mask_on_the_same_pictures():
    trials = return_trials(recorded(5), "a")
    table = return_statistics(trials, 0, 500).set_index(["what", "condition"])
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
    table = return_statistics(trials, 0, 200)
    assert rows_of(table, "return", "another")["n_stimuli"] == 47


def test_an_emergent_return_would_be_seen():
    runs = recorded(3)
    runs["chosen"].values[4] = runs["attended"].values[1]  # without a mask, too, it goes elsewhere
    table = statistics_of(runs)
    assert verdict(table) == "emergent"


def test_a_control_that_avoids_is_a_warning():
    table = statistics_of(recorded(4))
    control = table[(table["condition"] == "imposed") & table["what"].isin(["return", "avoidance"])]
    lines = sentences(pd.concat([table, control.assign(control="untrained")]), 3)
    assert lines[0] == (
        "WARNING: the control untrained avoids the first object: with its mask it returns on a fraction of trials that "
        "is lower by 1.000 [0.940, 1.000] than without."
    )
