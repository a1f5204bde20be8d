"""Second phases under other masks, on a trained network: what each must give, and measures by hand."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.experiments.inhibition_of_return.recording import changed_places, record_returns
from neuroattn.models.checkpoint import load_model
from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import free_trial, run_phase
from neuroattn.stimuli.digits import SHIFT, sample_composites, stimulus_set
from neuroattn.stimuli.mnist import embedded
from neuroattn.stimuli.stimulus_set import StimulusSet

N = 23


def composites(n_objects, number=N):
    generator = torch.Generator().manual_seed(3)
    return stimulus_set(sample_composites(embedded(), number, n_objects=n_objects, noise=0.3, generator=generator))


def returns(network, stimuli, batch_size=12):
    return record_returns(
        network, stimuli, noise=0.3, generator=torch.Generator().manual_seed(1), batch_size=batch_size
    )


@pytest.fixture(scope="module")
def network():
    return load_model("digits-0")


@pytest.fixture(scope="module")
def recorded(network):
    return returns(network, composites(2))


def run(recorded, condition, phase=2):
    (index,) = np.flatnonzero((recorded["condition"] == condition) & (recorded["phase"] == phase))
    return recorded.isel(run=index)


def test_what_each_mask_must_give(recorded):
    names = ["free", "free", "imposed", "ablated", "stage1 alone", "stage2 alone", "swapped", "another", "carried"]
    names.append("moved, no mask")
    assert recorded["condition"].values.tolist() == names
    assert recorded["phase"].values.tolist() == [1] + [2] * 9
    first, second = run(recorded, "free", 1), run(recorded, "free")
    for name in recorded.data_vars:
        # The mask that the first phase left is the free trial's; without it nothing is left of the first phase.
        assert_allclose(run(recorded, "imposed")[name], second[name], atol=1e-6)
        assert_allclose(run(recorded, "ablated")[name], first[name], atol=1e-6)
    assert (second["chosen"] != first["chosen"]).all()
    # The mask of the other object sends attention to the first one again.
    assert (run(recorded, "swapped")["chosen"] == first["chosen"]).mean() > 0.95
    # It is a place that is inhibited: the mask of another stimulus with the same place does nearly as much.
    another = run(recorded, "another")["chosen"]
    assert (another[another >= 0] != first["chosen"][another >= 0]).mean() > 0.7


def test_a_scene_whose_objects_changed_places(recorded):
    carried = run(recorded, "carried")
    moved = run(recorded, "moved, no mask")
    assert carried["place"].values.tolist() == moved["place"].values.tolist() == [1, 0]
    assert recorded["place"].values[:-2].tolist() == [[0, 1]] * 8
    assert (moved["chosen"] != carried["chosen"]).any()
    # The place is inhibited, where the other object stands now.
    assert (carried["chosen"] == run(recorded, "free", 1)["chosen"]).mean() > 0.8


def boxes(*corners):
    """Return (1, object, 1, 6, 20) objects, boxes from x to x + 4 and from y to y + 2."""
    objects = torch.zeros(1, len(corners), 1, 6, 20)
    for k, (x, y) in enumerate(corners):
        objects[0, k, 0, y : y + 2, x : x + 4] = 1
    return objects


@pytest.mark.parametrize(
    ("corners", "changed"),
    [
        ([(2, 1), (14, 1)], True),  # on either side
        ([(2, 1), (13, 2)], True),
        ([(8, 1), (9, 4)], False),  # above each other: the first one covers itself
        ([(1, 1), (6, 1)], False),  # in the same half: nothing covers the first one's place
    ],
)
def test_which_objects_change_places_in_a_mirror(corners, changed):
    objects = boxes(*corners).numpy()
    for first in (0, 1):
        assert changed_places(objects, np.array([first])).tolist() == [changed]


def test_a_mirror_in_which_nothing_changed_places_tells_nothing():
    config = GatedConfig(size=(1, 6, 20), channels=(3,), classes=2, kernel=3, strength=0.5, steps=2)
    model = GatedNetwork(config, torch.Generator().manual_seed(0)).eval()
    objects = torch.cat([boxes((2, 1), (14, 1)), boxes((1, 1), (6, 1)), boxes((14, 3), (2, 3))])
    table = pd.DataFrame({"label_0": [0, 0, 0], "label_1": [1, 1, 1]})
    stimuli = StimulusSet(objects.sum(1), objects, table)
    found = record_returns(
        model, stimuli, noise=0, generator=torch.Generator().manual_seed(1), batch_size=3, mirrored=True
    )
    for condition in ("carried", "moved, no mask"):
        assert (run(found, condition)["chosen"].values >= 0).tolist() == [True, False, True]
    assert (run(found, "imposed")["chosen"].values >= 0).all()


def test_gates_and_responses_of_an_object_by_hand(network, recorded):
    stimuli = composites(2)
    image, objects = torch.tensor(stimuli.images), torch.tensor(stimuli.objects)
    with torch.no_grad():
        phases = list(free_trial(network, image, 2))
    for phase, number in zip(phases, (1, 2), strict=True):
        found = run(recorded, "free", number)
        for i in (0, 7, 22):
            ink = objects[i, :, 0].numpy() > 0
            gate = phase.gates[0][i, 0].numpy()
            for k in (0, 1):
                alone = ink[k] & ~ink[1 - k]
                assert_allclose(found["gate"][i, k], gate[alone].mean(), rtol=1e-5)
            assert_allclose(found["gate_background"][i], gate[~ink.any(0)].mean(), rtol=1e-5)
    kept = {}
    handle = network.stages[0].response.register_forward_hook(lambda _m, _i, out: kept.update(response=out))
    with torch.no_grad():
        run_phase(network, image, network.no_inhibition(N))
    handle.remove()
    i, ink = 4, objects[4, :, 0].numpy() > 0
    for k in (0, 1):
        values = [
            kept["response"][i, :, y, x].mean().item()
            for y in range(25)
            for x in range(39)
            if ink[k, y : y + 4, x : x + 4].any() and not ink[1 - k, y : y + 4, x : x + 4].any()
        ]
        assert_allclose(run(recorded, "free", 1)["response_stage1"][i, k], np.mean(values), rtol=1e-4)


def test_the_batch_does_not_matter_but_for_the_other_stimulus(network, recorded):
    again = returns(network, composites(2), batch_size=23)
    kept = [name for name in recorded["condition"].values if name not in {"another", "carried", "moved, no mask"}]
    rows = recorded["condition"].isin(kept)
    for name in recorded.data_vars:
        assert_allclose(again[name].values[rows.values], recorded[name].values[rows.values], atol=1e-4)


def test_three_objects_move_one_place_on():
    network = GatedNetwork(digits_config(n_objects=3), torch.Generator().manual_seed(0), name="a", seed=0)
    recorded = returns(network.eval(), composites(3, 6), batch_size=6)
    assert recorded["phase"].values.tolist() == [1, 2, 3] + [2] * 8
    assert recorded["place"].values[-2:].tolist() == [[1, 2, 0]] * 2
    attended = recorded["attended"].values[:3]
    assert_array_equal(np.sort(attended, axis=0), np.tile([[0], [1], [2]], 6))
    assert SHIFT == 14


def test_where_a_choice_is_not_defined(network):
    recorded = returns(network.with_strength(0.0), composites(2, 6), batch_size=6)
    assert (recorded["chosen"] == -1).all()
    assert (recorded["attended"] == -1).all()
    # Two stimuli at most: each is the only one of its place, or both are of one.
    few = returns(network, composites(2, 2), batch_size=2)
    first, another = run(few, "free", 1)["attended"].values, run(few, "another")["chosen"].values
    assert ((another == -1).all()) == (first[0] != first[1])


def test_stimuli_without_objects_and_single_stimuli(network):
    stimuli = composites(2, 13)
    with pytest.raises(
        ValueError, match=re.escape("batch_size must leave no batch with a single stimulus, got 12 for 13")
    ):
        returns(network, stimuli)
    bare = type(stimuli)(stimuli.images, None, stimuli.table)
    with pytest.raises(ValueError, match="stimuli must have at least two objects each"):
        returns(network, bare)
