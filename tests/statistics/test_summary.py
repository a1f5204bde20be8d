"""From constructed unit tables to tidy rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from statsmodels.stats.multitest import multipletests

from neuroattn.statistics.population import Measure
from neuroattn.statistics.summary import COLUMNS, Draws, adjusted, summarise, summary

MEASURES = (
    Measure("gain", null=1.0, log=True, bounds=(0.9, 1 / 0.9), sign_flip=True),
    Measure("absolute", kind="sized", units=lambda units: units["driven"]),
    Measure("slope", kind="described"),
    Measure("missing"),
)


def units(*networks):
    """Return seven units of a channel, five channels a network; those of the last channel are excluded."""
    table = pd.DataFrame({"model": np.repeat(networks, 35), "channel": np.tile(np.repeat(range(5), 7), len(networks))})
    random = np.random.default_rng(0)
    table[["gain", "absolute", "slope"]] = random.lognormal(0.2, 0.1, (len(table), 3))
    table["driven"] = table["channel"] > 0
    table["excluded_by"] = np.where(table["channel"] == 4, "not driven", "")
    return table.assign(layer="stage2/response", n_stimuli=11)


def test_each_kind_of_measure_is_summarised_as_it_may_be():
    table = summary(units("b", "a", "c"), MEASURES, 0, 100)
    assert tuple(table.columns) == COLUMNS
    assert table.loc[table["what"] == "gain", "model"].tolist() == ["", "b", "a", "c"]
    whole = table[table["model"] == ""].set_index("what")
    assert (table["n_stimuli"] == 11).all()
    gain, sized, described = (whole.loc[name] for name in ("gain", "absolute", "slope"))
    assert (gain["n_units"], sized["n_units"]) == (84, 84)  # of each those that it is a measure of
    assert gain["test"] == (
        "two-sided one-sample t test of 3 network means against 1 on the log scale; two one-sided t tests against 0.9 "
        "to 1.11111"
    )
    assert gain["p_sign_flip"] == gain["smallest_p_sign_flip"] == 0.25
    assert gain["warnings"] == "3 networks cannot give p below 0.25"
    assert gain[["p", "effect_size", "p_equivalence"]].notna().all()
    assert (sized["test"], described["test"]) == ("none", "none")
    assert sized[["p", "effect_size", "p_sign_flip"]].isna().all()
    assert sized["cluster_mean_low"] < sized["cluster_mean"]
    assert described[["p", "cluster_mean", "cluster_mean_low"]].isna().all()
    counts = whole.loc[["n_recorded_units", "n_excluded: not driven"], "estimate"]
    assert counts.tolist() == [105, 21]
    one = table[(table["model"] == "a") & (table["what"] == "gain")].iloc[0]
    assert one[["p", "p_within_network", "p_equivalence", "interval_low"]].isna().all()
    assert one["cluster_mean_low"] < one["cluster_mean"]


def test_a_rows_random_numbers_depend_on_its_name_alone():
    table = units("a")
    whole = {row["what"]: row for row in summarise(table, MEASURES, Draws(0, 100, "stage2/"))}
    (alone,) = summarise(table, MEASURES[2:3], Draws(0, 100, "stage2/"))
    assert alone == {**whole["slope"], **{name: alone[name] for name in alone if alone[name] != alone[name]}}
    (other,) = summarise(table, MEASURES[2:3], Draws(0, 100, "stage3/"))
    assert other["interval_low"] != alone["interval_low"]
    (renamed,) = summarise(table.add_suffix("_mean").rename(columns=lambda name: name.replace("_mean", "")
                           if name[:5] in {"model", "chann", "exclu"} else name), MEASURES[2:3],
                           Draws(0, 100, "stage2/"), "_mean")  # fmt: skip
    assert renamed["interval_low"] == alone["interval_low"]


def test_families_of_tests_are_adjusted_each_by_itself():
    p = [0.01, 0.02, 0.03, 0.04, np.nan, 0.5]
    table = pd.DataFrame({"what": list("aabbab"), "control": ["", "", "", "untrained", None, "untrained"], "p": p})
    found = adjusted(table, table["what"] == "b")["p_adjusted"]
    assert_allclose(found[:2], multipletests(p[:2], method="fdr_bh")[1])
    assert_allclose(found[[3, 5]], multipletests([0.04, 0.5], method="fdr_bh")[1])
    assert found[2] == 0.03
    assert np.isnan(found[4])
    assert "p_within_network_adjusted" not in adjusted(table)
