"""What is said where networks are pooled that are not alike, and which scenes they are shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from drawn_scenes import drawn_scenes
from numpy.testing import assert_array_equal

from neuroattn.experiments.comparability import comparability_warnings
from neuroattn.experiments.scene_stimuli import alike_for_all
from neuroattn.models.checkpoint import load_model, load_models, save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.scenes import load_scenes


@pytest.fixture
def save(tmp_path):
    def saved(name, **training):
        config = GatedConfig(size=(3, 40, 60), channels=(4, 5), classes=12, resize="bicubic")
        network = GatedNetwork(config, torch.Generator().manual_seed(0), name=name)
        path = tmp_path / f"{name}.safetensors"
        save_model(network, path, training=training, provenance={})
        return load_model(path)

    return saved


def test_seeds_of_a_recipe_need_no_warning():
    assert comparability_warnings(load_models(["digits-0", "digits-1", "digits-9"])) == ()
    assert comparability_warnings(load_models(["digits-balanced-0"])) == ()


def test_networks_of_different_recipes_are_told():
    (line,) = comparability_warnings(load_models(["digits-0", "digits-balanced-0"]))
    assert line == (
        "WARNING: the networks are of different recipes (attended, epochs): a mean over them is one over recipes too. "
        "statistics.csv has a row a network."
    )


def test_networks_of_different_accuracy_are_told(save):
    good = save("good", options={"name": "good", "seed": 1}, epochs=[{"validation_accuracy": 0.99}])
    poor = save("poor", options={"name": "poor", "seed": 2}, epochs=[{"validation_accuracy": 0.38}])
    (line,) = comparability_warnings([good, poor])
    assert line == (
        "WARNING: the networks differ in accuracy, from 0.38 (poor) to 0.99 (good) in their own validation: what "
        "a poor one shows says little of a good one."
    )


def test_a_networks_training_scenes_never_meet_what_another_one_held_out(save, tmp_path):
    images, annotations = drawn_scenes(tmp_path / "drawn", 12)
    scenes = load_scenes(images, annotations, size=(40, 60), cache=tmp_path / "cache")
    ids = scenes.table["image_id"].to_numpy()

    def trained(name, held_out, identity=scenes.identity):
        return save(name, scenes={"sha256": identity}, held_out_images=[int(one) for one in held_out])

    one, other = trained("one", ids[:3]), trained("other", ids[2:5])
    shown = alike_for_all(scenes, [one, other])
    assert_array_equal(shown.table["image_id"], ids[5:])
    assert shown.notes[-1] == (
        "7 scenes that each of one, other was trained on are shown; 5 are left out, which are to some of them "
        "what they are not to others"
    )
    few, same = trained("few", ids[:9]), trained("same", ids[1:9])
    shown = alike_for_all(scenes, [few, same])
    assert_array_equal(shown.table["image_id"], ids[1:9])
    assert "8 scenes that each of" in shown.notes[-1]
    assert "held out are shown" in shown.notes[-1]
    alone = alike_for_all(scenes, [one])
    assert len(alone) == 12
    assert alone.notes[-1] == "one was trained on 9 of these 12 scenes"
    elsewhere = trained("elsewhere", ids[:3], identity="f" * 64)
    notes = alike_for_all(scenes, [elsewhere, save("silent")]).notes
    assert notes[-2].startswith("elsewhere was trained on other scenes")
    assert notes[-1].startswith("nobody tells whether silent ")
    assert np.array_equal(dataclasses.replace(scenes).rows, alone.rows)
