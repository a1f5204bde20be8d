"""Trainings and sweeps when another process, or a disk without room, is against them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from commands import ended

from neuroattn.models.checkpoint import load_model, read_metadata, weights_hash
from neuroattn.runs.folder import LOCK, alone
from neuroattn.runs.output_file import WriteError
from neuroattn.training.__main__ import main
from neuroattn.training.events import Events

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def started(*arguments):
    command = [sys.executable, "-m", "neuroattn.training", *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def busy(folder):
    return (
        f"error: out must be a folder that no other process works in, got {str(folder)!r}; let that one finish, or "
        "choose another folder\n"
    )


@pytest.mark.slow
def test_a_folder_that_another_process_works_in_is_refused(folder, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("base: {epochs: 1}\ngrid: {seed: [0]}\n")
    out = tmp_path / "run"
    with alone(out):
        assert ended(main, "digits", "--data", folder, "--out", out) == (2, "", busy(out))
        assert ended(main, "sweep", recipe, "--data", folder, "--out", out, "--workers", 1) == (2, "", busy(out))
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert not out.exists()


@pytest.mark.process
@pytest.mark.slow
def test_two_trainings_at_once_in_one_folder(folder, tmp_path):
    out = tmp_path / "run"
    arguments = ["digits", "--data", folder, "--batch_size", 5, "--epochs", 20, "--out", out]
    first = started(*arguments)
    first.stdout.readline()
    assert first.stdout.readline().startswith("epoch")  # after the note on the digits
    assert ended(main, *arguments) == (2, "", busy(out))
    _, err = first.communicate(timeout=240)
    assert (first.returncode, err) == (0, "")
    assert len(pd.read_csv(out / "metrics.csv")) == 20
    assert len(read_metadata(out / "digits.safetensors")["training"]["epochs"]) == 20
    assert LOCK not in {path.name for path in out.iterdir()}


def test_events_on_a_full_disk_name_the_folder(disk):
    place = disk("8k")
    events = Events(place)
    text = f"{str(place)!r} could not be written (No space left on device) and is as it was before"

    def write():
        for epoch in range(200):
            events.add({"epoch": float(epoch), **{f"loss_{k}": 1.0 for k in range(40)}})

    with pytest.raises(WriteError, match=f"^{re.escape(text)}$"):
        write()
    disk("4m")
    events.close()


@pytest.mark.process
@pytest.mark.slow
def test_two_sweeps_at_once_in_one_folder(folder, tmp_path):
    recipe, out = tmp_path / "r.yaml", tmp_path / "run"
    recipe.write_text("base: {epochs: 4, batch_size: 3}\ngrid: {seed: [0, 1]}\n")
    arguments = ["sweep", recipe, "--data", folder, "--out", out, "--workers", 1]
    processes = [started(*arguments), started(*arguments)]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert sorted((p.returncode, error) for p, error in zip(processes, errors, strict=True)) == [
        (0, ""),
        (2, busy(out)),
    ]
    table = pd.read_csv(out / "table.csv")
    assert table.groupby("network").size().to_dict() == {"seed-0": 4, "seed-1": 4}


@pytest.mark.slow
@pytest.mark.parametrize("room", ["4k", "300k", "700k"])
def test_a_training_goes_on_after_a_full_disk(room, disk, folder, tmp_path):
    arguments = ["digits", "--data", folder, "--epochs", 2, "--batch_size", 23]
    assert ended(main, *arguments, "--out", tmp_path / "whole")[0] == 0
    out = disk(room) / "run"
    status, _, err = ended(main, *arguments, "--out", out)
    assert (status, err.count("\n")) == (2, 1), err
    assert err.startswith(f"error: '{out}")
    assert " could not be written (No space left on device) and is as it was before; " in err
    disk("64m")
    assert ended(main, *arguments, "--out", out)[0] == 0
    networks = [load_model(folder / "digits.safetensors") for folder in (out, tmp_path / "whole")]
    assert weights_hash(networks[0]) == weights_hash(networks[1])
