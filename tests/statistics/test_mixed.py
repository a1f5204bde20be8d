from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formula
from numpy.testing import assert_allclose
from refused import refused
from scipy import stats

from neuroattn.statistics.mixed import mixed_model


def units(seed, n_models=7, n_layers=2, n_units=13, means=(0.4, 0.1), sd=(0.3, 0.3, 1.0)):
    """Differences of units with planted variance of networks, of layers within them, and of units."""
    random, rows = np.random.default_rng(seed), []
    for model in range(n_models):
        of_model = random.normal(0, sd[0])
        for layer in range(n_layers):
            effect = means[layer] + of_model + random.normal(0, sd[1])
            differences = effect + random.normal(0, sd[2], n_units)
            rows.append(pd.DataFrame({"model": f"net{model}", "layer": f"stage{layer + 1}", "effect": differences}))
    return pd.concat(rows, ignore_index=True)


def means_of(table):
    """Return the mean of every network (row) in every layer (column)."""
    return table.pivot_table("effect", "model", "layer")


def test_one_layer_of_balanced_networks_is_a_t_test_over_their_means():
    table = units(0, n_layers=1, n_units=101, sd=(0.5, 0, 1.0))
    (row,) = mixed_model(table, "effect").to_dict("records")
    means = table.groupby("model")["effect"].mean()
    test = stats.ttest_1samp(means, 0)
    assert_allclose([row["estimate"], row["t"], row["p"]], [means.mean(), test.statistic, test.pvalue], rtol=1e-4)
    interval = test.confidence_interval()
    assert_allclose([row["interval_low"], row["interval_high"]], [interval.low, interval.high], rtol=1e-3)
    assert (row["what"], row["layer"], row["against"], row["df"]) == ("attention", "stage1", "", 6)
    assert (row["n_models"], row["n_units"], row["n_missing"], row["converged"]) == (7, 707, 0, True)


def test_two_layers_of_balanced_networks_are_compared_within_them():
    table = units(1, sd=(0.5, 0.6, 1.0))
    found = mixed_model(table, "effect").set_index(["what", "layer"])
    means = means_of(table)
    test = stats.ttest_rel(means["stage2"], means["stage1"])
    row = found.loc[("attention × layer", "stage2")]
    assert row["against"] == "stage1"
    assert_allclose(
        [row["estimate"], row["t"], row["p"]],
        [*(means["stage2"] - means["stage1"]).agg(["mean"]), *test[:2]],
        rtol=1e-3,
    )
    assert_allclose(found.loc["attention", "estimate"], means.mean())


def test_layers_of_unequal_variance_are_told():
    """One variance stands for both: that of the loud layer is then taken for too small."""
    table = units(5)
    assert mixed_model(table, "effect")["warnings"].eq("").all()
    loud = table["layer"] == "stage2"
    table.loc[loud, "effect"] *= 4
    told = mixed_model(table, "effect")["warnings"].iloc[0]
    assert "of the layer that varies more the test is too bold, and its own t test over networks decides" in told


def test_the_differences_say_what_the_model_of_the_responses_says():
    """The whole model, with an intercept of its own for every unit, on few units."""
    table = units(2, n_models=5, n_layers=1, n_units=6, sd=(0.6, 0, 0.5)).reset_index(names="unit")
    base = np.random.default_rng(3).normal(3, 1, len(table))
    states = [table.assign(response=base, attention=0.0), table.assign(response=base + table["effect"], attention=1.0)]
    responses = pd.concat(states, ignore_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of networks' means that is 0 was planted
        whole = formula.mixedlm(
            "response ~ attention",
            responses,
            groups="model",
            re_formula="1 + attention",
            vc_formula={"unit": "0 + C(unit)"},
        ).fit()
    (row,) = mixed_model(table, "effect").to_dict("records")
    assert_allclose(row["estimate"], whole.fe_params["attention"], rtol=0.02)
    assert_allclose(row["standard_error"], whole.bse_fe["attention"], rtol=0.05)


def test_networks_of_unequal_size_are_not_weighted_by_their_units():
    table = units(4, n_layers=1, sd=(1.0, 0, 0.1))
    more = pd.concat([table, *[table[table["model"] == "net0"]] * 40])
    (row,) = mixed_model(more, "effect").to_dict("records")
    assert_allclose(row["estimate"], table.groupby("model")["effect"].mean().mean(), atol=0.02)


@pytest.mark.slow
def test_the_optimum_is_reached():
    """Where variances are small, statsmodels' first choice of method stops short of it, by up to a factor of two."""
    for seed in range(10):
        table = units(seed, n_models=10, n_units=30, sd=(0.3, 0.2, 0.5))
        found = mixed_model(table, "effect").set_index("what")
        means = means_of(table)
        expected = stats.ttest_rel(means["stage2"], means["stage1"]).pvalue
        assert_allclose(found.loc["attention × layer", "p"], expected, rtol=0.01)
        assert found["converged"].all()


def test_missing_values_and_warnings_are_kept():
    table = units(5)
    table.loc[[0, 20], "effect"] = np.nan
    assert set(mixed_model(table, "effect")["n_missing"]) == {2}
    flat = units(6, sd=(0.0, 0.0, 1.0))
    result = mixed_model(flat, "effect")
    assert result["warnings"].str.contains("boundary").all()


def test_effect_sizes_are_over_the_spread_of_networks():
    table = units(7)
    found = mixed_model(table, "effect")["effect_size"]
    means = means_of(table)
    contrast = means["stage2"] - means["stage1"]
    assert_allclose(found, [*(means.mean() / means.std()), contrast.mean() / contrast.std()])


def test_differences_without_any_noise_have_no_test():
    table = units(0).assign(effect=1.0)
    found = mixed_model(table, "effect")
    assert_allclose(found["estimate"], [1, 1, 0], atol=1e-9)
    assert found[["p", "effect_size", "interval_low"]].isna().all(axis=None)
    # What the fit makes of networks that differ and units that do not is arbitrary.
    constant = table.assign(effect=table["model"].str.removeprefix("net").astype(float))
    found = mixed_model(pd.concat([constant, constant.head(13)]), "effect")
    assert found[["p", "interval_low"]].isna().all(axis=None)
    assert found["warnings"].str.contains("which leaves no noise to model").all()


def test_layers_keep_the_order_of_the_table():
    table = units(0).replace({"layer": {"stage1": "V1", "stage2": "IT"}})
    found = mixed_model(table, "effect")
    assert found["layer"].tolist() == ["V1", "IT", "IT"]
    assert found["against"].tolist() == ["", "", "V1"]
    means = table.groupby("layer")["effect"].mean()
    assert_allclose(found["estimate"].iloc[:2], means[["V1", "IT"]])


def test_a_variance_of_nothing_at_all():
    """Differences on which statsmodels' first method meets a variance of exactly 0 and gives up."""
    random = np.random.default_rng(0)
    network, layer, unit = (i.ravel() for i in np.meshgrid(range(10), range(2), range(8), indexing="ij"))
    for _ in range(582):
        effect = random.normal(0, 0.3, 10)[network] + random.normal(0, 0.2, (10, 2))[network, layer]
        effect = effect + random.normal(0, 0.3, len(unit)) + random.normal(0, 1, (len(unit), 6)).mean(axis=1)
    found = mixed_model(pd.DataFrame({"model": network, "layer": layer, "effect": effect}), "effect")
    assert_allclose(found["estimate"].iloc[:2], [effect[layer == k].mean() for k in (0, 1)], rtol=1e-6)
    residuals = effect - np.where(layer == 0, *[effect[layer == k].mean() for k in (0, 1)])
    assert_allclose(found["standard_error"].iloc[0], np.sqrt(np.sum(residuals**2) / 158 / 80), rtol=0.001)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            lambda table: table.drop(columns="layer"),
            "units must have the columns model, layer and effect, got none named layer",
        ),
        (lambda table: table[table["model"] == "net0"], "units must be of at least 2 networks, got 1"),
        (lambda table: table.iloc[13:], "units must be of every layer in every network, got none of stage1 in net0"),
        (lambda table: table.assign(effect=np.inf), "effect must be finite, got 182 infinite values"),
        (
            lambda table: table.groupby(["model", "layer"]).head(1),
            "units must be at least 2 in a layer of a network, got 1 in each",
        ),
    ],
)
def test_what_cannot_be_modelled(change, error):
    with refused(f"{error}*"):
        mixed_model(change(units(0)), "effect")
