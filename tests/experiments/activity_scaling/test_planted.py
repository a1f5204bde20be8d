"""Activity scaling on a subject whose modulation is known: what was planted comes back, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.experiments import pairs
from neuroattn.experiments.activity_scaling import protocol as activity_scaling
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.planted.scaled import ScaledUnits, scaled_subject


def planted(seed=0, **effect):
    """Return a subject of composites of two digits."""
    return scaled_subject(ScaledUnits(1, 7, 4, left=11, right=28, seed=seed, **effect), name=f"planted-{seed}")


def run(*subjects, shuffled="", **options):
    """Run the protocol; the recording of another control stands in for that of shuffled gates, which nobody has."""
    config = activity_scaling.Config(
        **{"controls": ("none",), "strengths": (0.2,), "n_resamples": 100, "n_units": 700, "noise": 0.3} | options
    )
    shown = pairs.pair_stimuli(config, ())
    trees = {one.name: activity_scaling.recording(config, one.facing(shown.size), shown) for one in subjects}
    if shuffled:
        for tree in trees.values():
            tree["controls/shuffled_gates"] = tree[f"controls/{shuffled}"].copy()
        config = dataclasses.replace(config, controls=(*config.controls, "shuffled_gates"))
    return activity_scaling.analysis(config, xr.DataTree(children=trees))


def row(tables, what):
    rows = tables.statistics[(tables.statistics["what"] == what) & tables.statistics["time_step"].isna()]
    return rows[rows["strength"].isna() & (rows["model"] == "")].iloc[0]


def told(tables, text):
    return any(text in line for line in tables.text)


@pytest.mark.parametrize(
    ("gain", "offset", "form"),
    [(1.6, 0.0, "multiplicative"), (1.0, 0.3, "additive"), (1.3, 0.2, "multiplicative and additive")],
)
def test_planted_gain_and_offset_come_back(gain, offset, form):
    tables = run(planted(gain=gain, offset=offset), n_stimuli=200)
    units = tables.units[tables.units["excluded_by"] == ""]
    assert len(units) > 100
    assert set(units["own"]) == {0, 1}
    mean = units["mean_unattended"]
    assert_allclose(units["mean_attended"], gain * mean + offset, rtol=1e-5)
    assert_allclose(units["difference"], (gain - 1) * mean + offset, rtol=1e-4)
    assert_allclose(units["modulation_index"], units["difference"] / (units["mean_attended"] + mean), rtol=1e-5)
    assert_allclose(row(tables, "slope")["estimate"], gain, rtol=1e-4)
    assert_allclose(row(tables, "intercept")["estimate"], offset, atol=1e-4)
    assert told(tables, f"; the effect is {form}")
    assert tables.text[-1].startswith("Biology")
    index = row(tables, "modulation_index")
    numbers = [f"{index[f'cluster_mean{kind}']:.3f}" for kind in ("", "_low", "_high")]
    assert (
        "    'Attention to its object increases a unit's activity': supported (mean index over "
        "{} channels {} [{}, {}])".format(int(index["n_channels"]), *numbers)
    ) in tables.text
    # The first step is before any gate.
    assert_allclose(units["modulation_index_step_0"], 0, atol=1e-12)
    assert_allclose(units["modulation_index_step_1"], units["modulation_index"], rtol=1e-3)
    numbers = row(tables, "modulation_index")[["n_stimuli", "n_stimuli_selection", "n_stimuli_dropped"]]
    assert numbers.sum() == 200
    assert set(units["n_stimuli"]) == {numbers["n_stimuli"]}


def test_where_nothing_is_planted_nothing_is_found():
    tables = run(planted(gain=1.0, offset=0.0), n_stimuli=100)
    for what, null in (("modulation_index", 0), ("gain_ratio", 1), ("difference", 0), ("slope", 1), ("intercept", 0)):
        assert_allclose(row(tables, what)["estimate"], null, atol=1e-6)
    assert_allclose(row(tables, "roc_area")["estimate"], 0.5)
    assert told(tables, "    'Attention to its object increases a unit's activity': absent (mean index over ")
    assert told(tables, "; the effect is neither multiplicative nor additive")
    assert told(tables, "Time steps whose index differs from 0 (cluster permutation): response none shown.")


def test_units_that_no_object_drives_take_no_part_though_attention_moves_them():
    """Bias and background noise make them respond, and attention raises that: a threshold on it would count them."""
    tables = run(planted(gain=1.5, undriven=3), n_stimuli=100)
    units = tables.units
    idle = units[units["channel"] < 3]
    assert len(idle) > 50
    assert set(idle["excluded_by"]) == {"not driven by its object"}
    assert_allclose(idle["ungated_with_object"], idle["ungated_without_object"], rtol=1e-6)
    measured = units[units["excluded_by"] == ""]
    assert (measured["ungated_with_object"] - measured["ungated_without_object"] > 0.02).all()
    assert_allclose(row(tables, "modulation_index")["estimate"], 0.2, rtol=1e-5)
    # Channels that ink turns down are not driven by it either, however strongly they respond.
    assert ((units["ungated_with_object"] > 0.05) & (units["excluded_by"] != "") & (units["channel"] >= 3)).any()


def test_every_unit_is_in_one_class_of_every_network():
    tables = run(planted(gain=1.5), planted(gain=1.4, seed=1), n_stimuli=60, n_control_stimuli=20)
    counts = tables.statistics[tables.statistics["what"].str.startswith("n_")]
    for name, of_network in (("", tables.units), *tables.units.groupby("model")):
        rows = counts[counts["model"] == name].set_index("what")["estimate"]
        assert rows["n_recorded"] == len(of_network) == rows.drop("n_recorded").sum()


def test_gates_of_stimuli_with_the_same_side_attended_leave_an_effect_of_the_side_as_it_is():
    tables = run(planted(gain=1.5), n_stimuli=60, n_control_stimuli=40, controls=("intact",), shuffled="intact")
    controls = tables.statistics[tables.statistics["control"].ne("")].set_index("control")
    assert_allclose(controls.loc["shuffled_gates", "estimate"], controls.loc["intact", "estimate"], rtol=1e-6)
    assert (controls["confirmed"] == 1).all()
    assert told(
        tables, "    controls (share of presentations confirmed): intact 0.200 (1.00), shuffled_gates 0.200 (1.00)"
    )
    assert_allclose(tables.units["share_of_shuffled_gates"].dropna(), 1, rtol=1e-5)
    assert told(tables, "difference A − N under gates of other stimuli, as a share of each unit's own: 1.000 ")
    assert told(tables, "gates of other stimuli do as much (as much: 0.8 to 1.25)")


@pytest.mark.slow
def test_several_networks_are_the_sample():
    subjects = [planted(gain=1.2 + 0.1 * seed, offset=0.1, seed=seed) for seed in range(6)]
    tables = run(*subjects, n_stimuli=60, n_control_stimuli=20)
    index = row(tables, "modulation_index")
    means = tables.units.groupby("model")["modulation_index"].mean()
    assert index["scope"] == "6 networks"
    assert_allclose(index["cluster_mean"], means.mean())
    assert index["p"] < 0.01
    assert index["p_sign_flip"] == index["smallest_p_sign_flip"] == 2 / 2**6
    mixed = row(tables, "mixed model: attention")
    assert_allclose(mixed["estimate"], means.mean(), rtol=0.05)
    cluster = tables.statistics[tables.statistics["what"] == "cluster"].iloc[0]
    of_network = tables.statistics[tables.statistics["model"] != ""]
    of_network = of_network[of_network["what"] == "modulation_index"].query("strength.isna()").set_index("model")
    medians = tables.units.groupby("model")["modulation_index"].median()
    assert_allclose(of_network["estimate"][medians.index], medians)
    assert_allclose(index["estimate"], medians.mean())
    assert (cluster["time_step"], cluster["last_step"], cluster["p"]) == (1, 4, 2 / 2**6)
    assert np.isnan(cluster["p_within_network"])
    assert told(tables, "Time steps whose index differs from 0 (cluster permutation): response 1 to 4.")


def test_a_subject_that_does_not_attend_is_refused():
    network = GatedNetwork(digits_config(channels=(7,)), torch.Generator().manual_seed(0), name="blind").eval()
    # All gates are shut and stay so: no place is passed on as inhibited, and no cue differs from the other.
    torch.nn.init.zeros_(network.stages[0].top_down.deconv.weight)
    torch.nn.init.constant_(network.stages[0].top_down.deconv.bias, 5)
    blind = subject_of(network)
    text = (
        "attention was confirmed in both states of 0 stimuli that select and 0 that measure, and must be of 8; "
        ".* take another model than blind, one that attends them"
    )
    with pytest.raises(ValueError, match=text):
        run(blind, n_stimuli=40, n_control_stimuli=20)
