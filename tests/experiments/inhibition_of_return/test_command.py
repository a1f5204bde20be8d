"""``python -m neuroattn.experiments.inhibition_of_return`` as users run it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.dims import CONTROLS
from neuroattn.evaluation.trials import evaluate
from neuroattn.experiments.inhibition_of_return import protocol as inhibition_of_return
from neuroattn.models.checkpoint import load_model
from neuroattn.stimuli.digits import Composites
from neuroattn.subjects.adapter import subject_of


@pytest.mark.slow
def test_the_papers_contrast_is_that_of_the_evaluation(finished):
    folder = finished("inhibition_of_return")
    """The same composites through the other path."""
    import torch

    stimuli = inhibition_of_return.stimuli(inhibition_of_return.Config(n_stimuli=60, n_control_stimuli=30), ())
    shown = Composites(
        images=torch.tensor(stimuli.images),
        objects=torch.tensor(stimuli.objects),
        labels=torch.tensor(stimuli.table[["label_0", "label_1"]].to_numpy()),
        digit=torch.tensor(stimuli.table[["digit_0", "digit_1"]].to_numpy()),
    )
    expected = evaluate(load_model("digits-0"), shown).set_index("what")
    statistics = pd.read_csv(folder / "statistics.csv")
    main_rows = statistics[statistics["control"].isna() & (statistics["what"] == "contrast")].set_index("measure")
    for measure in ("attended", "unattended", "difference"):
        columns = ["estimate", "sd"]
        assert_allclose(
            main_rows.loc[measure, columns].astype(float),
            expected.loc[f"gate_{measure}", columns].astype(float),
            rtol=1e-4,
        )
    assert_allclose(
        main_rows.loc["difference", "effect_size"], expected.loc["gate_difference_dz", "estimate"], rtol=1e-3
    )


@pytest.mark.slow
def test_controls(finished):
    folder = finished("inhibition_of_return")
    statistics = pd.read_csv(folder / "statistics.csv")
    back = statistics[statistics["what"] == "return"].set_index("control")
    # At strength 0 no choice is defined.
    assert set(back.index.dropna()) == set(CONTROLS) - {"zero_strength"}
    assert back.loc["one_step", "estimate"] == 1  # where no feedback acts
    assert back.loc["intact", "estimate"] < 0.1
    assert (back.loc[["one_step", "intact", "untrained"], "n_stimuli"] == 30).all()


@pytest.mark.slow
def test_every_network_has_an_untrained_one_of_its_own():
    """Untrained networks of one seed would be one network that counts as many."""
    config = inhibition_of_return.Config(n_stimuli=20, n_control_stimuli=20, controls=("untrained",))
    shown = inhibition_of_return.stimuli(config, ())
    gates = []
    for name in ("digits-0", "digits-1", "digits-0"):
        tree = inhibition_of_return.recording(config, subject_of(load_model(name)), shown)
        gates.append(tree["controls/untrained"]["gate"].values)
    assert_array_equal(gates[0], gates[2])
    assert not (gates[0] == gates[1]).all()


@pytest.mark.slow
def test_the_order_in_which_a_store_lists_groups_and_variables_does_not_matter(finished):
    folder = finished("inhibition_of_return")
    config = inhibition_of_return.Config(n_stimuli=60, n_control_stimuli=30, n_resamples=100)
    with xr.open_datatree(folder / "recording.zarr", engine="zarr", consolidated=False) as tree:
        paths = [node.path for node in tree.subtree if node.has_data]
        recorded = {path: tree[path].to_dataset().load() for path in paths}
    found = set()
    for seed in range(3):
        random = np.random.default_rng(seed)
        listed = {
            path: recorded[path][list(random.permutation(list(recorded[path].data_vars)))]
            for path in random.permutation(paths)
        }
        tables = inhibition_of_return.analysis(config, xr.DataTree.from_dict(listed))
        found.add((tables.statistics.to_csv(), tables.units.to_csv(), tables.text))
    assert len(found) == 1


@pytest.mark.slow
def test_trials_are_a_row_an_object_of_a_run(finished):
    folder = finished("inhibition_of_return")
    trials = pd.read_parquet(folder / "units.parquet")
    assert 9 * 60 * 2 < len(trials) <= 10 * 60 * 2  # "another" lacks stimuli alone of their place in a batch
    assert trials.groupby(["condition", "phase", "stimulus_id"])["chosen"].sum().eq(1).all()
    with xr.open_datatree(folder / "recording.zarr", engine="zarr", consolidated=False) as tree:
        assert dict(tree["digits-0/trials"].sizes) == {"run": 10, "stimulus": 60, "object": 2}
