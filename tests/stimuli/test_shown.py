"""Pictures by what a network takes, and by what its file says of its training."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn_scenes import drawn_scenes

from neuroattn.command.groups import Photographs
from neuroattn.models.about import About
from neuroattn.models.config import GatedConfig, digits_config, scenes_config
from neuroattn.stimuli import scenes as scenes_module
from neuroattn.stimuli.mnist import embedded
from neuroattn.stimuli.shown import (
    composites_for,
    held_out_scenes,
    n_digits,
    require_trained_on,
    scenes_for,
    trained_on_note,
)

KIND = {"n_objects": 2, "labels": "supercategory"}


def network(config, **training):
    return SimpleNamespace(name="a", config=config, about=About(training))


def of_scenes(classes=12, size=(3, 30, 40), **training):
    return network(GatedConfig(size=size, channels=(2,), classes=classes), **training)


@pytest.fixture
def files(tmp_path):
    images, annotations = drawn_scenes(tmp_path / "drawn", 5)
    return Photographs(images=str(images), annotations=str(annotations), cache=str(tmp_path / "cache"))


@pytest.mark.parametrize("n_objects", [2, 3, 7])
def test_number_of_digits_of_a_network(n_objects):
    assert n_digits(network(digits_config(n_objects=n_objects))) == n_objects


@pytest.mark.parametrize(
    "config",
    [
        scenes_config(),
        GatedConfig(size=(1, 28, 28), channels=(2,), classes=10),
        GatedConfig(size=(1, 28, 43), channels=(2,), classes=10),
        GatedConfig(size=(1, 29, 42), channels=(2,), classes=10),
        GatedConfig(size=(3, 28, 42), channels=(2,), classes=10),
        GatedConfig(size=(1, 28, 42), channels=(2,), classes=11),
    ],
    ids=str,
)
def test_networks_of_other_pictures(config):
    text = (
        "model 'a' must take composites of digits, (1, 28, 28 + 14·(n - 1)) px and 10 classes, "
        f"got {config.size} px and {config.classes} classes"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        n_digits(network(config))


def test_composites_are_as_wide_as_the_network_and_the_seed_decides():
    one, same, other = (
        composites_for(network(digits_config(n_objects=3)), embedded(), 5, noise=0.3, seed=seed) for seed in (3, 3, 4)
    )
    assert one.images.shape == (5, 1, 28, 56)
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)


def test_scenes_are_of_the_size_of_the_networks(files):
    assert scenes_for([of_scenes()], files, **KIND).size == (30, 40)
    assert scenes_for([], files, size=(20, 24), **KIND).size == (20, 24)
    with pytest.raises(TypeError, match=r"^scenes have a size$"):
        scenes_for([], files, **KIND)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (of_scenes(size=(1, 30, 40)), "models must take colour images (3, y, x) for scenes, got a of (1, 30, 40)"),
        (of_scenes(classes=11), "labels must be the 11 classes of model 'a' (accessory, animal, appliance …), got"),
        (
            network(of_scenes().config, classes=["x"] * 12),
            "labels must be the 12 classes of model 'a' (x, x, x …), got the 12 of",
        ),
    ],
)
def test_networks_that_do_not_fit_are_told_before_a_photograph_is_decoded(files, monkeypatch, one, text):
    monkeypatch.setattr(scenes_module, "load_scenes", None)
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        scenes_for([of_scenes(), one], files, **KIND)


def test_scenes_by_what_a_network_was_trained_on(files):
    scenes = scenes_for([of_scenes()], files, **KIND)
    mine = {"scenes": {"sha256": scenes.identity}, "held_out_images": [2, 3, 5]}
    held_out = held_out_scenes(scenes, About(mine), "a")
    assert held_out.table["image_id"].tolist() == [2, 3, 5]
    assert trained_on_note(held_out, of_scenes(**mine)) == trained_on_note(scenes, of_scenes()) == ""
    text = "NOTE: a was trained on 2 of these scenes: this is no test of it"
    assert trained_on_note(scenes, of_scenes(**mine)) == text
    other = mine | {"scenes": {"sha256": "f" * 64}}
    text = "NOTE: a was trained on other scenes, or on these made otherwise: it may have seen some of them"
    assert trained_on_note(scenes, of_scenes(**other)) == text
    require_trained_on(scenes, About(mine), "a.safetensors")
    text = f"'a.safetensors' was trained with, got others (identity {scenes.identity[:12]}, not {'f' * 12})"
    with pytest.raises(ValueError, match=f"^annotations must be of the scenes that {re.escape(text)}$"):
        require_trained_on(scenes, About(other), "a.safetensors")


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (None, "held_out_of must be a network that says which scenes it held out, got 'a'"),
        ([3], "held_out_of must be a network that held out at least 2 scenes, got 'a': 1"),
        (
            [3, 77],
            "annotations must have all 2 images that 'a' held out, got 1; take those that it was trained with",
        ),
    ],
)
def test_scenes_that_no_network_held_out(files, images, text):
    scenes = scenes_for([of_scenes()], files, **KIND).select(np.arange(4))
    about = About({} if images is None else {"held_out_images": images})
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        held_out_scenes(scenes, about, "a")
