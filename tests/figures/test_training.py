"""Figures of trainings: what is drawn, and the command that draws it."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended
from drawn_scenes import drawn_scenes
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.figures.__main__ import main, read_runs
from neuroattn.figures.training import (
    PhasePicture,
    accuracy_by_penalty,
    accuracy_figure,
    curves_figure,
    final,
    phases_figure,
)
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import free_trial
from neuroattn.statistics.intervals import fraction_interval
from neuroattn.stimuli.scenes import load_scenes


@pytest.fixture
def table():
    """Two learning rates, three penalties, three networks and five epochs of each."""
    random, rows = np.random.default_rng(0), []
    for rate in (1e-4, 1e-3):
        for phi in (0.0, 10.0, 1000.0):
            for seed in range(3):
                for epoch in range(1, 6):
                    about = {"network": f"{rate}-{phi}-{seed}", "phi": phi, "learning_rate": rate, "epoch": epoch}
                    metrics = {
                        "validation_accuracy": 1 - 0.2 * np.exp(-epoch * random.uniform(0.3, 0.5)),
                        "training_classification_loss": np.exp(-epoch * random.uniform(0.3, 0.5)),
                        "training_attention_loss": 1e-3 * np.exp(-epoch * random.uniform(0.3, 0.5)),
                    }
                    rows.append({**about, **metrics})
    return pd.DataFrame(rows).sample(frac=1, random_state=0).sort_values("epoch", kind="stable")


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_curves(table):
    figure = curves_figure(table)
    panels = np.reshape(figure.axes, (2, 3))
    for row, rate in zip(panels, (1e-4, 1e-3), strict=True):
        assert row[0].get_title(loc="left") == f"learning rate {rate:g}"
        labels = ["validation error (1 − accuracy)", "classification loss (nats)", "attention loss (luminance²)"]
        assert [axes.get_ylabel() for axes in row] == labels
        assert {axes.get_xlabel() for axes in row} == {"epoch"}
        for phi in (0.0, 10.0, 1000.0):
            part = table[(table["learning_rate"] == rate) & (table["phi"] == phi)]
            line = lines(row[0])[f"φ = {phi:g}, 3 networks"]
            assert_allclose(line.get_ydata(), 1 - part.groupby("epoch")["validation_accuracy"].mean())
            line = lines(row[2])[f"φ = {phi:g}, 3 networks"]
            assert_allclose(line.get_ydata(), part.groupby("epoch")["training_attention_loss"].mean())
        assert len(row[0].get_lines()) == 3 * (3 + 1)
    assert len(figure.legends[0].get_texts()) == 3


def test_a_single_epoch_stands_in_the_middle_of_the_axis(table):
    for axes in curves_figure(table[table["epoch"] == 1]).axes:
        assert axes.get_xlim() == (0.5, 1.5)
        assert [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5] == [1]
    assert {axes.get_xlim() for axes in curves_figure(table).axes} == {(0.5, 5.5)}


def test_an_accuracy_of_one_has_no_logarithm(table):
    figure = curves_figure(table.assign(validation_accuracy=1.0))
    assert figure.axes[0].get_yscale() == "linear"
    assert figure.axes[1].get_yscale() == "log"


def test_bars(table):
    figure = accuracy_figure(table)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "learning rate 0.0001,\n5 epochs",
        "learning rate 0.001,\n5 epochs",
    ]
    last = table[(table["epoch"] == 5) & (table["learning_rate"] == 1e-3)]
    means = last.groupby("phi")["validation_accuracy"].mean()
    assert_allclose([bar.get_height() for bar in figure.axes[1].patches], means)
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["0\nn = 3", "10\nn = 3", "1000\nn = 3"]
    low = figure.axes[0].get_ylim()[0]
    assert low > 0
    assert figure.axes[0].get_ylabel() == f"validation accuracy\n(axis begins at {low:.2f})"
    figure = accuracy_figure(table.assign(validation_accuracy=0.5))
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.axes[0].get_ylabel() == "validation accuracy"


def test_the_interval_is_over_networks(table):
    part = final(table[table["learning_rate"] == 1e-3])
    found = accuracy_by_penalty(part).set_index("phi").loc[10.0]
    values = part.loc[part["phi"] == 10, "validation_accuracy"]
    assert_allclose([found["interval_low"], found["interval_high"]], fraction_interval(values)[1:])
    assert found["n"] == 3
    alone = accuracy_by_penalty(part[part["network"] == "0.001-10.0-1"]).iloc[0]
    assert np.isnan(alone["interval_low"])


def test_the_last_epoch_is_each_networks_own(table):
    short = table[(table["network"] != "0.001-10.0-1") | (table["epoch"] < 4)]
    last = final(short).set_index("network")["epoch"]
    assert last["0.001-10.0-1"] == 3
    assert (last.drop("0.001-10.0-1") == 5).all()
    figure = accuracy_figure(short)
    assert figure.axes[1].get_title(loc="left") == "learning rate 0.001,\n3 to 5 epochs"


def test_phases():
    random = np.random.default_rng(0)
    image = random.random((7, 11))
    phases = [
        PhasePicture("attends", random.random((7, 11)), random.random((7, 11)), image > 0.5, random.random((3, 2, 5)))
        for _ in range(3)
    ]
    figure = phases_figure(image, phases, "a")
    panels = np.reshape([axes for axes in figure.axes if axes.get_images() and not axes.get_label()], (3, 5))
    for row, phase in zip(panels, phases, strict=True):
        shown = (image, phase.gated_image, phase.gate, phase.inhibition, phase.deeper.mean(0))
        for axes, values in zip(row, shown, strict=True):
            assert_array_equal(axes.get_images()[0].get_array(), values)


def test_phases_in_colour():
    random = np.random.default_rng(0)
    image, gated = random.random((2, 7, 11, 3))
    phase = PhasePicture("attends", gated, random.random((7, 11)), random.random((7, 11)), None)
    figure = phases_figure(image, [phase, phase], "a")
    shown = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images() and not axes.get_label()]
    for found, values in zip(shown[:4], (image, gated, phase.gate, phase.inhibition), strict=True):
        assert_array_equal(found, values)
    # What is in colour has no scale of luminance.
    scales = [axes.get_xlabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert scales == ["gate (1 inhibits)", "fraction of colours"]


def test_an_interval_is_drawn_where_accuracies_lie(table):
    wide = table.assign(validation_accuracy=(table["network"].str[-1] == "2") * 1.0)
    figure = accuracy_figure(wide)
    ends = [bars.get_segments()[0] for axes in figure.axes for bars in axes.collections]
    assert len(ends) == 6
    low, high = np.array(ends)[:, :, 1].T
    assert ((low > 0) & (low < 1 / 3) & (high > 1 / 3) & (high < 1)).all()


def run(*arguments):
    return ended(main, "training", *arguments)


def save(network, folder, data=None, **options):
    """Write a network as a run of two epochs leaves it."""
    metrics = {"validation_accuracy": 0.9, "training_classification_loss": 0.5, "training_attention_loss": 1e-4}
    about = {"phi": 1000.0, "learning_rate": 1e-3, "n_objects": 3, "name": network.name, "seed": network.seed}
    training = {"options": {**about, **options}, "epochs": [{"epoch": epoch, **metrics} for epoch in (1, 2)]}
    folder.mkdir(parents=True)
    save_model(network, folder / f"{network.name}.safetensors", training=training | (data or {}), provenance={})


@pytest.fixture
def sweep(tmp_path):
    """A folder with two runs."""
    for seed in (3, 5):
        name = f"net-{seed}"
        network = GatedNetwork(digits_config(n_objects=3), torch.Generator().manual_seed(seed), name=name, seed=seed)
        save(network, tmp_path / "sweep" / name)
    return tmp_path / "sweep"


@pytest.mark.slow
def test_the_command(sweep, tmp_path):
    out = tmp_path / "figures"
    assert run(sweep, "--out", out) == (0, f"2 networks; curves, accuracy, phases (.png, .svg) in {out}\n", "")
    for name in ("curves", "accuracy", "phases"):
        picture = imread(io.BytesIO((out / f"{name}.png").read_bytes()))
        assert picture[..., :3].min() < 0.5
        assert (out / f"{name}.svg").stat().st_size > 1000
    before = (out / "phases.png").read_bytes()
    text = f"error: out must be a folder without these figures, got {str(out)!r}, which holds curves.png\n"
    assert run(sweep, "--out", out) == (2, "", text)
    assert (out / "phases.png").read_bytes() == before


@pytest.mark.slow
def test_a_network_of_one_stage(tmp_path):
    network = GatedNetwork(digits_config(channels=(4,)), torch.Generator().manual_seed(0), name="one", seed=0)
    save(network, tmp_path / "run", phi=10.0)
    out = tmp_path / "figures"
    assert run(tmp_path / "run", "--out", out)[0] == 0
    assert len(list(out.iterdir())) == 6


@pytest.mark.slow
def test_runs_that_one_mean_would_mix(sweep, tmp_path):
    network = GatedNetwork(digits_config(), torch.Generator().manual_seed(0), name="other", seed=0)
    save(network, tmp_path / "run", n_objects=2, clip=1.0)
    error = run(sweep, tmp_path / "run", "--out", tmp_path / "figures")
    files = [str(sweep / "net-3" / "net-3.safetensors"), str(tmp_path / "run" / "other.safetensors")]
    text = "run must hold trainings that differ in penalty, learning rate and seed alone"
    differing = "n_objects (3, 2), clip (None, 1.0)"
    expected = f"error: {text}, got {files[0]!r} and {files[1]!r}, which differ in {differing}; draw them apart\n"
    assert error == (2, "", expected)
    assert not (tmp_path / "figures").exists()
    # A sweep over penalty and learning rate is one figure.
    network = GatedNetwork(digits_config(n_objects=3), torch.Generator().manual_seed(0), name="more", seed=0)
    save(network, tmp_path / "third", phi=10.0, learning_rate=1e-2)
    assert run(sweep, tmp_path / "third", "--out", tmp_path / "figures")[0] == 0


def test_runs_and_sweeps_side_by_side(sweep):
    table, files = read_runs([sweep / "net-5", sweep / "net-3"])
    assert [file.name for file in files] == ["net-5.safetensors", "net-3.safetensors"]
    assert table["network"].tolist() == [str(file) for file in files for _ in range(2)]
    assert table["seed"].tolist() == [5, 5, 3, 3]


def test_a_training_that_would_count_twice(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = "error: run must name each training once, got 'sweep/net-5/net-5.safetensors' again; name its folder or"
    for runs in (["sweep", "sweep/net-5"], [str(sweep), "sweep/net-5"]):
        assert run(*runs) == (2, "", f"{expected} the sweep's\n")


def test_weights_without_a_training(tmp_path):
    network = GatedNetwork(digits_config(), torch.Generator().manual_seed(0), name="a", seed=0)
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "a.safetensors"
    for training in (
        {},
        {"options": {}, "epochs": [{"epoch": 1}]},
        {"options": {"phi": 1, "learning_rate": 1}, "epochs": []},
        {"options": {"phi": 1, "learning_rate": 1}, "epochs": [{"epoch": 1, "validation_accuracy": 1}]},
    ):
        save_model(network, file, training=training, provenance={})
        expected = f"error: run must hold weights that say how they were trained, got {str(file)!r}\n"
        assert run(tmp_path / "run", "--out", tmp_path / "figures") == (2, "", expected)


def test_a_training_on_scenes_that_does_not_say_which_it_held_out(files, tmp_path):
    config = GatedConfig(size=(3, 30, 40), channels=(3, 4), classes=12)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="drawn", seed=0)
    save(network, tmp_path / "run", {"scenes": {"sha256": "a"}}, labels="supercategory")
    given = ["--images", files[0], "--annotations", files[1], "--out", tmp_path / "figures"]
    file = str(tmp_path / "run" / "drawn.safetensors")
    text = f"error: run must hold weights that say which scenes they held out, got {file!r}\n"
    assert run(tmp_path / "run", *given) == (2, "", text)


@pytest.mark.slow
def test_the_inhibition_that_is_drawn_is_that_of_its_phase(sweep, tmp_path, monkeypatch):
    drawn = []
    from neuroattn.figures import training

    monkeypatch.setattr(
        training, "phases_figure", lambda *arguments: drawn.append(arguments) or phases_figure(*arguments)
    )
    assert run(sweep, "--out", tmp_path / "figures", "--composite", 4)[0] == 0
    ((image, phases, name),) = drawn
    assert name == "net-3"
    with torch.no_grad():
        by_hand = list(
            free_trial(load_model(sweep / "net-3" / "net-3.safetensors"), torch.tensor(image)[None, None], 3)
        )
    assert not phases[0].inhibition.any()
    for number, phase in enumerate(by_hand):
        assert_allclose(phases[number].gate, phase.gates[0][0, 0], atol=1e-5)
        if number:
            assert_array_equal(phases[number].inhibition, by_hand[number - 1].inhibition[0][0, 0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "at least one run must be named, as in python -m neuroattn.figures training runs/training-digits"),
        (["nowhere"], "run must be the folder of a training or of a sweep, with weights in it, got 'nowhere'"),
        (["nowhere", "--composite", "5000"], "composite must be in [0, 4999], got 5000"),
    ],
)
def test_what_a_user_gets_wrong(tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == (2, "", f"error: {text}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def files(tmp_path):
    return drawn_scenes(tmp_path / "drawn", 6)


@pytest.fixture
def scenes(files, tmp_path):
    return load_scenes(*files, size=(30, 40), cache=tmp_path / "cache")


@pytest.fixture
def of_scenes(scenes, tmp_path):
    """A run of scenes, which held two of them out."""
    config = GatedConfig(size=(3, 30, 40), channels=(3, 4), classes=12, resize="bicubic", strength=0.3, steps=2)
    network = GatedNetwork(config, torch.Generator().manual_seed(0), name="drawn", seed=0)
    data = {"scenes": {"sha256": scenes.identity}, "classes": list(scenes.classes), "held_out_images": [3, 5]}
    save(network, tmp_path / "scenes", data, n_objects=2, labels="supercategory")
    return tmp_path / "scenes"


@pytest.mark.slow
def test_a_training_on_scenes(of_scenes, scenes, files, tmp_path, monkeypatch):
    out = tmp_path / "figures"
    told = f"1 network; curves, accuracy (.png, .svg) in {out}; phases need --images DIR --annotations FILE\n"
    assert run(of_scenes, "--out", out) == (0, told, "")
    assert len(list(out.iterdir())) == 4
    drawn = []
    from neuroattn.figures import training

    monkeypatch.setattr(
        training, "phases_figure", lambda *arguments: drawn.append(arguments) or phases_figure(*arguments)
    )
    options = [of_scenes, "--images", files[0], "--annotations", files[1], "--cache", tmp_path / "cache"]
    out = tmp_path / "with scenes"
    told = f"1 network; curves, accuracy, phases (.png, .svg) in {out}\n"
    assert run(*options, "--composite", 1, "--out", out) == (0, told, "")
    ((image, phases, name),) = drawn
    shown = scenes.batch(np.array([4]))
    assert_array_equal(image, shown.images[0].permute(1, 2, 0))
    with torch.no_grad():
        by_hand = list(free_trial(load_model(of_scenes / "drawn.safetensors"), shown.images, 2))
    assert_allclose(phases[1].gate, by_hand[1].gates[0][0].mean(0), atol=1e-6)
    assert_allclose(phases[1].inhibition, by_hand[0].inhibition[0][0].float().mean(0))
    assert_allclose(phases[1].gated_image, by_hand[1].gated_image[0].permute(1, 2, 0).clip(0, 1), atol=1e-6)
    decided = [scenes.classes[int(phase.logits.argmax())] for phase in by_hand]
    attended = [phase.title.partition(",")[0] for phase in phases]
    assert set(attended) == {"attends animal", "attends vehicle"}
    assert [phase.title for phase in phases] == [
        f"{one},\nnames {name}" for one, name in zip(attended, decided, strict=True)
    ]
    assert name == "drawn"
    text = "error: composite must be below 2, the scenes that 'drawn' held out, got 2\n"
    assert run(*options, "--composite", 2, "--out", tmp_path / "third") == (2, "", text)
    assert not (tmp_path / "third").exists()


def test_scenes_and_digits_have_no_figure_together(of_scenes, sweep, scenes, files, tmp_path):
    digits, file = str(sweep / "net-3" / "net-3.safetensors"), str(of_scenes / "drawn.safetensors")
    text = f"run must hold trainings on digits or on scenes, got {digits!r} on digits and {file!r} on scenes"
    options = ["--out", tmp_path / "figures"]
    assert run(sweep, of_scenes, *options) == (2, "", f"error: {text}; draw them apart\n")
    given = [*options, "--images", files[0], "--annotations", files[1]]
    text = f"images must be left out for trainings on digits, got {str(files[0])!r}"
    assert run(sweep, *given) == (2, "", f"error: {text}\n")
    text = "annotations must be named with --images, got none; name both, or neither"
    assert run(of_scenes, *options, "--images", files[0]) == (2, "", f"error: {text}\n")
    # The same options, and other scenes.
    data = {"scenes": {"sha256": "f" * 64}, "held_out_images": [3, 5]}
    save(load_model(file), tmp_path / "other", data, n_objects=2, labels="supercategory")
    error = run(of_scenes, tmp_path / "other", *options)[2]
    assert f"which differ in scenes ({scenes.identity}, {'f' * 64}); draw them apart" in error
    # What is held out of other scenes is not among these.
    name = str(tmp_path / "other" / "drawn.safetensors")
    error = run(tmp_path / "other", *given, "--cache", tmp_path / "cache")[2]
    identities = f"(identity {scenes.identity[:12]}, not {'f' * 12})"
    text = f"annotations must be of the scenes that {name!r} was trained with, got others {identities}"
    assert error == f"error: {text}\n"
    assert not (tmp_path / "figures").exists()
