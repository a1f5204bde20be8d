"""Networks on scenes: the published network's numbers, scores against scikit-learn, gates against COCO's own code."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended
from drawn_scenes import drawn_scenes
from numpy.testing import assert_allclose, assert_array_equal
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score, recall_score

from neuroattn.evaluation.__main__ import main
from neuroattn.evaluation.card import require_described
from neuroattn.evaluation.coco_results import SceneResults
from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.scenes import class_scores, classification, evaluate_scenes
from neuroattn.models.checkpoint import load_model, read_metadata, save_model
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
    return ended(main, "scenes", *arguments)


@pytest.mark.slow
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
    rows = {row["what"]: row for row in classification(label, decided, 4).to_dict("records")}
    of_label, of_decision = (np.bincount(values.ravel(), minlength=4) / 400 for values in (label, decided))
    assert_allclose(rows["chance_accuracy"]["estimate"], of_label @ of_decision, atol=0.002)
    assert_allclose(rows["chance_mean_over_classes"]["estimate"], 0.25, atol=0.005)
    assert rows["majority_accuracy"]["estimate"] == of_label.max()
    right = [row for row in classification(label, label, 4).to_dict("records") if row["what"] == "macro_f1"]
    assert [right[0][key] for key in ("estimate", "interval_low", "interval_high")] == [1, 1, 1]


def planted(scenes, gates, attended):
    """Return results whose image gates are given, (scene, y, x), with one object attended."""
    results = SceneResults(scenes)
    logits = torch.zeros(len(scenes), len(scenes.classes))
    phase = Phase(logits, torch.zeros(0), [gates[:, None].expand(-1, 3, -1, -1)], [])
    results.add(np.arange(len(scenes)), phase, torch.full((len(scenes),), attended))
    return results


def test_what_is_a_fraction_has_an_interval_within_its_limits(scenes, network):
    table = evaluate_scenes(network, scenes).table
    wide = pd.concat([table.assign(model=name, estimate=value) for name, value in (("a", 0.0), ("b", 1.0))])
    found = over_networks(wide).set_index("what")
    within = (found["interval_low"] >= 0) & (found["interval_high"] <= 1)
    gates = {f"gate_{name}" for name in ("attended", "unattended", "difference", "difference_dz", "difference_t")}
    assert set(found.index[~within]) == gates
    same = over_networks(pd.concat([table.assign(model=name, estimate=1.0) for name in "ab"])).set_index("what")
    assert (same.loc["accuracy", ["interval_low", "interval_high"]].astype(float).diff().iloc[1]) > 0.1


def test_a_perfect_gate_has_a_perfect_score(scenes):
    pictures = scenes.batch(np.arange(len(scenes)))
    # Half of what the colours of a box sum to: at the rims of the small pictures they are mixed with black.
    gates = (pictures.objects.sum(2) < 0.65).float()
    results, other = planted(scenes, gates[:, 0], 0), planted(scenes, gates[:, 1], 1)
    results.detections += other.detections
    results.overlaps += other.overlaps
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


def require_numbers_of_classes(written, found, names):
    """Assert that the file of an evaluation holds what was printed of classes, and the confusions."""
    overall = written[written["class"].isna()]
    assert overall["what"].tolist() == found.table["what"].tolist()
    assert_allclose(overall["estimate"], found.table["estimate"])
    rows, of = written.set_index(["what", "class"]), found.classes.set_index("class")
    for what in ("recall", "precision", "f1"):
        assert_allclose(rows.loc[what].loc[of.index, "estimate"].to_numpy(float), of[what])
    intervals = rows.loc["recall"].loc[of.index, ["interval_low", "interval_high"]]
    assert_allclose(intervals, of[["recall_low", "recall_high"]])
    counts = written[written["what"] == "confusion"].pivot_table(values="estimate", index="class", columns="decided")
    place = [names.index(name) for name in of.index]
    assert_array_equal(counts.loc[of.index, of.index], found.confusion[np.ix_(place, place)])
    assert counts.to_numpy().sum() == found.confusion.sum() == 12
    numbers = [of["n"].tolist(), counts.sum(axis=0)[of.index].tolist()]
    assert [rows.loc[what].loc[of.index, "n"].tolist() for what in ("recall", "precision")] == numbers
    assert set(written["model"]) == {"drawn"}


def test_categories_are_told_by_supercategory_too(files, network, tmp_path):
    config = dataclasses.replace(network.config, classes=3)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="drawn").eval()
    with torch.no_grad():
        network.readout.weight.zero_()
        network.readout.bias.copy_(torch.tensor([1.0, 0, 0]))  # a car, always
    training = {"classes": ["car", "dog", "pizza"]}
    save_model(network, tmp_path / "drawn.safetensors", training=training, provenance={})
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache", "--labels", "category"]
    out = tmp_path / "out.csv"
    status, printed, err = run("--models", tmp_path / "drawn.safetensors", *options, "--out", out)
    assert (status, err) == (0, "")
    rows = pd.read_csv(out).set_index(["what", "class"]).loc["recall_in_supercategory"]
    assert rows["estimate"].to_dict() == {"animal": 0, "vehicle": 1}
    assert rows["n"].to_dict() == {"animal": 6, "vehicle": 6}
    assert [line.split()[:3] for line in printed.splitlines() if "vehicle" in line] == [["vehicle", "6", "1.000"]]


@pytest.mark.slow
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
    scenes = load_scenes(*files, size=(40, 60), cache=tmp_path / "cache")
    require_numbers_of_classes(pd.read_csv(made["out"]), evaluate_scenes(network, scenes), scenes.classes)
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
    for identity, held_out, note in (
        (scenes.identity, [2, 4], "drawn was trained on 4 of these scenes: this is no test of it"),
        (scenes.identity, [1, 2, 3, 4, 5, 6], None),
    ):
        training = {"scenes": {"sha256": identity}, "held_out_images": held_out}
        save_model(network, tmp_path / "drawn.safetensors", training=training, provenance={})
        status, out, _ = run("--models", tmp_path / "drawn.safetensors", *options)
        assert status == 0
        assert ("NOTE" in out) == (note is not None)
        assert note is None or f"NOTE: {note}" in out


def test_the_scenes_that_a_network_held_out(files, scenes, network, tmp_path):
    file, options = tmp_path / "drawn.safetensors", ["--images", files[0], "--annotations", files[1]]
    options += ["--cache", tmp_path / "cache", "--models", file]
    training = {"scenes": {"sha256": scenes.identity}, "held_out_images": [2, 3, 6]}
    save_model(network, file, training=training, provenance={})
    status, out, err = run(*options, "--held_out_of", file, "--out", tmp_path / "table.csv")
    assert (status, err) == (0, "")
    assert f"3 scenes of 2 objects, those that {file} held out" in out
    assert "NOTE" not in out
    expected = evaluate_scenes(network, scenes.select(np.array([1, 2, 5]))).table.set_index("what")["estimate"]
    found = pd.read_csv(tmp_path / "table.csv").set_index("what")["estimate"]
    assert_allclose(found[expected.index], expected, rtol=1e-6)
    text = "error: held_out_of must be a network that says which scenes it held out, got 'digits-0'\n"
    assert run(*options, "--held_out_of", "digits-0")[::2] == (2, text)


def trained_file(network, scenes, folder, name, seed, held_out, **options):
    """Return the file of a network that says that it was trained on the scenes."""
    training = {
        "options": {"n_objects": 2, "labels": "supercategory", "size": [40, 60], "name": name, "seed": seed} | options,
        "scenes": {"what": "6 scenes of instances.json", "n": 6, "sha256": scenes.identity},
        "held_out_images": held_out,
        "n_cutouts": 8,
        "classes": list(scenes.classes),
        "device": "cpu",
        "epochs": [{"epoch": 1, "seconds": 90.0, "composites_per_second": 31.0}],
    }
    network.name, network.seed = name, seed
    save_model(network, folder / f"{name}.safetensors", training=training, provenance={"platform": "-", "torch": "2"})
    return folder / f"{name}.safetensors"


def card(*arguments):
    return ended(main, "scenes-card", *arguments)


@pytest.mark.slow
def test_a_card(files, scenes, network, tmp_path):
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    mine = [
        trained_file(network, scenes, tmp_path, "net-0", 0, [1, 2]),
        trained_file(network, scenes, tmp_path, "net-1", 1, [3, 5, 6]),
    ]
    # One beside held out the scenes of net-1 alone; one tells of no training at all.
    beside = [trained_file(network, scenes, tmp_path, "flat-1", 1, [3, 5, 6], steps=1), tmp_path / "other.safetensors"]
    network.name = "other"
    save_model(network, beside[1], training={"classes": list(scenes.classes)}, provenance={})
    status, text, err = card("--models", *mine, "--beside", *beside, *options)
    assert (status, err) == (0, "")
    rows = [line.split(" | ")[:3] for line in text.splitlines() if line.startswith("| `") and "safetensors" not in line]
    expected = []
    for chosen, names in (([0, 1], ("net-0", "other")), ([2, 4, 5], ("net-1", "flat-1", "other"))):
        of = evaluate_scenes(network, scenes.select(np.array(chosen))).table.set_index("what").loc["mean_over_classes"]
        cell = f"{of['estimate']:.4f} [{of['interval_low']:.4f}, {of['interval_high']:.4f}]"
        expected += [[f"| `{name}`", str(len(chosen)), cell] for name in names]
    assert rows == expected
    assert "## `net-0` to `net-1`" in text
    assert "Mean over classes, these networks on 2 sets of held-out scenes: " in text
    assert "t over networks, on logits" in " ".join(text.split())
    # One network is one observation, on however many sets of scenes.
    [line] = [line for line in text.splitlines() if line.startswith("Mean over classes, `other` on 2 sets")]
    both = [evaluate_scenes(network, scenes.select(np.array(chosen))).table for chosen in ([0, 1], [2, 4, 5])]
    own = np.mean([table.set_index("what").loc["mean_over_classes", "estimate"] for table in both])
    assert line.startswith(f"Mean over classes, `other` on 2 sets of held-out scenes: {own:.4f}, chance ")
    assert "2 to 3 scenes held out, 8 objects cut out of the other photographs" in text
    assert text.count("safetensors` |") == 2
    out = tmp_path / "card.md"
    assert card("--models", *mine, "--beside", *beside, *options, "--out", out) == (0, "", "")
    assert out.read_text() + "\n" == text


def test_what_a_card_cannot_be_of(files, scenes, network, tmp_path):
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    mine = trained_file(network, scenes, tmp_path, "net-0", 0, [1, 2])
    other = trained_file(network, scenes, tmp_path, "net-1", 1, [1, 2], labels="category")
    elsewhere = trained_file(network, dataclasses.replace(scenes, identity="f" * 64), tmp_path, "net-2", 2, [1, 2])
    for arguments, text in [
        (["--models", "digits-0"], "models must say how they were trained on scenes, got "),
        (["--models", mine, other], "models must name networks of as many objects, the same labels and one size"),
        (["--models", elsewhere], "annotations must be of the scenes that "),
        (["--models", mine, "--beside", mine], f"beside must name other networks than models, got {mine}"),
        (
            ["--models", mine, "--beside", "digits-0"],
            "models must name networks of as many objects, the same labels and",
        ),
        (["--models", mine, "--out", tmp_path / "none" / "card.md"], "out must be in a folder that exists, got "),
    ]:
        status, out, err = card(*options, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {text}")
        assert err.count("\n") == 1


@pytest.mark.parametrize("without", ["options", "scenes", "held_out_images", "n_cutouts", "epochs", "device"])
def test_a_card_needs_all_of_a_training(scenes, network, tmp_path, without):
    training = read_metadata(trained_file(network, scenes, tmp_path, "net-0", 0, [1, 2]))["training"]
    file = tmp_path / "mute.safetensors"
    training = {key: value for key, value in training.items() if key != without}
    if without == "options":
        training["options"] = {"n_objects": 2}
    save_model(network, file, training=training, provenance={"platform": "-", "torch": "2"})
    text = f"models must say how they were trained on scenes, got {str(file)!r}, whose metadata does not"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        require_described({file: load_model(file)}, of_scenes=True)


def test_what_a_network_cannot_take(files, network, tmp_path):
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache", "--models", "digits-0"]
    text = "error: models must take colour images (3, y, x) for scenes, got digits-0 of (1, 28, 42)\n"
    assert run(*options) == (2, "", text)
    save_model(network, tmp_path / "drawn.safetensors", training={}, provenance={})
    for more, text in [
        (["--labels", "category"], "labels must be the 12 classes of model 'drawn'"),
        (["--n_objects", 3], "annotations must have an image with 3 objects"),
    ]:
        status, out, err = run(*options, "--models", tmp_path / "drawn.safetensors", *more)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"error: {text}")


def test_several_networks(files, network, tmp_path):
    for name in ("one", "two"):
        network.name = name
        save_model(network, tmp_path / f"{name}.safetensors", training={}, provenance={})
    models = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    options = ["--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    status, out, err = run("--models", *models, *options)
    assert (status, err) == (0, "")
    assert "mean of 2 networks" in out
    status, _, err = run("--models", *models, *options, "--export_coco", tmp_path / "results.json")
    assert (status, err) == (2, "error: export_coco must be for one network, got 2; name one with --models\n")
    assert_array_equal(list(tmp_path.glob("results*")), [])
