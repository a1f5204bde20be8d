"""Training on drawn scenes: what is held out, what classes weigh, and that it goes on after an interrupt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from commands import ended
from drawn_scenes import drawn_scenes
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.checkpoint import load_model, read_about, read_metadata, save_model, weights_hash
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.coco import SUPERCATEGORIES
from neuroattn.stimuli.cutouts import load_cutouts
from neuroattn.stimuli.scenes import load_scenes
from neuroattn.training import loop
from neuroattn.training.__main__ import main
from neuroattn.training.config import DigitsConfig, ScenesConfig
from neuroattn.training.loss import phase_loss
from neuroattn.training.source import ScenesSource

ANIMAL, FOOD, VEHICLE = (SUPERCATEGORIES.index(name) for name in ("animal", "food", "vehicle"))
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
SMALL = ["--size", 30, 40, "--hidden", 3, 4, "--steps", 3, "--batch_size", 4, "--precision", 32]


@pytest.fixture
def files(tmp_path):
    return drawn_scenes(tmp_path / "drawn", 10)


@pytest.fixture
def options(files, tmp_path):
    return ["scenes", "--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache", *SMALL]


def source_of(files, tmp_path, tell=lambda _: None, new_images=None, **options):
    config = ScenesConfig(images=str(files[0]), annotations=str(files[1]), size=(30, 40), hidden=(3, 4), **options)
    given = {"size": (30, 40), "labels": "supercategory", "cache": tmp_path / "cache"}
    return ScenesSource(config, load_scenes(*files, **given), load_cutouts(*files, **given), tell, new_images)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_composites_show_nothing_of_what_is_held_out(files, tmp_path):
    source = source_of(files, tmp_path, composites=50)
    split = source.split(0.3, seeded())
    assert (len(split.held_out), len(split.kept)) == (3, 7 + 50)
    assert_array_equal(np.sort([*split.held_out, *split.kept[:7]]), np.arange(10))
    held_out = set(source.scenes.table["image_id"].to_numpy()[split.held_out.numpy()])
    assert split.about == {"held_out_images": sorted(held_out), "n_cutouts": 14}
    assert not held_out & set(source.shown_cutouts.image_ids)
    assert not held_out & set(source.shown_cutouts.background_ids)
    assert len(source.shown_cutouts) == 14
    # Another split is of all of them again.
    assert source.split(0.1, seeded(1)).about["n_cutouts"] == 18
    assert len(source.held_out(split, seeded(), torch.device("cpu"))) == 3


@pytest.mark.parametrize(("name", "kind"), [("paper-scenes", ScenesConfig), ("paper-digits", DigitsConfig)])
def test_the_papers_recipes_leave_nothing_to_our_defaults(name, kind):
    """Every option in which our own recipe may differ from the paper's is in its file."""
    given = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    ours = {
        "epochs",
        "batch_size",
        "learning_rate",
        "schedule",
        "gradient_steps",
        "clip",
        "initial",
        "precision",
        "phi",
    }
    ours |= {"strength", "validation", *(["composites"] if kind is ScenesConfig else ["noise"])}
    assert ours <= set(given)
    places = {"images": "a", "annotations": "b"} if kind is ScenesConfig else {}
    config = kind(**given, **places)
    plain = ("constant", None, None, "uniform", 0.0, "error", None)
    names = ("schedule", "gradient_steps", "clip", "initial", "averaging", "attended", "start")
    assert tuple(getattr(config, one) for one in names) == plain


def test_only_what_is_new_is_held_out(files, tmp_path):
    plain = source_of(files, tmp_path, composites=0).split(0.4, seeded())
    held_out = plain.about["held_out_images"]
    split = source_of(files, tmp_path, composites=0, new_images=held_out[1:]).split(0.4, seeded())
    assert split.about["held_out_images"] == held_out[1:]
    assert len(split.kept) == len(plain.kept) + 1


def test_items_are_scenes_and_then_composites(files, tmp_path):
    source = source_of(files, tmp_path, composites=6)
    split = source.split(0.2, seeded())
    scene = source.draw(split.kept[:1], seeded(), torch.device("cpu"))
    assert_array_equal(scene.images, source.scenes.batch(split.kept[:1]).images)
    mixed = source.draw(split.kept[[0, -1, -2]], seeded(), torch.device("cpu"))
    assert mixed.images.shape == (3, 3, 30, 40)
    assert_array_equal(mixed.images[0], scene.images[0])
    again, other = (source.draw(split.kept[-1:], seeded(seed), torch.device("cpu")).images for seed in (1, 2))
    assert not torch.equal(again, other)


def test_rare_classes_weigh_more(tmp_path):
    files = drawn_scenes(tmp_path / "drawn", 10, categories=(1, 1, 1, 2))
    told = []
    source = source_of(files, tmp_path, told.append, composites=0)
    split = source.split(0.2, seeded())
    labels = source.scenes.labels[split.kept.numpy()].ravel()
    counts = np.bincount(labels, minlength=12)
    assert counts[ANIMAL] > counts[VEHICLE] > 0
    weight = split.class_weight.numpy()
    assert_allclose(weight.sum(), 1, rtol=1e-6)
    assert_allclose(weight[ANIMAL] * counts[ANIMAL], weight[VEHICLE] * counts[VEHICLE], rtol=1e-6)
    assert (weight[counts == 0] == 0).all()
    [line] = told
    assert line.startswith("warning: no training picture has an object of accessory, appliance, electronic, food,")
    assert "animal" not in line


def test_weights_of_the_loss_are_those_of_the_mean():
    generator = seeded()
    logits, image = torch.randn(6, 3, generator=generator), torch.zeros(6, 1, 2, 2)
    label, weight = torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([0.5, 0.2, 0.3])
    each = -logits.log_softmax(1)[torch.arange(6), label]
    found = phase_loss(logits, label, image, image, 0.0, weight).classification
    assert_allclose(found, (each * weight[label]).sum() / weight[label].sum(), rtol=1e-6)
    assert not torch.isclose(found, phase_loss(logits, label, image, image, 0.0).classification)


@pytest.mark.slow
def test_a_network_learns_two_colours(options, tmp_path):
    more = ["--epochs", 40, "--composites", 24, "--phi", 100, "--strength", 0.8, "--learning_rate", 3e-3]
    more += ["--hidden", 8, 8, "--out", tmp_path / "run"]
    status, out, err = ended(main, *options, *more)
    assert (status, err) == (0, "")
    assert "warning: no training picture has an object of accessory" in out
    file = tmp_path / "run" / "scenes.safetensors"
    about = read_metadata(file)["training"]
    assert read_about(file).classes == SUPERCATEGORIES
    assert about["scenes"] == {"what": "10 scenes of instances.json", "n": 10} | {"sha256": about["scenes"]["sha256"]}
    assert len(about["held_out_images"]) == 2
    assert about["n_cutouts"] == 16
    assert not {"images", "annotations", "cache", "out"} & set(about["options"])
    assert about["epochs"][-1]["validation_accuracy"] == about["epochs"][-1]["validation_mean_over_classes"] == 1
    assert about["epochs"][0]["training_accuracy"] < 0.8
    assert about["epochs"][-1]["training_accuracy"] > 0.95
    assert load_model(file).config.size == (3, 30, 40)


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights(options, tmp_path, monkeypatch):
    more = ["--epochs", 2, "--composites", 9]
    assert ended(main, *options, *more, "--out", tmp_path / "whole")[0] == 0
    step, calls = loop.train_trial, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0)
    monkeypatch.setattr(loop, "train_trial", interrupted)
    status, _, err = ended(main, *options, *more, "--out", tmp_path / "parts")
    assert status == 130
    assert err.startswith("interrupted: the training goes on from here with the same command")
    monkeypatch.setattr(loop, "train_trial", step)
    other = ended(main, *options, *more, "--phi", 1, "--out", tmp_path / "parts")
    assert other[0] == 2
    assert "differs in phi (500.0 there, 1.0 now)" in other[2]
    assert ended(main, *options, *more, "--out", tmp_path / "parts")[0] == 0
    whole, parts = (load_model(tmp_path / name / "scenes.safetensors") for name in ("whole", "parts"))
    assert weights_hash(whole) == weights_hash(parts)


@pytest.mark.parametrize("number", [1, 2])
def test_decisions_that_are_all_alike_are_told(options, tmp_path, monkeypatch, number):
    def dead(network, pictures, fabric, batch_size):
        del network, pictures, fabric, batch_size
        fractions = dict.fromkeys(("validation_accuracy", "validation_mean_over_classes"), 0.1)
        return fractions | {"validation_classes_decided": float(number)}

    monkeypatch.setattr(loop, "accuracy", dead)
    deep = ["--hidden", 3, 4, 5]  # of two stages none falls silent
    status, out, _ = ended(main, *options, *deep, "--epochs", 1, "--composites", 4, "--out", tmp_path / "run")
    assert status == 0
    assert ("warning: every held-out picture is decided alike" in out) == (number == 1)


def test_classes_decided_are_counted(files, tmp_path, one_process):
    source = source_of(files, tmp_path)
    scenes, classes = source.scenes, len(source.scenes.classes)
    network = GatedNetwork(source.network_config, seeded()).eval()
    with torch.no_grad():
        network.readout.weight.zero_()
        network.readout.bias.copy_(torch.arange(classes) == FOOD)
    found = loop.accuracy(network, scenes, one_process)
    assert (found["validation_classes_decided"], found["validation_accuracy"]) == (1, 0)


def test_without_feedback_and_without_composites(options, tmp_path):
    more = ["--epochs", 1, "--composites", 0, "--name", "flat", "--out", tmp_path / "run"]
    arguments = [1 if before == "--steps" else one for before, one in zip([None, *options], options, strict=False)]
    status, _, err = ended(main, *arguments, *more, "--gradient_steps", "null")
    assert (status, err) == (0, "")
    assert load_model(tmp_path / "run" / "flat.safetensors").config.steps == 1


def test_a_training_that_begins_with_a_network(options, tmp_path):
    one, more = tmp_path / "one" / "flat.safetensors", ["--epochs", 1, "--composites", 4]
    flat = [1 if before == "--steps" else value for before, value in zip([None, *options], options, strict=False)]
    before = [*flat, *more, "--gradient_steps", "null", "--name", "flat", "--validation", 0.6, "--seed", 1]
    assert ended(main, *before, "--out", one.parent)[0] == 0
    # With a learning rate of 0 the weights stay what they were.
    arguments = [*options, *more, "--learning_rate", 0, "--start", one, "--out", tmp_path / "two"]
    assert ended(main, *arguments)[0] == 0
    begun, went_on = load_model(one), load_model(tmp_path / "two" / "scenes.safetensors")
    assert (begun.config.steps, went_on.config.steps) == (1, 3)
    assert weights_hash(begun) == weights_hash(went_on)
    about = read_metadata(tmp_path / "two" / "scenes.safetensors")["training"]
    assert about["start"] == {"name": "flat", "weights_sha256": weights_hash(begun)}
    assert "start" not in about["options"]
    # Of the two that this training held out, those that the one before has seen are not held out.
    assert about["held_out_images"] == sorted(scenes_held_out(0, 0.2) & scenes_held_out(1, 0.6))
    assert len(about["held_out_images"]) == 1, "of the two that this seed holds out"
    # Nothing that was held out before, or no word of it: what is held out here would not be new.
    for name, images in (("other", sorted(set(range(1, 11)) - scenes_held_out(0, 0.2))), ("mute", None)):
        training = {"scenes": {"sha256": "a"}} | ({} if images is None else {"held_out_images": images})
        save_model(begun, tmp_path / f"{name}.safetensors", training=training, provenance={})
        seen = [*options, *more, "--start", tmp_path / f"{name}.safetensors", "--out", tmp_path / "three"]
        status, _, err = ended(main, *seen)
        assert status == 2
        assert err.startswith("error: start must be a network that says which scenes it held out, some of those held")
        assert not (tmp_path / "three").exists()
    status, _, err = ended(main, *options, *more, "--start", "digits-0", "--out", tmp_path / "three")
    assert status == 2
    assert err == (
        "error: start must be a network of the same sizes, got 'digits-0' with size (1, 28, 42), here (3, 30, 40)\n"
    )
    assert not (tmp_path / "three").exists()


def scenes_held_out(seed, fraction):
    """Return the ids of the images of ten scenes (1 to 10) that a training with a seed holds out."""
    _, order, *_ = loop.generators(seed, 4)
    return set((torch.randperm(10, generator=order)[: round(fraction * 10)] + 1).tolist())


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--size", 6, 6], "size (3, 6, 6) is too small for 2 stages with kernel 4"),
        (["--size", 30], "size must be two numbers, height and width, got 1"),
        (["--labels", "colour"], "labels must be one of supercategory, category, got colour"),
        (["--n_objects", 3], "annotations must have an image with 3 objects, each larger than 10% of it, got none"),
        (["--images", "nowhere"], "images must be a folder, got 'nowhere'"),
        (["--annotations", "nowhere.json"], "annotations must be a file that can be read, got 'nowhere.json'"),
        (["--annotations", ""], "annotations must be named, as in --annotations PATH"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(options, tmp_path, more, text):
    status, out, err = ended(main, *options, *more, "--out", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {text}")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
