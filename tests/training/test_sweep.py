"""``python -m neuroattn.training sweep`` as its users meet it, and the recipes that it takes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended
from distributed import LocalCluster
from drawn_scenes import HEIGHT, WIDTH, drawn_scenes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neuroattn.compute.cluster import dask_client
from neuroattn.models.checkpoint import load_model, read_metadata, save_model, weights_hash
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.training.__main__ import main
from neuroattn.training.config import DigitsConfig
from neuroattn.training.grid import read_sweep
from neuroattn.training.run import recipe as training_recipe
from neuroattn.training.run import weights_file
from neuroattn.training.sweep import is_done, run_sweep

RECIPE = """
base: {epochs: 2, batch_size: 5, name: "net-{phi}-{seed}"}
grid:
  phi: [0, 1e2]
  seed: [3, 4]
"""
SCENES = """
base: {images: drawn/images, annotations: drawn/instances.json, cache: cache, size: [30, 40], steps: 3, epochs: 1,
       batch_size: 4, composites: 4, precision: 32}
grid:
  phi: [100, 1e40]
  hidden: [[3, 4]]
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def started(*arguments, cwd):
    command = [sys.executable, "-m", "neuroattn.training", "sweep", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def refused(*arguments):
    """Return the one line of a command that the user got wrong."""
    status, out, err = ended(main, "sweep", *arguments)
    assert (status, [line for line in out.splitlines() if not line.startswith("note: ")]) == (2, [])
    assert err.count("\n") == 1
    return err


def noted(folder):
    """Return what is said of digits that are not MNIST's own."""
    return f"note: train digits in {folder} (not MNIST's own), by the checksums of the files"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.process
def test_a_sweep_from_its_recipe_to_its_table(recipe, folder, tmp_path):
    command = started(recipe, "--data", folder, "--workers", 2, cwd=tmp_path)
    out, err = command.communicate(timeout=240)
    assert (command.returncode, err) == (0, "")
    sweep = tmp_path / "runs" / "sweep-small"
    assert out.splitlines()[-1] == "table in runs/sweep-small/table.csv, networks in runs/sweep-small"
    names = ["net-0-3", "net-0-4", "net-100-3", "net-100-4"]
    assert sorted(path.name for path in sweep.iterdir()) == [*names, "recipe.yaml", "table.csv"]
    table = pd.read_csv(sweep / "table.csv")
    assert list(table)[:4] == ["network", "phi", "seed", "epoch"]
    assert table["network"].tolist() == [name for name in names for _ in range(2)]
    assert table["phi"].tolist() == [0] * 4 + [100] * 4
    assert table["seed"].tolist() == [3, 3, 4, 4] * 2
    assert table["epoch"].tolist() == [1, 2] * 4
    assert set(table["outcome"]) == {"done"}
    for name in names:
        own = pd.read_csv(sweep / name / "metrics.csv")
        rows = table[table["network"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[list(own)], own)
    options = read_metadata(sweep / "net-100-4" / "net-100-4.safetensors")["training"]["options"]
    assert (options["phi"], options["seed"], options["batch_size"], options["name"]) == (100, 4, 5, "net-100-4")
    # The second call has nothing to do, and says so.
    before = (sweep / "net-0-3" / "net-0-3.safetensors").stat().st_mtime_ns
    again = started(recipe, "--data", folder, cwd=tmp_path)
    out, err = again.communicate(timeout=240)
    assert (again.returncode, err, out.splitlines()[:2]) == (0, "", [noted(folder), "4 of 4 trainings are done"])
    assert (sweep / "net-0-3" / "net-0-3.safetensors").stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(pd.read_csv(sweep / "table.csv"), table)


@pytest.mark.process
def test_a_sweep_that_is_killed_goes_on(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 8, batch_size: 3, validation: 0.3}\ngrid: {seed: [0, 1]}\n")
    first = started(recipe, "--data", folder, "--out", "killed", "--workers", 1, cwd=tmp_path)
    assert [first.stdout.readline() for _ in range(2)] == [f"{noted(folder)}\n", "1/2  seed-0: done\n"]
    # In the middle of the next one.
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "seed-1" / "seed-1.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    second = started(recipe, "--data", folder, "--out", "killed", cwd=tmp_path)
    out, err = second.communicate(timeout=240)
    assert (second.returncode, err) == (0, "")
    assert out.startswith(f"{noted(folder)}\n1 of 2 trainings are done\n")
    whole = started(recipe, "--data", folder, "--out", "whole", cwd=tmp_path)
    assert whole.communicate(timeout=240)[1] == ""
    for name in ("seed-0", "seed-1"):
        one, other = (load_model(tmp_path / run / name / f"{name}.safetensors") for run in ("killed", "whole"))
        assert weights_hash(one) == weights_hash(other)
    tables = [pd.read_csv(tmp_path / run / "table.csv") for run in ("killed", "whole")]
    timing = ["seconds", "composites_per_second"]
    pd.testing.assert_frame_equal(*(table.drop(columns=timing) for table in tables))


@pytest.mark.process
def test_a_training_that_breaks_down_stays_in_the_table(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {phi: [1000.0, 1.0e+40]}\n")
    command = started(recipe, "--data", folder, "--out", "out", cwd=tmp_path)
    assert command.communicate(timeout=240)[1] == ""
    assert command.returncode == 0
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert table["network"].tolist() == ["phi-1000", "phi-1e40"]
    assert table["outcome"][0] == "done"
    text = "the loss is not finite in epoch 1, batch 1 of 1, at learning rate 0.00298325; lower learning_rate or phi"
    assert table["outcome"][1].startswith(text)
    assert np.isnan(table["validation_accuracy"][1])


@pytest.mark.process
@pytest.mark.parametrize("named", ["--data", "NEUROATTN_DATA"])
def test_a_cluster_whose_workers_were_started_elsewhere(folder, tmp_path, monkeypatch, named):
    """Paths and environment are the user's, who stands in another folder than the workers do."""
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {seed: [0]}\n")
    assert folder == tmp_path / "digits"
    options = ["--data", "digits"] if named == "--data" else []
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        if not options:
            monkeypatch.setitem(ENVIRONMENT, named, "digits")
        address = cluster.scheduler_address
        command = started("r.yaml", *options, "--out", "out", "--dask", address, cwd=tmp_path)
        out, err = command.communicate(timeout=240)
    assert (command.returncode, err) == (0, "")
    assert out.splitlines() == [noted("digits"), "1/1  seed-0: done", "table in out/table.csv, networks in out"]
    assert (tmp_path / "out" / "seed-0" / "seed-0.safetensors").is_file()


@pytest.mark.process
def test_a_sweep_of_scenes(tmp_path, monkeypatch):
    """Its workers stand in another folder than the user does, from whose the recipe's paths count."""
    drawn_scenes(tmp_path / "drawn", 10)
    (tmp_path / "r.yaml").write_text(SCENES)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        arguments = ["r.yaml", "--out", "out", "--dask", cluster.scheduler_address]
        out, err = started(*arguments, cwd=tmp_path).communicate(timeout=240)
        assert err == ""
        assert out.splitlines()[0] == "1/2  phi-100_hidden-3-4: done"
        first = tmp_path / "out" / "phi-100_hidden-3-4" / "phi-100_hidden-3-4.safetensors"
        made = first.stat().st_mtime_ns
        out, err = started(*arguments, cwd=tmp_path).communicate(timeout=240)
        assert (err, out.splitlines()[0]) == ("", "1 of 2 trainings are done")
        begun = SCENES.replace("base: {", "base: {start: out/phi-100_hidden-3-4/phi-100_hidden-3-4.safetensors, ")
        (tmp_path / "begun.yaml").write_text(begun.replace("[100, 1e40]", "[200]"))
        arguments = ["begun.yaml", "--out", "begun", "--dask", cluster.scheduler_address]
        out, err = started(*arguments, cwd=tmp_path).communicate(timeout=240)
        assert (err, out.splitlines()[0]) == ("", "1/1  phi-200_hidden-3-4: done")
    assert first.stat().st_mtime_ns == made
    about = read_metadata(first)["training"]
    assert (about["scenes"]["n"], about["options"]["size"], about["options"]["phi"]) == (10, [30, 40], 100)
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("network")
    assert table["hidden"].tolist() == ["(3, 4)"] * 2
    assert table["outcome"].iloc[0] == "done"
    assert table["outcome"].iloc[1].startswith("the loss is not finite in epoch 1, batch 1 of 3, at learning rate")
    assert 0 <= table["validation_accuracy"].iloc[0] <= 1
    assert np.isnan(table["validation_accuracy"].iloc[1])
    # The user has changed a photograph since.
    changed = tmp_path / "drawn" / "images" / "000000000004.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(changed)
    monkeypatch.chdir(tmp_path)
    place = Path("phi-100_hidden-3-4") / "phi-100_hidden-3-4.safetensors"
    text = f"error: out must hold networks of these scenes, got {str(tmp_path / 'out' / place)!r}, trained on others\n"
    assert refused("r.yaml", "--out", "out") == text
    # What is left out of the objects for composites is told as well, once for all trainings.
    (tmp_path / "drawn" / "images" / "000000000006.png").unlink()
    annotations = json.loads((tmp_path / "drawn" / "instances.json").read_text())
    annotations["annotations"].remove(next(one for one in annotations["annotations"] if one["image_id"] == 8))
    (tmp_path / "drawn" / "instances.json").write_text(json.dumps(annotations))
    (tmp_path / "drawn" / "images" / "000000000007.png").unlink()
    _, out, _ = ended(main, "sweep", "r.yaml", "--out", "third", "--workers", "1")
    told = [line for line in out.splitlines() if "left out" in line]
    assert told == [
        "note: 1 image left out: missing (the first is 000000000006.png)",
        "note: for cutouts, 2 images left out: missing (the first is 000000000006.png)",
    ]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ([], "images must be a folder, got 'drawn/images', which is none; name the folder of the images"),
        (["--data", "drawn"], "data must be left out of a sweep of scenes, got 'drawn'; its recipe names images and"),
    ],
)
def test_scenes_that_are_not_there(tmp_path, monkeypatch, more, error):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(SCENES)
    assert refused("r.yaml", "--out", "out", *more).startswith(f"error: {error}")
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


@pytest.mark.process
def test_a_training_that_fails_does_not_keep_the_others_from_being_run(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {seed: [0, 1, 2]}\n")
    # The user put something there, after the sweep had begun.
    begun = started(recipe, "--data", folder, "--out", "out", cwd=tmp_path)
    begun.communicate(timeout=240)
    shutil.rmtree(tmp_path / "out" / "seed-2")
    (tmp_path / "out" / "seed-0" / "seed-0.safetensors").unlink()
    command = started(recipe, "--data", folder, "--out", "out", cwd=tmp_path)
    out, err = command.communicate(timeout=240)
    reason = f"out must be a folder that is empty or does not exist, got {str(tmp_path / 'out' / 'seed-0')!r}"
    expected = f"1 of 3 trainings failed, the first of them seed-0 ({reason}); the same command goes on with them"
    assert (command.returncode, err) == (2, f"error: {expected}\n")
    told = ["1 of 3 trainings are done", f"2/3  seed-0: {reason}", "3/3  seed-2: done"]
    assert out.splitlines() == [noted(folder), *told]
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("network")
    assert table["outcome"].to_dict() == {"seed-0": reason, "seed-1": "done", "seed-2": "done"}


class Cluster:
    """A client of a cluster that does something else with what it is asked to run."""

    def __init__(self, client, submit):
        self.client, self.loop, self.changed = client, client.loop, submit

    def submit(self, function, *arguments, **options):
        return self.changed(self.client, function, *arguments, **options)


def run_twice(client, function, *arguments, **options):
    client.submit(function, *arguments, **options).result()
    return client.submit(function, *arguments, **options)


def kill_worker(client, function, config, *rest, **options):
    if config.seed == 1:
        return client.submit(os._exit, 1, pure=False)
    return client.submit(function, config, *rest, **options)


def test_weights_that_say_nothing_of_their_training(recipe, tmp_path):
    name, config = next(iter(read_sweep(recipe).trainings.items()))
    network = GatedNetwork(digits_config(), torch.Generator().manual_seed(0), name=name)
    file = weights_file(tmp_path, name)
    for training, text in (
        ({}, f"out must hold networks of this recipe, got {str(file)!r}, which differs in "),
        (
            {"options": training_recipe(config)},
            f"out must hold networks of these scenes, got {str(file)!r}, trained on",
        ),
    ):
        save_model(network, file, training=training, provenance={})
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            is_done(tmp_path, config, "abc")


@pytest.mark.process
def test_a_training_that_the_scheduler_runs_again(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {seed: [0]}\n")
    told = []
    with dask_client(1, None) as client:
        run_sweep(read_sweep(recipe), tmp_path / "out", Cluster(client, run_twice), str(folder), told.append)
    assert told == [noted(folder), "1/1  seed-0: done"]


@pytest.mark.process
def test_a_training_that_kills_its_workers(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {seed: [0, 1]}\n")
    told = []
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        dask_client(2, None) as client,  # two, because Dask blames whatever stood in line with the worker that died
        pytest.raises(ValueError, match=r"1 of 2 trainings failed, the first of them seed-1 \(2 workers in turn died"),
    ):
        run_sweep(read_sweep(recipe), tmp_path / "out", Cluster(client, kill_worker), str(folder), told.append)
    reason = "2 workers in turn died with it; did they run out of memory?"
    assert told[0] == noted(folder)
    assert sorted(line.partition("  ")[2] for line in told[1:]) == ["seed-0: done", f"seed-1: {reason}"]
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("network")
    assert table["outcome"].to_dict() == {"seed-0": "done", "seed-1": reason}


@pytest.mark.process
def test_a_scheduler_that_goes_away(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {batch_size: 3}\ngrid: {epochs: [1, 900]}\n")
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        command = started(recipe, "--data", folder, "--out", "out", "--dask", address, cwd=tmp_path)
        assert [command.stdout.readline() for _ in range(2)] == [f"{noted(folder)}\n", "1/2  epochs-1: done\n"]
    _, err = command.communicate(timeout=60)
    expected = (
        "error: 1 of 2 trainings failed, the first of them epochs-900 (the cluster's scheduler is gone); the same"
    )
    assert (command.returncode, err) == (2, f"{expected} command goes on with them\n")


OF_DIGITS, OF_SCENES = (f"recipe must hold options of a training on {what}" for what in ("digits", "scenes"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("grid: {sped: [1]}", f"{OF_DIGITS}, got 'sped'; choose from attended, averaging"),
        ("grid: {out: [a]}", f"{OF_DIGITS}, got 'out'; choose from"),
        ("base: {composites: 3}\ngrid: {seed: [1]}", f"{OF_DIGITS}, got 'composites'; choose from"),
        (
            "base: {images: a, noise: 0}\ngrid: {seed: [1]}",
            f"{OF_SCENES}, got 'noise'; choose from annotations, attended",
        ),
        ("base: {images: a, annotations: b, out: c}\ngrid: {seed: [1]}", f"{OF_SCENES}, got 'out'; choose from"),
        ("base: {annotations: a}\ngrid: {seed: [1]}", "images must be named, as in --images PATH"),
        ("base: {images: a}\ngrid: {annotations: [b], size: [[9]]}", "size must be two numbers, height and width, got"),
        ("grid: {seed: 1}", "recipe must list at least one value for each option of grid, got seed: 1"),
        ("grid: {seed: []}", "recipe must list at least one value for each option of grid, got seed: []"),
        ("base: {seed: 1}\ngrid: {seed: [1]}", "recipe must hold each option once, got seed under base and under grid"),
        ("base: {name: a}\ngrid: {seed: [1, 2]}", "name must tell trainings apart, got 'a' twice"),
        ("base: {name: 'a-{x}'}\ngrid: {seed: [1]}", "name must hold options of the recipe in its braces, got 'a-{x}'"),
        ("grid: {seed: [1, 1]}", "name must tell trainings apart, got 'seed-1' twice"),
        ("grid: {strength: [2]}", "strength must be in [0, 1], got 2.0"),
        ("grid: {epochs: [1.5]}", "epochs must be of the kind int, got 1.5"),
        ("grid: {epochs: [true]}", "epochs must be of the kind int, got True"),
        ("grid: {phi: [much]}", "phi must be of the kind float, got 'much'"),
        ("grid: {hidden: [20, 50]}", "hidden must be a list of whole numbers, got 20"),
        ("seed: [1]", "recipe must hold grid, and may hold base, got"),
        ("- 1", "recipe must hold grid, and may hold base, got"),
        ("grid: [1]", "recipe must map options to values under base and grid, got"),
        ("grid: {", "recipe must be a YAML file that can be read, got"),
        ("grid: {}", "recipe must map options to values under base and grid, got"),
        ("grid: {seed: [!!bool x]}", "recipe must be a YAML file that can be read, got"),
        ("grid: {seed: [!!timestamp x]}", "recipe must be a YAML file that can be read, got"),
        (f"grid: {{phi: [{10**400}]}}", "phi must be of the kind float, got 1000"),
        ("grid: {seed: [2026-02-30]}", "recipe must be a YAML file that can be read, got"),
        ("base: {name: '{seed.x}'}\ngrid: {seed: [1]}", "name must hold options of the recipe in its braces, got"),
        ("base: {name: '{seed[a]}'}\ngrid: {seed: [1]}", "name must hold options of the recipe in its braces, got"),
        (
            "base: {name: 'd{seed:>2000000000}'}\ngrid: {seed: [1]}",
            "name must hold options of the recipe in its braces, got",
        ),
        ("base: {name: 'd{seed!r}'}\ngrid: {seed: [1]}", "name must hold options of the recipe in its braces, got"),
        ("base: {phi: &a 3}\ngrid: {seed: [*a]}", "recipe must be a YAML file that can be read, got"),
        (f"grid: {{seed: [{'1, ' * 40_000}]}}", "recipe must be a YAML file that can be read, got"),
        (f"base: {{name: {'x' * 300}}}\ngrid: {{seed: [1]}}", "name must have at most 100 characters, got 300: 'xxx"),
        (
            f"grid: {{seed: {list(range(101))}, epochs: {list(range(1, 101))}}}",
            "grid must make at most 10,000 trainings, got 10,100; list fewer values",
        ),
        ("base: {name: '..'}\ngrid: {seed: [1]}", "name must not begin with '.', got '..'"),
    ],
)
def test_a_recipe_with_an_error(tmp_path, text, error):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    assert refused(recipe, "--out", tmp_path / "out").startswith(f"error: {error}")
    assert not (tmp_path / "out").exists()


def test_no_recipe(tmp_path):
    assert refused() == "error: a recipe must be named, as in python -m neuroattn.training sweep RECIPE.yaml\n"
    missing = tmp_path / "none.yaml"
    assert refused(missing).startswith(f"error: recipe must be a YAML file that can be read, got {str(missing)!r}")


@pytest.mark.slow
def test_a_folder_of_another_sweep_or_of_something_else(recipe, folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    arguments = [recipe, "--data", folder, "--out", tmp_path / "mine"]
    expected = f"error: out must be a folder that is empty or does not exist, got {str(tmp_path / 'mine')!r}\n"
    assert refused(*arguments) == expected
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recipe.yaml").write_text("grid: {seed: [1]}")
    arguments[-1] = tmp_path / "other"
    expected = (
        f"error: out must be a folder of the same recipe, got {str(tmp_path / 'other')!r}, whose recipe.yaml differs"
    )
    assert refused(*arguments).startswith(expected)
    assert (tmp_path / "other" / "recipe.yaml").read_text() == "grid: {seed: [1]}"


def test_digits_that_are_not_there(recipe, tmp_path):
    err = refused(recipe, "--data", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert err.startswith("error: folder must exist, got")


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer(recipe, folder, tmp_path):
    err = refused(recipe, "--data", folder, "--out", tmp_path / "out", "--dask", "tcp://127.0.0.1:1")
    assert re.match(r"error: dask must be the address of a running scheduler, got 'tcp://127.0.0.1:1' \(", err)


@given(
    phi=st.lists(st.floats(0, 1e6), min_size=1, max_size=4, unique_by=lambda value: f"{value:g}"),
    seed=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    epochs=st.integers(1, 50),
)
def test_a_grid_is_all_combinations(tmp_path_factory, phi, seed, epochs):
    path = tmp_path_factory.mktemp("recipe") / "r.yaml"
    path.write_text(f"base: {{epochs: {epochs}}}\ngrid: {{phi: {phi}, seed: {seed}}}\n")
    trainings = read_sweep(path).trainings
    assert list(trainings) == [f"phi-{p:g}_seed-{s}".replace("+", "") for p in phi for s in seed]
    expected = [DigitsConfig(name=name, epochs=epochs) for name in trainings]
    for (p, s), config, wanted in zip(itertools.product(phi, seed), trainings.values(), expected, strict=True):
        assert config == dataclasses.replace(wanted, phi=p, seed=s)


def test_lists_and_texts_of_a_recipe(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("base: {clip: null, precision: 32, learning_rate: 1e-2}\ngrid: {hidden: [[3, 5], [7, 11]]}\n")
    one, other = read_sweep(path).trainings.values()
    assert (one.hidden, other.hidden) == ((3, 5), (7, 11))
    assert (one.name, other.name) == ("hidden-3-5", "hidden-7-11")
    assert (one.clip, one.precision, one.learning_rate) == (None, "32", 0.01)
