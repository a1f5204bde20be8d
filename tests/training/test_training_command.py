"""``python -m neuroattn.training digits`` as its users meet it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from commands import ended
from tensorboardX.proto import event_pb2

from neuroattn.models.checkpoint import load_model, read_metadata, weights_hash
from neuroattn.stimuli.mnist import from_folder, without_embedded
from neuroattn.training import loop, run
from neuroattn.training.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in {"NEUROATTN_DATA", "PYTHONUNBUFFERED"}} | {
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error",
}


def started(*arguments, cwd):
    command = [sys.executable, "-m", "neuroattn.training", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def files(folder):
    """Return the names in a run's folder; TensorBoard's end with time and machine."""
    return sorted(re.sub(r"^events\.out\.tfevents\..+", "events", path.name) for path in folder.iterdir())


def scalars(folder):
    """Return the values of TensorBoard's events by name, in the order of their steps."""
    found = {}
    for path in sorted(folder.glob("events*")):
        with path.open("rb") as file:
            while header := file.read(12):
                event = event_pb2.Event.FromString(file.read(int.from_bytes(header[:8], "little")))
                file.read(4)
                for value in event.summary.value:
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return {name: [steps[step] for step in sorted(steps)] for name, steps in found.items()}


def run_here(*arguments):
    """Return exit status, standard output (less notes on the digits) and standard error, run in this process."""
    status, out, err = ended(main, *arguments)
    told = [line for line in out.splitlines(keepends=True) if not line.startswith("note: train digits in ")]
    return status, "".join(told), err


@pytest.mark.process
def test_a_whole_training(folder, tmp_path):
    command = started("digits", "--data", folder, "--epochs", 2, "--name", "a", "--batch_size", 23, cwd=tmp_path)
    out, err = command.communicate(timeout=120)
    assert (command.returncode, err) == (0, "")
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"training-a-\d{8}-\d{6}", run.name)
    assert files(run) == ["a.safetensors", "events", "metrics.csv"]
    note, *lines = out.splitlines()
    assert note == f"note: train digits in {folder} (not MNIST's own), by the checksums of the files"
    assert len(lines) == 3
    for number, line in enumerate(lines[:2], 1):
        pattern = rf"epoch   {number}/2  validation accuracy 0\.\d{{4}}  training accuracy 0\.\d{{4}}  \d+ composites/s"
        assert re.fullmatch(pattern, line)
    weights, metrics = Path("runs", run.name, "a.safetensors"), Path("runs", run.name, "metrics.csv")
    assert lines[2] == f"weights in {weights}, metrics in {metrics}"
    table = pd.read_csv(run / "metrics.csv")
    assert table["epoch"].tolist() == [1, 2]
    events = scalars(run)
    assert list(events) == list(table)
    for name, values in events.items():
        np.testing.assert_allclose(values, table[name], rtol=1e-6)
    about = read_metadata(run / "a.safetensors")
    assert (about["name"], about["seed"]) == ("a", 0)
    assert about["training"]["options"] == {
        "initial": "uniform",
        "name": "a",
        "n_objects": 2,
        "strength": 0.2,
        "noise": 0.3,
        "resample": True,
        "n_train": None,
        "epochs": 2,
        "batch_size": 23,
        "learning_rate": 0.003,
        "schedule": "one-cycle",
        "gradient_steps": 2,
        "clip": 1.0,
        "averaging": 0.0,
        "hidden": [20, 50],
        "attended": "error",
        "phi": 1000.0,
        "validation": 0.1,
        "seed": 0,
        "device": "auto",
        "precision": "auto",
    }
    seen = without_embedded(from_folder(folder, "train")).identity()
    assert about["training"]["digits"] == {
        "what": "training set, not MNIST's own, without the embedded digits",
        "n": 67,
        "sha256": seen,
    }
    assert about["training"]["device"] in {"cpu", "cuda"}
    np.testing.assert_allclose(
        [epoch["validation_accuracy"] for epoch in about["training"]["epochs"]], table["validation_accuracy"]
    )
    assert {"neuroattn", "git_commit", "python", "platform", "torch", "numpy"} <= about["provenance"].keys()
    assert about["provenance"]["torch"] == torch.__version__


def test_a_first_try_takes_a_few_digits(folder, tmp_path):
    options = ["digits", "--data", folder, "--epochs", 1, "--hidden", 2, 3]
    known = without_embedded(from_folder(folder, "train"))
    seen = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        ended = run_here(*options, "--n_train", 23, "--seed", seed, "--out", tmp_path / name)
        assert (ended[0], ended[2]) == (0, "")
        digits = read_metadata(tmp_path / name / "digits.safetensors")["training"]["digits"]
        start = f"23 (seed {seed}) of the training set, not MNIST's own,"
        assert (digits["n"], digits["what"]) == (23, f"{start} without the embedded digits")
        seen[name] = digits["sha256"]
    assert seen["a"] == seen["b"] != seen["c"] != known.identity()
    text = f"n_train must be at most {len(known)}, the pictures that there are, got 90"
    assert run_here(*options, "--n_train", 90, "--out", tmp_path / "d") == (2, "", f"error: {text}\n")
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_options_reach_the_network_and_the_seed_decides(folder, tmp_path):
    options = ["digits", "--data", folder, "--epochs", 1, "--n_objects", 3, "--strength", 0.45, "--resample", "false"]
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        status, _, err = run_here(*options, "--seed", seed, "--out", tmp_path / name)
        assert (status, err) == (0, "")
    one, same, other = (load_model(tmp_path / name / "digits.safetensors") for name in ("one", "same", "other"))
    assert (one.config.size, one.config.strength, one.seed) == ((1, 28, 56), 0.45, 7)
    assert weights_hash(one) == weights_hash(same) != weights_hash(other)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["scenery"], "what to train must be digits, scenes, gain or sweep, got 'scenery'"),
        (["digits", "--strength", "1.5"], "strength must be in [0, 1], got 1.5"),
        (["digits", "--noise", ".nan"], "noise must be in [0, 1], got nan"),
        (["digits", "--noise", "-0.1"], "noise must be in [0, 1], got -0.1"),
        (["digits", "--n_objects", "1"], "n_objects must be in [2, 10], got 1"),
        (["digits", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["digits", "--device", "tpu"], "device must be one of auto, cpu, cuda, got tpu"),
        (["digits", "--name", "a/b"], "name must consist of letters, digits, '-', '_' and '.', got 'a/b'"),
        (["digits", "--name", ""], "name must consist of letters, digits, '-', '_' and '.', got ''"),
        (
            ["digits", "--averaging", "1"],
            "averaging must be below 1, got 1.0; the mean would stay at the first weights",
        ),
        (["digits", "--schedule", "step"], "schedule must be one of constant, one-cycle, cosine, got step"),
        (["digits", "--gradient_steps", "1"], "gradient_steps must be at least 2, got 1"),
        (["digits", "--start", "no.pt"], "start must be a file that exists, got 'no.pt'; check the path"),
        (["digits", "--hidden", "0"], "hidden must be in [1, 10000], got 0"),
        (["digits", "--steps", "3"], "unrecognized arguments: --steps 3 (see --help)"),
        (
            ["digits", "--strength", "much"],
            """Parser key "strength": Expected a <class 'float'>. Got value: much (see --help)""",
        ),
        (
            ["digits"],
            (
                "split 'train' needs a source of digits, got none: name a folder with the IDX files of MNIST, set "
                "NEUROATTN_DATA to one, use 'download', or ask for the split 'embedded'"
            ),
        ),
        (
            ["digits", "--data", "embedded"],
            (
                "split must be 'embedded' for the source 'embedded', and 'train' or 'test' for any other, got split "
                "'train' of 'embedded'"
            ),
        ),
        (
            ["digits", "--data", "nowhere"],
            "folder must exist, got nowhere; give the one that holds the IDX files of MNIST",
        ),
    ],
)
def test_what_a_user_gets_wrong(monkeypatch, tmp_path, arguments, text):
    monkeypatch.delenv("NEUROATTN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train", None)  # nothing may get as far as that
    assert run_here(*arguments) == (2, "", f"error: {text}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(folder):
    text = "error: device must be auto or cpu on a machine without a CUDA device, got cuda\n"
    assert run_here("digits", "--data", folder, "--device", "cuda") == (2, "", text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("steps: 3\n", "Option 'steps' is not accepted (see --help)"),
        ("strength: 1.5\n", "strength must be in [0, 1], got 1.5"),
        (None, "config must be a YAML file that exists, got 'no.yaml'; check the path"),
    ],
)
def test_a_configuration_file_with_an_error(tmp_path, monkeypatch, content, text):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("no.yaml").write_text(content)
    assert run_here("digits", "--config", "no.yaml") == (2, "", f"error: {text}\n")


def test_a_folder_that_holds_something_is_refused_before_training(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "train", None)
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (folder, file):
        text = f"error: out must be a folder that is empty or does not exist, got {str(out)!r}\n"
        assert run_here("digits", "--data", folder, "--out", out) == (2, "", text)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("out", ["/proc/neuroattn/run", "file/run", f"new/{'x' * 300}"])
def test_a_place_that_cannot_be_written_is_refused_before_digits_are_loaded(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    reason = {"/": "No such file or directory", "f": "Not a directory", "n": "File name too long"}[out[0]]
    text = f"error: out must be a folder that can be written, got {out!r} ({reason})\n"
    assert run_here("digits", "--data", "nowhere", "--out", out) == (2, "", text)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_no_folder_is_left_behind_without_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    for out in ("new/deep/run", "mine"):
        status, _, err = run_here("digits", "--data", "nowhere", "--out", out)
        assert (status, err[:25]) == (2, "error: folder must exist,")
    assert [*tmp_path.rglob("*")] == [tmp_path / "mine"]


def test_a_training_that_diverges(folder, tmp_path):
    arguments = ["digits", "--data", folder, "--phi", "1e40", "--out", tmp_path / "run"]
    text = (
        "error: the loss is not finite in epoch 1, batch 1 of 1, at learning rate 0.00012; lower learning_rate or phi "
        "(no epoch was complete)\n"
    )
    assert run_here(*arguments) == (2, "", text)
    assert not (tmp_path / "run").exists()


def test_no_or_general_help():
    status, out, err = run_here()
    assert (status, err) == (2, "")
    assert out.startswith("usage: python -m neuroattn.training digits [options]\n")
    assert "sweep RECIPE.yaml" in out
    assert run_here("--help") == (0, out, "")


@pytest.mark.process
def test_an_interrupt_keeps_where_it_is(folder, tmp_path):
    run = tmp_path / "run"
    command = started("digits", "--data", folder, "--epochs", 100_000, "--out", run, cwd=tmp_path)
    _, first_line = (
        command.stdout.readline() for _ in range(2)
    )  # after a note on the digits; it comes as soon as the epoch is kept
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert first_line.startswith("epoch   1/100000  validation accuracy")
    assert command.returncode == 130
    assert err == f"interrupted: the training goes on from here with the same command and --out {run}\n"
    assert files(run) == ["digits.resume.pt", "digits.safetensors", "events", "metrics.csv"]
    n_epochs = len(read_metadata(run / "digits.safetensors")["training"]["epochs"])
    assert n_epochs < 60  # a line that waited in a buffer would have come after some 80
    assert len(pd.read_csv(run / "metrics.csv")) == n_epochs


def test_an_interrupt_before_the_first_epoch_is_over(folder, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train_trial", interrupt)
    arguments = ["digits", "--data", folder, "--out", tmp_path / "run"]
    text = "interrupted: no batch was complete, so nothing was kept\n"
    assert run_here(*arguments) == (130, "", text)
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("RANK", "1")  # one of torchrun's processes, which keeps nothing and leaves the word to the first
    assert run_here(*arguments) == (130, "", "")


@pytest.mark.process
def test_a_kill_while_weights_are_written(folder, tmp_path, monkeypatch):
    arguments = ["digits", "--data", folder, "--epochs", 1, "--out", tmp_path / "run"]
    code = (
        "import os, sys; from neuroattn.models import checkpoint; from neuroattn.training.__main__ import main; "
        "checkpoint.save_file = lambda *_: os._exit(9); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    assert subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=False).returncode == 9
    assert len([*(tmp_path / "run").glob(".part-*.safetensors")]) == 1
    # Whether there was a state already or not, the same command goes on and leaves nothing else behind.
    for state in (tmp_path / "run").glob("*.resume.pt"):
        state.unlink()
    assert run_here(*arguments)[0] == 0
    assert files(tmp_path / "run") == ["digits.safetensors", "events", "metrics.csv"]


def weights_and_metrics(run):
    table = pd.read_csv(run / "metrics.csv").drop(columns=["seconds", "composites_per_second"])
    return weights_hash(load_model(run / "digits.safetensors")), table


@pytest.fixture
def recipe():
    """Options under which everything that a state must hold matters."""
    return ["--epochs", 4, "--batch_size", 3, "--validation", 0.3, "--averaging", 0.9, "--seed", 5]


@pytest.fixture
def uninterrupted(folder, recipe, tmp_path):
    assert run_here("digits", "--data", folder, *recipe, "--out", tmp_path / "whole")[0] == 0
    return weights_and_metrics(tmp_path / "whole")


def modified(file):
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


N_KILLS = 3


@pytest.mark.process
def test_a_training_survives_kills_at_random_moments(folder, recipe, tmp_path):
    run, random, kills = tmp_path / "run", np.random.default_rng(0), 0
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}"}
    arguments = [*map(str, ["--data", folder, *recipe, "--out", run])]
    # In a process of its own, too: once the number of threads was set, as tests of this process do, MKL splits its sums
    # in another way.
    whole = started("digits", "--data", folder, *recipe, "--out", tmp_path / "whole", cwd=tmp_path)
    assert (whole.communicate(timeout=120)[1], whole.returncode) == ("", 0)
    uninterrupted = weights_and_metrics(tmp_path / "whole")
    # Each process saves very often, so that kills hit the saving, too.
    code = (
        "import sys; from neuroattn.training import loop; loop.SAVE_SECONDS = 0.02; "
        "from neuroattn.training.__main__ import main; main(['digits', *sys.argv[1:]])"
    )
    state = run / "digits.resume.pt"
    for _ in range(20):
        before = modified(state)
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment)
        while process.poll() is None and modified(state) in {before, 0}:
            time.sleep(0.002)  # it has not come further than the one before
        try:
            process.wait(timeout=random.uniform(0, 0.15) if kills < N_KILLS else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
            break
    assert kills >= 2
    again = weights_and_metrics(run)
    assert again[0] == uninterrupted[0]
    pd.testing.assert_frame_equal(again[1], uninterrupted[1])
    assert not (run / "digits.resume.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stopped_after", [1, 15, 16, 17, 40])
def test_an_interrupt_at_a_batch_and_a_rerun(folder, recipe, tmp_path, uninterrupted, monkeypatch, stopped_after):
    run, calls = tmp_path / "run", []
    with monkeypatch.context() as patch:
        step = loop.train_trial

        def counted(*arguments):
            calls.append(0)
            if len(calls) == stopped_after:
                signal.raise_signal(signal.SIGINT)
            return step(*arguments)

        patch.setattr(loop, "train_trial", counted)
        status, _, err = run_here("digits", "--data", folder, *recipe, "--out", run)
    assert (status, len(calls)) == (130, stopped_after)
    assert err == f"interrupted: the training goes on from here with the same command and --out {run}\n"
    other = ["digits", "--data", folder, *recipe, "--out", run, "--phi", 10]
    text = (
        f"error: out must be a folder of the same training, got {str(run)!r}, which differs in phi (1000.0 there, 10.0 "
        "now); choose another folder, or the same options\n"
    )
    assert run_here(*other) == (2, "", text)
    status, out, err = run_here("digits", "--data", folder, *recipe, "--out", run)
    assert (status, err) == (0, "")
    epoch, batch = divmod(stopped_after, 16)
    if batch == 0:  # the epoch's end was told, and its metrics are there
        assert out.startswith(f"going on in epoch {epoch + 1} after 0 batches\n")
    else:
        assert out.startswith(f"going on in epoch {epoch + 1} after {batch} batches\n")
    again = weights_and_metrics(run)
    assert again[0] == uninterrupted[0]
    pd.testing.assert_frame_equal(again[1], uninterrupted[1])


def test_a_state_that_is_damaged(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "digits.resume.pt").write_bytes(b"torn")
    text = (
        f"error: out must hold a training that can go on, got {str(run)!r}, whose digits.resume.pt cannot be read; "
        "choose another folder\n"
    )
    assert run_here("digits", "--data", folder, "--out", run) == (2, "", text)
    assert [path.name for path in run.iterdir()] == ["digits.resume.pt"]


@pytest.mark.process
def test_wrong_options_are_told_at_once(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "neuroattn.training", "digits", "--phi", "-1"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, check=False, capture_output=True, text=True)
    *imports, error = done.stderr.splitlines()
    assert (done.returncode, done.stdout, error) == (2, "", "error: phi must be at least 0, got -1.0")
    loaded = {line.split("|")[-1].strip() for line in imports}
    assert "jsonargparse" in loaded
    assert "torch" not in loaded


def shared(*program, cwd):
    """Run a program in two processes that torchrun starts."""
    # Ports of its own choice, so that two test runs on one machine do not meet.
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    # Torch's launcher warns of a default of its own.
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [*torchrun, *map(str, program)]
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=240, check=False)


@pytest.mark.process
@pytest.mark.parametrize("options", [[], ["--attended", "ink", "--averaging", 0.9, "--schedule", "cosine"]])
def test_two_processes_train_as_one_does(folder, tmp_path, options):
    """47 composites in batches of 5: shares of unequal size, and a last batch of two."""
    recipe = ["digits", "--data", folder, "--epochs", 3, "--batch_size", 5, "--validation", 0.3, "--precision", 32]
    recipe += options
    one = started(*recipe, "--out", tmp_path / "one", cwd=tmp_path)
    assert one.communicate(timeout=120)[1] == ""
    two = shared("-m", "neuroattn.training", *recipe, "--out", tmp_path / "two", cwd=tmp_path)
    assert two.returncode == 0, two.stderr
    assert len(two.stdout.splitlines()) == 5  # one process speaks
    tables = [pd.read_csv(tmp_path / run / "metrics.csv") for run in ("one", "two")]
    assert len(tables[0]) == 3
    # A gate may fall on the other side of a mask's threshold, too: which, if any, depends on the processor.
    for name in ("training_classification_loss", "training_attention_loss"):
        np.testing.assert_allclose(tables[1][name], tables[0][name], rtol=2e-3)
    # A composite more or less may fall on the other side of a tie.
    for name in ("training_accuracy", "validation_accuracy"):
        np.testing.assert_allclose(tables[1][name], tables[0][name], atol=0.03)
    assert read_metadata(tmp_path / "two" / "digits.safetensors")["training"]["processes"] == 2
    weights = [load_model(tmp_path / run / "digits.safetensors").state_dict() for run in ("one", "two")]
    for name, value in weights[0].items():
        # A unit more or less under a mask moves its own weights; all others stay where they were.
        apart = (weights[1][name] - value).abs().numpy()
        assert apart.mean() < 1e-3
        assert np.quantile(apart, 0.99) < 5e-3


@pytest.mark.process
def test_two_processes_go_on_from_where_they_were_killed(folder, tmp_path):
    recipe = ["--data", folder, "--epochs", 4, "--batch_size", 5, "--precision", 32, "--averaging", 0.9]
    # The state is saved at every batch, and the process is gone in the middle of the second epoch.
    code = (
        "import os, sys; from neuroattn.training import loop; from neuroattn.training.__main__ import main; "
        "loop.SAVE_SECONDS = 0; step = loop.train_trial; calls = []\n"
        "def counted(*arguments):\n"
        "    calls.append(0)\n"
        "    if len(calls) == 20: os._exit(9)\n"
        "    return step(*arguments)\n"
        "loop.train_trial = counted if 'killed' in sys.argv[-1] and not os.path.exists(sys.argv[-1]) else step\n"
        "main(['digits', *sys.argv[1:]])"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    runs = [shared(script, *recipe, "--out", tmp_path / out, cwd=tmp_path) for out in ("killed", "killed", "whole")]
    assert [run.returncode == 0 for run in runs] == [False, True, True]
    assert runs[1].stdout.splitlines()[1].startswith("going on in epoch 2 after ")
    one, other = (weights_and_metrics(tmp_path / out) for out in ("killed", "whole"))
    assert one[0] == other[0]
    pd.testing.assert_frame_equal(one[1], other[1])


@pytest.mark.process
def test_a_batch_smaller_than_the_number_of_processes(folder, tmp_path):
    recipe = ["--data", folder, "--epochs", 1, "--validation", 0.3, "--out", tmp_path / "run"]
    # 47 composites: the last batch is of one.
    run = shared("-m", "neuroattn.training", "digits", *recipe, "--batch_size", 46, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    table = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert np.isfinite(table["training_classification_loss"]).all()
