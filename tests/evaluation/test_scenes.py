"""Networks on scenes: the published network's numbers, scores against scikit-learn, gates against COCO's own code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn_scenes import drawn_scenes
from numpy.testing import assert_allclose, assert_array_equal
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score, recall_score

from neuroattn.evaluation.coco_results import SceneResults
from neuroattn.evaluation.scenes import _classification, class_scores, evaluate_scenes
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import Phase
from neuroattn.stimuli.scenes import load_scenes

# Of pycocotools' own code, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def files(tmp_path):
    return drawn_scenes(tmp_path / "drawn", 6)


@pytest.fixture
def scenes(files, tmp_path):
    return load_scenes(*files, size=(40, 60), cache=tmp_path / "cache")


@pytest.fixture
def network():
    config = GatedConfig(size=(3, 40, 60), channels=(4, 5), classes=12, resize="bicubic", strength=0.3, steps=2)
    return GatedNetwork(config, torch.Generator().manual_seed(0), name="drawn").eval()


def run(*arguments):
    command = [sys.executable, "-m", "neuroattn.evaluation", "scenes", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_published_network(reference, tmp_path):
    data = reference / "data" / "coco"
    scenes = load_scenes(data / "images", data / "annotations" / "instances.json", cache=tmp_path)
    table = evaluate_scenes(load_model(reference / "reference" / "paper_coco_model.pt"), scenes).table
    found = table.set_index("what")["estimate"]
    known = {
        "accuracy": 0.333,
        "accuracy_phase_1": 0.432,
        "accuracy_phase_2": 0.235,
        "mean_over_classes": 0.462,
        "macro_f1": 0.304,
        "all_objects_covered": 0.75,
        "gate_attended": 0.593,
        "gate_unattended": 0.895,
    }
    assert_allclose(found[list(known)], list(known.values()), atol=0.005)
    assert_allclose(found["gate_difference_t"], 18.3, atol=0.1)
    spread = table.set_index("what")["sd"]
    assert_allclose(spread[["gate_attended", "gate_unattended"]], [0.132, 0.036], atol=0.001)
    # It knows some classes, and yet would do better to say "person" always; both are told.
    chance = table.set_index("what").loc["chance_accuracy"]
    assert chance["interval_high"] < found["accuracy"] < found["majority_accuracy"]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    label, decided = generator.integers(2, 9, (2, 70))
    confusion = np.zeros((12, 12), dtype=np.int64)
    np.add.at(confusion, (label, decided), 1)
    shown = np.unique(label)
    either = np.unique([label, decided])
    recall = recall_score(label, decided, labels=shown, average="macro")
    assert_allclose(class_scores(confusion), [recall, f1_score(label, decided, labels=either, average="macro")])


def test_chance_and_majority_have_closed_forms():
    generator = np.random.default_rng(0)
    label = generator.choice(4, (200, 2), p=[0.6, 0.2, 0.1, 0.1])
    decided = generator.choice(4, (200, 2), p=[0.3, 0.3, 0.3, 0.1])
    rows = {row["what"]: row for row in _classification(label, decided, 4)}
    of_label, of_decision = (np.bincount(values.ravel(), minlength=4) / 400 for values in (label, decided))
    assert_allclose(rows["chance_accuracy"]["estimate"], of_label @ of_decision, atol=0.002)
    assert_allclose(rows["chance_mean_over_classes"]["estimate"], 0.25, atol=0.005)
    assert rows["majority_accuracy"]["estimate"] == of_label.max()
    right = [row for row in _classification(label, label, 4) if row["what"] == "macro_f1"]
    assert [right[0][key] for key in ("estimate", "interval_low", "interval_high")] == [1, 1, 1]


def planted(scenes, gates, attended):
    """Return results whose image gates are given, (scene, y, x), with one object attended."""
    results = SceneResults(scenes)
    logits = torch.zeros(len(scenes), len(scenes.classes))
    phase = Phase(logits, torch.zeros(0), [gates[:, None].expand(-1, 3, -1, -1)], [])
    results.add(np.arange(len(scenes)), phase, torch.full((len(scenes),), attended))
    return results


def test_a_perfect_gate_has_a_perfect_score(scenes):
    pictures = scenes.batch(np.arange(len(scenes)))
    # Half of what the colours of a box sum to: at the rims of the small pictures they are mixed with black.
    gates = (pictures.objects.sum(2) < 0.65).float()
    results, other = planted(scenes, gates[:, 0], 0), planted(scenes, gates[:, 1], 1)
    results.detections += other.detections
    results._overlaps += other._overlaps
    rows = results.table().set_index("what")["estimate"]
    assert rows["gate_overlap"] > 0.9
    assert rows["segmentation_ap50"] == pytest.approx(1)
    assert rows["segmentation_ap"] > 0.8


def test_an_annotation_may_have_the_id_0(scenes):
    scenes.table["annotation_id_0"] -= scenes.table["annotation_id_0"].iloc[0]
    assert scenes.table["annotation_id_0"].iloc[0] == 0
    pictures = scenes.batch(np.arange(len(scenes)))
    gates = (pictures.objects.sum(2) < 0.65).float()
    results, other = planted(scenes, gates[:, 0], 0), planted(scenes, gates[:, 1], 1)
    results.detections += other.detections
    assert results.table().set_index("what")["estimate"]["segmentation_ap50"] == pytest.approx(1)


def test_a_detection_is_of_the_category_that_was_decided_on(files, tmp_path):
    scenes = load_scenes(*files, size=(40, 60), labels="category", cache=tmp_path / "cache")
    assert scenes.classes == ("car", "dog", "pizza")  # of which no scene shows a pizza
    results = SceneResults(scenes)
    logits = torch.eye(3)[[0, 1, 2, 2, 1, 0]]
    phase = Phase(logits, torch.zeros(0), [torch.zeros(6, 3, 40, 60)], [])
    results.add(np.arange(6), phase, torch.zeros(6, dtype=torch.int64))
    assert [one["category_id"] for one in results.detections] == [2, 1, 3, 3, 1, 2]


def test_a_closed_gate_and_one_of_the_other_object_have_none(scenes):
    pictures = scenes.batch(np.arange(len(scenes)))
    closed = planted(scenes, torch.ones(len(scenes), *scenes.size), 0)
    assert closed.table()["estimate"].tolist() == [0, 0, 0, 0]
    other = planted(scenes, (pictures.objects[:, 1].sum(1) == 0).float(), 0)
    assert other.table()["estimate"][0] == 0


def test_the_whole_command(files, network, tmp_path):
    save_model(network, tmp_path / "drawn.safetensors", training={}, provenance={})
    images, annotations = files
    options = ["--model", tmp_path / "drawn.safetensors", "--images", images, "--annotations", annotations]
    options += ["--cache", tmp_path / "cache"]
    made = {name: tmp_path / f"{name}.{kind}" for name, kind in (("out", "csv"), ("figure", "png"))}
    results = tmp_path / "results.json"
    written = ["--out", made["out"], "--figure", made["figure"], "--export-coco", results]
    status, out, err = run(*options, *written)
    assert (status, err) == (0, "")
    assert "6 scenes of 2 objects" in out
    assert all(file.stat().st_size for file in made.values())
    # COCO's own code takes the file as it is, with the user's annotations.
    truth = COCO(annotations)
    scorer = COCOeval(truth, truth.loadRes(str(results)), "segm")
    scorer.params.useCats = 0
    scorer.evaluate()
    scorer.accumulate()
    scorer.summarize()
    assert len(json.loads(results.read_text())) == 12
    assert f"{scorer.stats[0]:.4f}" in next(line for line in out.splitlines() if "segmentation_ap " in line)
    twice = ["--out", tmp_path / "a", "--export_coco", tmp_path / "a"]
    text = f"error: out, figure and export_coco must be different files, got {str(tmp_path / 'a')!r} more than once\n"
    assert run(*options, *twice) == (2, "", text)
    figure = tmp_path / "figure.txt"
    assert run(*options, "--figure", figure) == (
        2,
        "",
        f"error: figure must end in .png, .svg or .pdf, got {str(figure)!r}\n",
    )
    for name, file in [*made.items(), ("export_coco", results)]:
        before = file.read_bytes()
        text = f"error: {name} must be a file that does not exist, got {str(file)!r}\n"
        assert run(*options, f"--{name}", file) == (2, "", text)
        assert file.read_bytes() == before


def test_a_network_on_the_scenes_that_it_was_trained_on(files, scenes, network, tmp_path):
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    for identity, told in ((scenes.identity, True), ("another", False)):
        training = {"scenes": {"sha256": identity}}
        save_model(network, tmp_path / "drawn.safetensors", training=training, provenance={})
        status, out, _ = run("--model", tmp_path / "drawn.safetensors", *options)
        assert status == 0
        assert ("NOTE: drawn was trained on these scenes, all but those it held out" in out) == told


def test_what_a_network_cannot_take(files, network, tmp_path):
    save_model(network, tmp_path / "drawn.safetensors", training={"classes": ["a"] * 12}, provenance={})
    images, annotations = files
    options = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    for model, more, text in [
        ("digits-0", [], "model 'digits-0' must take colour images (3, y, x), got (1, 28, 42)"),
        (tmp_path / "drawn.safetensors", [], "labels must be the 12 classes of model 'drawn' (a, a, a …), got the 12"),
        (tmp_path / "drawn.safetensors", ["--labels", "category"], "labels must be the 12 classes of model 'drawn'"),
        (tmp_path / "drawn.safetensors", ["--n_objects", 3], "annotations must have an image with 3 objects"),
    ]:
        status, out, err = run("--model", model, *options, *more)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {text}")
        assert err.count("\n") == 1


def test_several_networks(files, network, tmp_path):
    for name in ("one", "two"):
        network.name = name
        save_model(network, tmp_path / f"{name}.safetensors", training={}, provenance={})
    models = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    status, out, err = run("--model", *models, *options)
    assert (status, err) == (0, "")
    assert "mean of 2 networks" in out
    status, _, err = run("--model", *models, *options, "--export_coco", tmp_path / "results.json")
    assert (status, err) == (2, "error: export_coco must be for one network, got 2; name one with --model\n")
    assert_array_equal(list(tmp_path.glob("results*")), [])
