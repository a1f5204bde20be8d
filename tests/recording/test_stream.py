"""Recordings on disk: laid out first, filled by regions, continued after any kill."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from recording.small import small_network, small_stimuli
from refused import refused

from neuroattn.recording import layout as layout_module
from neuroattn.recording import room as room_module
from neuroattn.recording import stream as stream_module
from neuroattn.recording.__main__ import main
from neuroattn.recording.contents import contents
from neuroattn.recording.damage import problems
from neuroattn.recording.record import make_plan, record
from neuroattn.recording.store import open_recording
from neuroattn.stimuli.stimulus_set import StimulusSet


@pytest.fixture(autouse=True)
def _a_block_a_batch(monkeypatch):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)


NAMES = ["stage1/response", "stage2/gate", "readout/logits"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def recorded_once(made_once):
    """A store of the small network and stimuli, in blocks of two; see `recorded` for a copy."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout_module, "BLOCK_BYTES", 1)
            record(small_network(), small_stimuli(), NAMES, store=folder, batch_size=2).close()

    return made_once("recorded.zarr", make)


@pytest.fixture
def recorded(recorded_once, tmp_path):
    return shutil.copytree(recorded_once, tmp_path / "a.zarr")


def files(store: Path) -> dict[str, bytes]:
    """Return the bytes of every chunk of a store; metadata hold the time of nothing, but are not arrays."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


@pytest.mark.parametrize("design", ["free", "cued"])
def test_a_store_holds_what_memory_holds(network, stimuli, tmp_path, design):
    kept = record(network, stimuli, NAMES, [1, 4], design=design, batch_size=3)
    with record(network, stimuli, NAMES, [1, 4], design=design, batch_size=3, store=tmp_path / "a.zarr") as stored:
        assert bool(stored[layout_module.DONE].all())
        for name in NAMES:
            there, here = stored[name].to_dataset().load(), kept[name].to_dataset()
            assert there["activation"].attrs == {"units": "1"}
            assert set(there.coords) == set(here.coords)
            np.testing.assert_array_equal(there["activation"], here["activation"])
            for coordinate in here.coords:
                np.testing.assert_array_equal(there[coordinate].astype(here[coordinate].dtype), here[coordinate])
        assert stored.attrs["identity"] == kept.attrs["identity"]


def test_a_whole_store_is_not_run_again(monkeypatch, network, stimuli, recorded):
    before = files(recorded)
    monkeypatch.setattr(stream_module, "write_block", None)
    record(network, stimuli, NAMES, store=recorded, batch_size=2).close()
    assert files(recorded) == before


@pytest.mark.slow
def test_flags_are_set_after_the_data_and_a_broken_batch_is_written_again(monkeypatch, network, stimuli, tmp_path):
    store, whole = tmp_path / "a.zarr", tmp_path / "b.zarr"
    record(network, stimuli, NAMES, store=whole, batch_size=1).close()
    real, written = stream_module.write_block, []

    def fails_in_the_third(root, block, rows, activations, trials):
        if len(written) == 2:
            activations["readout/logits"] = "nothing"  # after the data of the first variables are there
        written.append(rows)
        real(root, block, rows, activations, trials)

    with monkeypatch.context() as patch:
        patch.setattr(stream_module, "write_block", fails_in_the_third)
        with pytest.raises(TypeError, match="string indices"):
            record(network, stimuli, NAMES, store=store, batch_size=1)
    assert contents(store).done == 4
    record(network, stimuli, NAMES, store=store, batch_size=1).close()
    assert files(store) == files(whole)
    assert problems(store) == []


def test_a_layout_that_fails_leaves_no_store(monkeypatch, network, stimuli, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(layout_module, "neuroids", None)
        with pytest.raises(TypeError):
            record(network, stimuli, NAMES, store=tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []
    record(network, stimuli, NAMES, store=tmp_path / "a.zarr").close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.slow
def test_coordinates_are_written_some_blocks_at_a_time(monkeypatch, network, stimuli, tmp_path):
    kept = record(network, stimuli, NAMES, batch_size=1)
    monkeypatch.setattr(layout_module, "CHUNK_PRESENTATIONS", 5)  # two blocks of two presentations
    with record(network, stimuli, NAMES, store=tmp_path / "a.zarr", batch_size=1) as stored:
        for coordinate in kept["stage1/response"].coords:
            found, expected = stored["stage1/response"][coordinate], kept["stage1/response"][coordinate]
            np.testing.assert_array_equal(found.astype(expected.dtype), expected)
    described = json.loads((tmp_path / "a.zarr" / "stage1" / "response" / "attended" / "zarr.json").read_text())
    assert described["chunk_grid"]["configuration"]["chunk_shape"] == [4]


@pytest.mark.parametrize(
    ("bytes_", "most", "shown", "expected"),
    [(1, 512, 10**9, 2), (10**9, 512, 10**9, 4), (10**9, 3, 10**9, 2), (10**9, 512, 1, 2)],
)
def test_a_block_is_whole_batches(monkeypatch, network, stimuli, bytes_, most, shown, expected):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", bytes_)
    monkeypatch.setattr(layout_module, "BLOCK_STIMULI", most)
    monkeypatch.setattr(layout_module, "BLOCK_STIMULUS_BYTES", shown)
    assert layout_module.block_size(make_plan(network, stimuli, NAMES, batch_size=2)) == expected


@pytest.mark.slow
def test_the_blocks_do_not_change_what_is_recorded(monkeypatch, network, stimuli, tmp_path):
    stores = []
    for size in (1, 10**9):
        monkeypatch.setattr(layout_module, "BLOCK_BYTES", size)
        stores.append(record(network, stimuli, NAMES, batch_size=1, store=tmp_path / f"{size}.zarr").load())
    for name in NAMES:
        xr.testing.assert_identical(stores[0][name].to_dataset(), stores[1][name].to_dataset())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"variables": ["stage1/response"]}, "variables"),
        ({"steps": [0]}, "steps"),
        ({"design": "cued"}, "design"),
        ({"batch_size": 3}, "batch_size"),
        ({"model": small_network().with_strength(0.11)}, r"model_config \("),
    ],
)
def test_another_recording_is_refused_by_what_differs(network, stimuli, recorded, options, named):
    before = files(recorded)
    text = f"store {str(recorded)!r} holds another recording, which differs in "
    options = {"model": network, "variables": NAMES, "batch_size": 2, **options}
    with pytest.raises(ValueError, match=re.escape(text) + f".*{named}"):
        record(stimuli=stimuli, store=recorded, **options)
    assert files(recorded) == before
    assert list(recorded.parent.iterdir()) == [recorded]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (99, "has schema version 99, this package reads up to 2; update it"),
        (1, "has schema version 1, this package continues only 2; choose another path"),
    ],
)
def test_a_store_of_another_schema_is_not_continued(network, stimuli, recorded, version, text):
    zarr.open_group(recorded, mode="r+").attrs["schema_version"] = version
    with refused(f"store {str(recorded)!r} {text}"):
        record(network, stimuli, NAMES, store=recorded)


def test_another_group_is_refused(network, stimuli, tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    with refused(f"store {str(tmp_path / 'a.zarr')!r} is no recording of this package; choose another path"):
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "after"),
    [("empty_coordinate", 37), ("_copy_to_others", 1), ("constant_variables", 0)],
)
def test_a_kill_while_coordinates_are_written(monkeypatch, network, stimuli, tmp_path, fails, after):
    """The layout makes 32 coordinates, and copies those of the table; the end makes and copies those of the trials."""
    store = tmp_path / "a.zarr"
    record(network, stimuli, NAMES, store=tmp_path / "whole.zarr", batch_size=1).close()
    count, real = [], getattr(layout_module, fails)

    def killed(*what):
        count.append(what)
        if len(count) > after:
            raise KeyboardInterrupt
        return real(*what)

    with monkeypatch.context() as patch:
        patch.setattr(layout_module, fails, killed)
        with pytest.raises(KeyboardInterrupt):
            record(network, stimuli, NAMES, store=store, batch_size=1)
    assert contents(store).done == contents(store).presentations
    assert problems(store) == []
    record(network, stimuli, NAMES, store=store, batch_size=1).close()
    assert files(store) == files(tmp_path / "whole.zarr")


def test_a_kill_while_the_notes_of_the_blocks_are_removed(network, stimuli, recorded):
    (recorded / "trials" / "c").mkdir(parents=True)
    (recorded / "trials" / "c" / "0").write_bytes(b"left")
    record(network, stimuli, NAMES, store=recorded, batch_size=2).close()
    assert not (recorded / "trials").exists()


def test_the_same_call_goes_on_while_the_error_is_still_looked_at(stopped, network, stimuli, tmp_path):
    """A notebook keeps the last exception, and with it everything that its frames hold."""
    with stopped(0, TypeError), pytest.raises(TypeError) as kept:
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr", batch_size=1)
    record(network, stimuli, NAMES, store=tmp_path / "a.zarr", batch_size=1).close()
    assert kept.value.__traceback__ is not None
    assert contents(tmp_path / "a.zarr").done == 8


def test_processes_that_begin_together_take_one_batch_size(monkeypatch, network, stimuli, tmp_path):
    monkeypatch.setattr(stream_module, "batch_size_there", None)
    import neuroattn.recording.record as record_module

    monkeypatch.setattr(record_module, "batch_size_there", lambda _: None)  # looked before the other laid it out
    monkeypatch.setattr(record_module, "choose_batch_size", lambda *_: 2)
    record(network, stimuli, NAMES, store=tmp_path / "a.zarr").close()
    monkeypatch.setattr(record_module, "choose_batch_size", lambda *_: 3)
    record(network, stimuli, NAMES, store=tmp_path / "a.zarr").close()
    with pytest.raises(ValueError, match=r"differs in batch_size \(2 there, 3 now\)"):
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr", batch_size=3)


@pytest.mark.parametrize("made", ["file", "folder", "link", "array"])
def test_a_path_that_is_something_else(network, stimuli, tmp_path, made):
    store = tmp_path / "a.zarr"
    if made == "file":
        store.write_text("mine")
    elif made == "folder":
        store.mkdir()
    elif made == "link":
        store.symlink_to(tmp_path / "nowhere")
    else:
        zarr.create_array(store, shape=(3,), dtype="f4")
    text = f"store must be a new path or a recording of this package, got {str(store)!r}; choose another path"
    with refused(text):
        record(network, stimuli, NAMES, store=store)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_block_that_memory_does_not_hold(monkeypatch, network, stimuli, tmp_path):
    monkeypatch.setattr(room_module, "free_memory", lambda: 1000)
    with pytest.raises(
        ValueError, match=r"^batch_size must leave room in memory, got 2, which needs 0\.04 MB at a time"
    ):
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr", batch_size=2)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_with_numbers(monkeypatch, network, stimuli, tmp_path):
    monkeypatch.setattr(room_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    n = 4 * 2 * 5 * 4  # stimuli, phases, steps, bytes
    text = (
        f"store {str(tmp_path / 'a.zarr')!r} needs up to {n * (3 * 10 * 12 + 3 * 5 * 6 + 7) / 1e6:.2f} MB "
        f"(stage1/response {n * 3 * 10 * 12 / 1e6:.2f} MB, stage2/gate {n * 3 * 5 * 6 / 1e6:.2f} MB, readout/logits "
        "0.00 MB), and 0.00 MB are free; record fewer steps, variables, stimuli or units, in float16, or reduce while "
        "recording"
    )
    with refused(text):
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_was_written(stopped, network, stimuli, tmp_path):
    store = tmp_path / "a.zarr"
    text = (
        f"store {str(store)!r} could not be written (No space left on device); what was written stays valid, and "
        "the same call goes on from there"
    )
    full = OSError(28, "No space left on device")
    with stopped(1, full), pytest.raises(OSError, match=re.escape(text)):
        record(network, stimuli, NAMES, store=store, batch_size=1)
    assert contents(store).done == 2
    assert problems(store) == []
    record(network, stimuli, NAMES, store=store, batch_size=1).close()
    assert contents(store).done == contents(store).presentations


@pytest.mark.slow
def test_a_full_disk_and_a_read_only_one(network, disk, tmp_path):
    """A real one: a tmpfs that is large enough for the layout and a few blocks."""

    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", small], check=True)  # noqa: S607

    small = disk("800k")
    stimuli = StimulusSet(np.random.default_rng(0).random((101, 1, 11, 13), dtype=np.float32))
    options = {"variables": NAMES, "store": small / "a.zarr", "batch_size": 3}
    refusal = r"could not be written \({}\); what was written stays"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "require_disk", lambda *_: None)  # others fill the disk while we record
        with pytest.raises(OSError, match=refusal.format("No space left on device")):
            record(network, stimuli, **options)
    before = contents(small / "a.zarr")
    assert 0 < before.done < before.presentations
    assert problems(small / "a.zarr") == []
    remount("ro")
    with pytest.raises(OSError, match=refusal.format("Read-only file system")):
        record(network, stimuli, **options)  # half of it is there
    remount("rw,size=20m")
    record(network, stimuli, **options).close()
    record(network, stimuli, **{**options, "store": tmp_path / "whole.zarr"}).close()
    assert files(small / "a.zarr") == files(tmp_path / "whole.zarr")
    remount("ro")
    record(network, stimuli, **options).close()  # nothing is left to be written
    assert problems(small / "a.zarr") == []
    open_recording(small / "a.zarr").close()
    with pytest.raises(OSError, match=refusal.format("Read-only file system")):
        record(network, stimuli, **{**options, "store": small / "b.zarr"})


def test_a_sink_and_a_store_exclude_each_other(network, stimuli, tmp_path):
    from neuroattn.recording.reduce import Reduction

    text = "store must be None where a sink takes the recording; write what the sink returns instead"
    with pytest.raises(ValueError, match=re.escape(text)):
        record(network, stimuli, NAMES, store=tmp_path / "a.zarr", sink=Reduction(["phase"]))


def info(store, *options):
    with pytest.raises(SystemExit) as left:
        main(["info", str(store), *options])
    return left.value.code


def test_info_prints_what_is_there_and_verifies_it(recorded, capsys):
    assert info(recorded, "--verify") == 0
    printed = capsys.readouterr().out
    assert "8 of 8 presentations recorded (100.0%)" in printed
    assert "  readout/logits: 8 × 5 × 7 (presentation × time step × neuroid), float32" in printed
    assert "  model: small" in printed
    assert printed.endswith("verified: every chunk is readable\n")


@pytest.mark.parametrize("damage", ["flipped", "cut", "lost"])
def test_a_damaged_chunk_is_found(recorded, capsys, damage):
    assert problems(recorded) == []
    chunk = recorded / "stage1" / "response" / "activation" / "c" / "1" / "0" / "0"
    whole = chunk.read_bytes()
    if damage == "lost":
        chunk.unlink()
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        chunk.write_bytes(bytes(flipped) if damage == "flipped" else whole[: len(whole) // 2])
    assert info(recorded, "--verify") == 1
    assert "damaged:\n  stage1/response: presentation" in capsys.readouterr().out


@pytest.mark.parametrize("made", ["nothing", "file", "group"])
def test_info_on_something_else_is_one_line(tmp_path, capsys, made):
    path = tmp_path / "x"
    if made == "file":
        path.write_text("no store")
    elif made == "group":
        zarr.create_group(path)
    assert info(path) == 2
    assert capsys.readouterr().err.startswith("error: store must be ")


# The first meet the layout, the others the blocks; raise the numbers to look for what is rare.
N_EARLY_KILLS, N_KILLS = 2, 8
PROGRAM = """
import sys, torch, numpy as np, pandas as pd
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording import layout
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
torch.set_num_threads(1)
layout.BLOCK_BYTES = 1
config = GatedConfig(size=(1, 11, 13), channels=(3, 5), classes=7, kernel=2)
network = GatedNetwork(config, torch.Generator().manual_seed(0))
objects = np.random.default_rng(0).uniform(0, 0.5, (601, 2, 1, 11, 13)).astype(np.float32)
stimuli = StimulusSet(objects.sum(1), objects, pd.DataFrame({"name": [f"picture {k}" for k in range(601)]}))
print("ready", flush=True)
record(network, stimuli, ["stage1/response", "stage2/gate", "readout/logits"], batch_size=3, store=sys.argv[1])
print("done", flush=True)
"""


def n_flagged(store: Path) -> int:
    """Return how many blocks are flagged, by their files."""
    return sum(1 for path in (store / "done" / "c").glob("*") if path.suffix != ".partial")


@pytest.mark.process
@pytest.mark.slow
def test_a_recording_survives_kills_at_random_moments(tmp_path):
    """SIGKILL at random moments, then the same call: in the end the bytes are those of a run that was left alone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(store: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(store)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    with start(tmp_path / "whole.zarr") as alone:
        assert alone.stdout.readline() == "ready\n"
        assert alone.stdout.readline() == "done\n"
    store, chance, kills = tmp_path / "killed.zarr", random.Random(0), 0  # noqa: S311 -- no secret
    while kills < N_KILLS:
        with start(store) as process:
            assert process.stdout.readline() == "ready\n"
            if kills >= N_EARLY_KILLS:
                further = n_flagged(store) + chance.randint(0, 3)
                while n_flagged(store) < further or not store.exists():
                    time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        kills += 1
        if store.exists():
            assert problems(store) == []
    assert 0 < contents(store).done < contents(store).presentations
    with start(store) as process:
        assert process.stdout.read() == "ready\ndone\n"
    assert files(store) == files(tmp_path / "whole.zarr")
    assert json.loads(contents(store).attributes["identity_of"])["variables"] == NAMES
    with xr.open_datatree(store, engine="zarr", consolidated=False) as tree:
        assert bool(tree["done"].all())
        assert tree["readout/logits"]["name"].values[-1] == "picture 600"
