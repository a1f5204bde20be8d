"""More machines: several processes and Dask workers fill one store, and nothing is lost when one of them dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from refused import refused
from torch import nn

from neuroattn.compute.cluster import dask_client
from neuroattn.recording import blocks, locks
from neuroattn.recording import cluster as cluster_module
from neuroattn.recording import layout as layout_module
from neuroattn.recording import stream as stream_module
from neuroattn.recording.contents import contents
from neuroattn.recording.damage import problems
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import Replace, Scale
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet

pytestmark = pytest.mark.process

NAMES = ["stage1/response", "stage2/gate", "readout/logits"]
ROOT = Path(__file__).resolve().parents[2]


def files(store):
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in Path(store).rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


@pytest.fixture(scope="module")
def client():
    """Two worker processes with one thread each, as a user's ``--workers 2`` has them."""
    with dask_client(2, None) as connected:
        yield connected


@pytest.fixture(autouse=True)
def _a_block_a_batch(monkeypatch):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)


@pytest.fixture
def many():
    """Return 101 stimuli with text in their table."""
    objects = np.random.default_rng(0).uniform(0, 0.5, (101, 2, 1, 11, 13)).astype(np.float32)
    table = pd.DataFrame({"name": [f"picture {k}" for k in range(101)]})
    return StimulusSet(objects.sum(1), objects, table)


def test_a_cluster_writes_the_bytes_of_a_single_process(network, many, tmp_path, client):
    record(network, many, NAMES, batch_size=3, store=tmp_path / "alone.zarr").close()
    with record(network, many, NAMES, batch_size=3, store=tmp_path / "shared.zarr", client=client) as tree:
        assert bool(tree["done"].all())
    assert files(tmp_path / "shared.zarr") == files(tmp_path / "alone.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.zarr", "shared.zarr"]


def test_interventions_go_with_the_model(network, many, tmp_path, client):
    values = np.random.default_rng(1).random((101, 3, 10, 12)).astype(np.float32)
    interventions = [Scale("stage2/gate", 0.5, steps=[1]), Replace("stage1/response", values, phases=[1])]
    with intervene(network, *interventions):
        record(network, many, NAMES, batch_size=3, store=tmp_path / "alone.zarr").close()
        record(network, many, NAMES, batch_size=3, store=tmp_path / "shared.zarr", client=client).close()
        again = record(network, many, NAMES, batch_size=3)  # the hooks are back on the model
    assert files(tmp_path / "shared.zarr") == files(tmp_path / "alone.zarr")
    with record(network, many, NAMES, batch_size=3) as intact:
        assert not np.array_equal(again["readout/logits"]["activation"], intact["readout/logits"]["activation"])
    assert not any(module._forward_hooks for module in network.modules())


class Picky(nn.Module):
    """Has a part that bright images alone go through."""

    def __init__(self):
        super().__init__()
        self.conv, self.bright = nn.Conv2d(1, 3, 2), nn.ReLU()

    def forward(self, images):
        maps = self.conv(images)
        return self.bright(maps) if images.mean() > 0.5 else maps


def test_an_intervention_that_does_not_act_on_a_worker(many, tmp_path, client):
    images = np.full_like(many.images, 0.75) + many.images / 4
    images[61] = 0.1
    text = (
        "interventions must act in every batch (here: stimuli 61 to 61), got {'kind': 'Scale', 'variable': 'bright', "
        "'factor': 2}, which never does: its module 'bright' is not called; intervene on the module around it, or "
        "record stimuli that reach it"
    )
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not have this module
    module, store = Picky().eval(), tmp_path / "a.zarr"
    try:
        with intervene(module, Scale("bright", 2)), refused(text):
            record(module, StimulusSet(images), ["conv"], batch_size=1, store=store, client=client)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert contents(store).done < len(images)
    assert not any(part._forward_hooks for part in module.modules())


N_KILLS = 2


@pytest.mark.slow
def test_a_killed_worker_takes_nothing_with_it(network, tmp_path):
    """Under an intervention: those that replace the killed get the model from other workers, and must get no hook."""
    objects = np.random.default_rng(0).uniform(0, 0.5, (501, 2, 1, 11, 13)).astype(np.float32)
    stimuli = StimulusSet(objects.sum(1), objects)
    with intervene(network, Scale("stage2/gate", 0.5)):
        record(network, stimuli, NAMES, batch_size=3, store=tmp_path / "alone.zarr").close()
    store, kills = tmp_path / "shared.zarr", []
    torch.save(network, tmp_path / "network.pt")
    (tmp_path / "program.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "program.py", ROOT, tmp_path / "network.pt", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("workers ")
        deadline = time.monotonic() + 120
        while process.poll() is None and len(kills) < N_KILLS and time.monotonic() < deadline:
            done = contents(store).done if (store / "zarr.json").exists() else 0
            if done > 200 * (len(kills) + 1):
                worker = living_worker(process.pid, kills)
                if worker is not None:  # else its nanny is still at it
                    os.kill(worker, signal.SIGKILL)
                    kills.append(worker)
            time.sleep(0.02)
        assert process.wait(timeout=300) == 0
    assert len(kills) == N_KILLS
    assert problems(store) == []
    assert files(store) == files(tmp_path / "alone.zarr")


def living_worker(parent, killed):
    """Return the process of a worker: the youngest that a nanny has spawned and nobody has killed."""
    spawned = [child for child in psutil.Process(parent).children() if "spawn_main" in " ".join(child.cmdline())]
    alive = [child for child in spawned if child.pid not in killed and child.status() != psutil.STATUS_ZOMBIE]
    return max(alive, key=psutil.Process.create_time).pid if alive else None


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, torch
from distributed import Client, LocalCluster
from neuroattn.recording import layout
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import Scale
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
if __name__ == "__main__":
    layout.BLOCK_BYTES = 1
    network = torch.load(sys.argv[2], weights_only=False)
    objects = np.random.default_rng(0).uniform(0, 0.5, (501, 2, 1, 11, 13)).astype(np.float32)
    stimuli = StimulusSet(objects.sum(1), objects)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
        print("workers there", flush=True)
        names = ["stage1/response", "stage2/gate", "readout/logits"]
        with intervene(network, Scale("stage2/gate", 0.5)):
            record(network, stimuli, names, batch_size=3, store=sys.argv[3], client=client).close()
"""


def test_two_processes_share_a_store(network, many, tmp_path):
    """The same call in two processes at once: each block is written once, by one of them, and both return the whole."""
    record(network, many, NAMES, batch_size=3, store=tmp_path / "alone.zarr").close()
    torch.save(network, tmp_path / "network.pt")
    store = tmp_path / "shared.zarr"
    command = [sys.executable, "-c", SHARING, str(ROOT), str(tmp_path / "network.pt"), str(store)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    written = []
    for process in both:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert printed.endswith("whole\n")
        written.append([int(number) for number in printed.split()[:-1]])
    assert sorted(written[0] + written[1]) == list(range(34))
    assert all(written)  # neither did everything
    assert files(store) == files(tmp_path / "alone.zarr")


SHARING = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np, pandas as pd, torch
from neuroattn.recording import layout, stream
from neuroattn.recording.record import record
from neuroattn.stimuli.stimulus_set import StimulusSet
torch.set_num_threads(1)
layout.BLOCK_BYTES = 1
real = stream.write_block
def slowly(root, number, rows, arrays, trials):
    print(number, flush=True)
    time.sleep(0.05)
    real(root, number, rows, arrays, trials)
stream.write_block = slowly
network = torch.load(sys.argv[2], weights_only=False)
objects = np.random.default_rng(0).uniform(0, 0.5, (101, 2, 1, 11, 13)).astype(np.float32)
stimuli = StimulusSet(objects.sum(1), objects, pd.DataFrame({"name": [f"picture {k}" for k in range(101)]}))
names = ["stage1/response", "stage2/gate", "readout/logits"]
print("ready", flush=True)
sys.stdin.readline()
with record(network, stimuli, names, batch_size=3, store=sys.argv[3]) as t:
    assert bool(t["done"].all())
print("whole")
"""


def test_a_block_that_another_process_has_begun_is_left_to_it(network, many, tmp_path, monkeypatch):
    """And taken over when that process is gone without having filled it."""
    store = tmp_path / "a.zarr"
    held, written, real = {}, [], stream_module.write_block

    def note(root, number, *what):
        if not written:
            held[5] = locks.claim(store, 5)  # as another process would
            assert held[5] is not None
        if len(written) == 32:
            assert 5 not in written
        written.append(number)
        real(root, number, *what)

    def gone(_seconds):
        assert len(written) == 33
        held[5].release()

    monkeypatch.setattr(stream_module, "write_block", note)
    monkeypatch.setattr(blocks.time, "sleep", gone)
    record(network, many, NAMES, batch_size=3, store=store).close()
    assert written[-1] == 5
    assert sorted(written) == list(range(34))


def test_workers_that_keep_dying_end_the_recording(network, many, tmp_path, client, monkeypatch):
    monkeypatch.setattr(cluster_module, "give_out", lambda *_: 0)
    text = (
        "the workers of the cluster died 5 times in a row without recording anything; what was written stays valid, "
        "look at their logs (memory?) and make the same call again"
    )
    with pytest.raises(OSError, match=f"^{re.escape(text)}$"):
        record(network, many, NAMES, batch_size=3, store=tmp_path / "a.zarr", client=client)


def test_a_cluster_waits_for_blocks_that_another_process_has_begun(
    network, many, tmp_path, client, monkeypatch, stopped
):
    store, waits = tmp_path / "a.zarr", []
    record(network, many, NAMES, batch_size=3, store=tmp_path / "alone.zarr").close()
    with stopped(0, TypeError), pytest.raises(TypeError):  # lays the store out
        record(network, many, NAMES, batch_size=3, store=store)
    held = locks.claim(store, 5)
    assert held is not None

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 7:  # more rounds than workers may die in
            held.release()

    monkeypatch.setattr(cluster_module.time, "sleep", sleep)
    record(network, many, NAMES, batch_size=3, store=store, client=client).close()
    assert len(waits) >= 7
    assert files(store) == files(tmp_path / "alone.zarr")


def test_a_cluster_needs_a_store(network, many, client):
    text = "store must be a path where a cluster records, got None; its workers write there"
    with refused(text):
        record(network, many, NAMES, client=client)
