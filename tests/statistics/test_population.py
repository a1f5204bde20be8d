from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from neuroattn.statistics.population import Measure, adjust, estimate, estimates


def table(generator, n_models=5, n_channels=7, n_units=11, mean=0.0, sd=(0.3, 0.2, 0.5)):
    """Units with planted variance of networks, channels and units."""
    model, channel = (a.ravel() for a in np.meshgrid(range(n_models), range(n_channels), indexing="ij"))
    value = mean + sd[0] * generator.normal(size=n_models)[model] + sd[1] * generator.normal(size=len(model))
    frame = pd.DataFrame({"model": [f"net{i}" for i in model], "channel": channel, "effect": value})
    frame = frame.loc[frame.index.repeat(n_units)].reset_index(drop=True)
    frame["effect"] += sd[2] * generator.normal(size=len(frame))
    return frame


def run(frame, **options):
    generator, n_resamples = options.pop("generator", np.random.default_rng(0)), options.pop("n_resamples", 200)
    return estimate(frame, "effect", Measure("effect", **{"bounds": (-0.5, 0.5), **options}), generator, n_resamples)


def test_several_networks_are_tested_over_their_means():
    frame = table(np.random.default_rng(1), mean=0.3)
    result = run(frame)
    means = frame.groupby("model")["effect"].mean()
    test = ttest_1samp(means, 0)
    interval = test.confidence_interval(0.95)
    assert_allclose(result["cluster_mean"], means.mean())
    assert_allclose([result["cluster_mean_low"], result["cluster_mean_high"]], [interval.low, interval.high])
    of_network = ttest_1samp(frame.groupby("model")["effect"].median(), 0)
    assert_allclose(result["estimate"], frame.groupby("model")["effect"].median().mean())
    interval = of_network.confidence_interval(0.95)
    assert_allclose([result["interval_low"], result["interval_high"]], [interval.low, interval.high])
    assert_allclose(result["effect_size"], means.mean() / means.std())
    assert_allclose(result["p"], test.pvalue)
    assert_allclose(result["p_equivalence"], DescrStatsW(means.to_numpy()).ttost_mean(-0.5, 0.5)[0])
    assert np.isnan([result["p_within_network"], result["p_equivalence_within_network"]]).all()
    assert result["interval_low"] < result["estimate"] < result["interval_high"]
    assert (result["n_models"], result["n_channels"], result["n_units"], result["n_missing"]) == (5, 35, 385, 0)
    assert result["scope"] == "5 networks"
    assert (
        result["test"] == "two-sided one-sample t test of 5 network means against 0; two one-sided t tests against ±0.5"
    )
    assert (result["equivalence_low"], result["equivalence_high"], result["warnings"]) == (-0.5, 0.5, "")


def test_one_network_gives_no_population_p():
    frame = table(np.random.default_rng(2), n_models=1, mean=0.3)
    result = run(frame)
    means = frame.groupby("channel")["effect"].mean()
    assert np.isnan([result["p"], result["p_equivalence"]]).all()
    assert_allclose(result["p_within_network"], ttest_1samp(means, 0).pvalue)
    assert_allclose(result["p_equivalence_within_network"], DescrStatsW(means.to_numpy()).ttost_mean(-0.5, 0.5)[0])
    assert_allclose(result["cluster_mean"], means.mean())
    assert result["scope"] == "units of one network"
    assert (
        result["test"]
        == "two-sided one-sample t test of 7 channel means of one network against 0; two one-sided t tests against ±0.5"
    )


def test_ratios_are_averaged_on_the_log_scale():
    frame = table(np.random.default_rng(3), mean=0.1)
    ratios = frame.assign(effect=np.exp(frame["effect"]))
    result = run(ratios, null=1.0, bounds=(0.8, 1.25), log=True)
    means = frame.groupby("model")["effect"].mean()
    assert_allclose(result["cluster_mean"], np.exp(means.mean()))
    interval = ttest_1samp(means, 0).confidence_interval(0.95)
    assert_allclose([result["cluster_mean_low"], result["cluster_mean_high"]], np.exp([interval.low, interval.high]))
    assert_allclose(result["effect_size"], means.mean() / means.std())
    assert_allclose(result["p"], ttest_1samp(means, 0).pvalue)
    bounds = np.log([0.8, 1.25])
    assert_allclose(result["p_equivalence"], DescrStatsW(means.to_numpy()).ttost_mean(*bounds)[0])
    medians = np.log(ratios.groupby("model")["effect"].median())
    assert_allclose(result["estimate"], np.exp(medians.mean()))
    interval = ttest_1samp(medians, 0).confidence_interval(0.95)
    assert_allclose([result["interval_low"], result["interval_high"]], np.exp([interval.low, interval.high]))
    assert result["test"].endswith("against 1 on the log scale; two one-sided t tests against 0.8 to 1.25")


def test_missing_values_are_dropped_and_counted():
    frame = table(np.random.default_rng(4))
    holes = frame.copy()
    holes.loc[[3, 50, 200], "effect"] = np.nan
    assert_allclose(run(holes)["estimate"], run(frame.drop(index=[3, 50, 200]))["estimate"])
    assert (run(holes)["n_missing"], run(holes)["n_units"]) == (3, 382)
    assert run(holes.convert_dtypes())["n_missing"] == 3


def test_values_without_a_use_are_named():
    frame = table(np.random.default_rng(4), mean=10)
    frame.loc[0, "effect"] = np.inf
    assert run(frame)["warnings"] == "1 infinite values are in the median and not in the cluster means"
    assert run(frame)["n_missing"] == 0
    assert_allclose(run(frame)["estimate"], frame.groupby("model")["effect"].median().mean())
    frame.loc[0, "effect"] = 0.0
    result = run(frame, null=1.0, bounds=None, log=True)
    assert result["warnings"] == "1 values <= 0 have no logarithm and are not in the cluster means"
    assert (result["n_missing"], result["n_units"]) == (0, 385)
    assert_allclose(result["estimate"], np.exp(np.log(frame.groupby("model")["effect"].median()).mean()))


def test_medians_that_have_no_mean_are_told_by_their_median_and_extremes():
    frame = table(np.random.default_rng(4), mean=10)
    frame.loc[frame["model"] == "net3", "effect"] = np.inf
    result = run(frame, null=1.0, bounds=None, log=True)
    medians = frame.groupby("model")["effect"].median()
    assert_allclose(result["estimate"], medians.median())
    assert (result["interval_low"], result["interval_high"]) == (medians.min(), np.inf)
    assert result["warnings"].endswith(
        "networks have medians of which no mean can be taken: the estimate is the median of 5 networks between the "
        "smallest and the largest, an interval of 93.75 %"
    )


def test_an_index_has_no_interval_beyond_its_limits():
    frame = table(np.random.default_rng(4), n_models=3)
    frame["effect"] = np.where(frame["model"] == "net1", 0.6, np.minimum(0.97 + frame["effect"].abs() / 100, 1.0))
    plain, limited = run(frame), run(frame, limits=(-1.0, 1.0))
    assert plain["interval_high"] > 1
    assert plain["cluster_mean_high"] > 1
    assert limited["interval_low"] < limited["estimate"] < limited["interval_high"] < 1
    assert limited["cluster_mean_low"] < limited["cluster_mean"] < limited["cluster_mean_high"] < 1
    assert_allclose([limited["estimate"], limited["p"]], [plain["estimate"], plain["p"]])


def test_every_network_has_a_row_of_its_own():
    frame = table(np.random.default_rng(9))
    rows = list(estimates(frame, "effect", Measure("effect"), np.random.default_rng(0)))[1:]
    assert [row["model"] for row in rows] == [f"net{k}" for k in range(5)]
    for row in rows:
        of_network = frame[frame["model"] == row["model"]]
        means = of_network.groupby("channel")["effect"].mean()
        interval = ttest_1samp(means, 0).confidence_interval(0.95)
        assert_allclose(row["estimate"], of_network["effect"].median())
        assert_allclose([row["cluster_mean_low"], row["cluster_mean_high"]], [interval.low, interval.high])
        assert (row["n_models"], row["n_channels"], row["n_units"]) == (1, 7, 77)
        assert np.isnan([row["p"], row["p_within_network"]]).all()
    of_one = frame[frame["model"] == "net0"]
    assert len(list(estimates(of_one, "effect", Measure("effect"), np.random.default_rng(0)))) == 1


def test_no_bounds_no_equivalence_test():
    result = run(table(np.random.default_rng(5)), bounds=None)
    keys = ["equivalence_low", "equivalence_high", "p_equivalence", "p_equivalence_within_network"]
    assert np.isnan([result[key] for key in keys]).all()
    assert 0 < result["p"] < 1


def test_one_channel_of_one_network_gives_no_test():
    result = run(table(np.random.default_rng(6), n_models=1, n_channels=1))
    keys = ["p", "p_within_network", "p_equivalence", "p_equivalence_within_network", "effect_size", "cluster_mean_low"]
    assert np.isnan([result[key] for key in keys]).all()
    assert result["warnings"] == (
        "1 cluster(s): a difference test needs at least 2; 1 independent value(s): an equivalence test needs at least 2"
    )
    assert np.isfinite([result["estimate"], result["interval_low"], result["cluster_mean"]]).all()


def test_no_values_left():
    frame = table(np.random.default_rng(7)).assign(effect=np.nan)
    result = run(frame)
    assert (result["n_units"], result["n_missing"], result["n_models"], result["scope"]) == (0, 385, 0, "no units")
    assert np.isnan([result[key] for key in ("estimate", "interval_low", "cluster_mean", "p", "p_equivalence")]).all()


def test_effect_of_exactly_nothing():
    result = run(table(np.random.default_rng(8)).assign(effect=0.0))
    assert (result["p"], result["p_equivalence"], result["estimate"]) == (1.0, 0.0, 0.0)
    assert np.isnan(result["effect_size"])
    assert "all 5 cluster means are equal: the difference test rests on no variance" in result["warnings"]


def test_interval_is_as_wide_as_the_networks_differ():
    frame = table(np.random.default_rng(9), sd=(1.0, 0.2, 0.5))
    result = run(frame, n_resamples=2000)
    between_networks = 1.96 * frame.groupby("model")["effect"].median().std(ddof=0) / np.sqrt(5)
    assert result["interval_high"] - result["interval_low"] > 1.5 * between_networks


@pytest.mark.slow
@pytest.mark.parametrize(("n_models", "suffix"), [(1, "_within_network"), (5, "")])
def test_error_rates_are_nominal(n_models, suffix):
    """With the true mean on the upper bound, which is also the null, both tests may reject 5 % of the time."""
    generator = np.random.default_rng(21)
    sd = (0.05 if n_models > 1 else 0.0, 0.05, 0.1)
    frame = table(generator, n_models=n_models, n_channels=5, n_units=3)
    cluster = frame.groupby(["model", "channel"]).ngroup().to_numpy()
    rejected = []
    for _ in range(1500):
        networks = sd[0] * np.repeat(generator.normal(size=n_models), 15)
        channels = sd[1] * generator.normal(size=5 * n_models)[cluster]
        frame["effect"] = 0.5 + networks + channels + sd[2] * generator.normal(size=len(frame))
        result = run(frame, null=0.5, generator=generator, n_resamples=1)
        rejected.append([result[f"p{suffix}"] < 0.05, result[f"p_equivalence{suffix}"] < 0.05])
    assert_allclose(np.mean(rejected, axis=0), 0.05, atol=0.015)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda frame: frame.drop(columns="channel"),
            {},
            "units must have the columns model, channel and effect, got none named channel; pass a unit table",
        ),
        (
            lambda frame: frame.assign(channel=frame["channel"].where(frame.index > 2)),
            {},
            "model and channel must be given for every unit, got 3 without; label them first",
        ),
        (
            lambda frame: frame,
            {"bounds": (0.5, -0.5)},
            "bounds must be (low, high) with low below high, got (0.5, -0.5); state them in that order",
        ),
        (
            lambda frame: frame,
            {"log": True},
            "null and bounds must be > 0 on the log scale, got 0.0 and (-0.5, 0.5); pass ratios, or log=False",
        ),
    ],
)
def test_refuses(change, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(change(table(np.random.default_rng(0))), **options)


def test_adjust_agrees_with_statsmodels_and_leaves_gaps():
    p = pd.Series([0.01, np.nan, 0.04, 0.03, np.nan, 0.5], index=list("abcdef"), name="p")
    adjusted = adjust(p)
    assert_array_equal(adjusted.isna(), p.isna())
    assert_allclose(adjusted.dropna(), multipletests(p.dropna(), method="fdr_bh")[1])
    assert adjusted.name == "p"
    assert list(adjusted.index) == list("abcdef")
    assert p["a"] == 0.01


def test_adjust_without_tests():
    assert adjust(pd.Series([np.nan, np.nan])).isna().all()
    assert len(adjust(pd.Series([], dtype=float))) == 0


def test_adjust_refuses_what_is_no_p():
    message = "p must be in [0, 1] or NaN, got 2.5; pass p values, not test statistics"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        adjust(pd.Series([0.1, 2.5]))
