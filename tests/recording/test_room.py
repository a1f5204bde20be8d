"""What a recording takes, said before it is made; and how many stimuli are run at once."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from refused import refused

from neuroattn.compute import memory
from neuroattn.recording import record as record_module
from neuroattn.recording import room
from neuroattn.recording.plan import Plan
from neuroattn.recording.record import make_plan, record
from neuroattn.recording.reduce import Reduction
from neuroattn.recording.units import Units

NAMES = ["stage1/response", "readout/logits"]
CPU = torch.device("cpu")


def test_what_every_variable_takes(network, stimuli):
    plan = make_plan(network, stimuli, NAMES, [1, 3], units={"stage1/response": Units(sample=11)}, batch_size=2)
    assert plan.n_bytes() == {"stage1/response": 4 * 2 * 2 * 11 * 4, "readout/logits": 4 * 2 * 2 * 7 * 4}
    half = make_plan(network, stimuli, NAMES, [1, 3], precision="float16")
    assert half.n_bytes()["readout/logits"] == 4 * 2 * 2 * 7 * 2
    lines = room.estimate(plan, 10**9).splitlines()
    assert lines == [
        "up to 0.00 MB on disk, 1.00 GB of values in memory at a time, 2 stimuli at once",
        "  stage1/response: 8 × 2 × 11 (presentation × time step × neuroid) float32, 0.00 MB",
        "  readout/logits: 8 × 2 × 7 (presentation × time step × neuroid) float32, 0.00 MB",
    ]


def test_a_recording_that_does_not_fit_in_memory_is_refused_with_numbers(monkeypatch, network, stimuli):
    monkeypatch.setattr(room, "free_memory", lambda: 20_000)
    monkeypatch.setattr(record_module, "choose_batch_size", lambda *_: 1)
    text = (
        "the recording needs 0.06 MB of memory (stage1/response 0.06 MB, readout/logits 0.00 MB), and 0.02 MB are "
        "free; give a store to stream to, record fewer steps, variables, stimuli or units, in float16, or reduce "
        "while recording"
    )
    with refused(text):
        record(network, stimuli, NAMES)
    kept = record(network, stimuli, NAMES, [2], units={"stage1/response": Units(channels=[1])})  # as it suggests
    assert kept["stage1/response"]["activation"].shape == (8, 1, 120)


class Keeps:
    """A sink that counts how often it was given anything."""

    kept: ClassVar[dict[str, str]] = {}

    def __init__(self):
        self.calls = []

    def begin(self):
        self.calls.append("begin")

    def take(self, batch):
        self.calls.append(batch)


class KeepsMuch(Keeps):
    def n_bytes(self, plan):
        return dict.fromkeys(plan.variables, 40_000_000)


def test_a_reduction_that_does_not_fit_in_memory_is_refused_with_numbers(monkeypatch, network, stimuli):
    monkeypatch.setattr(room, "free_memory", lambda: 60_000)
    n = {"stage1/response": 4 * 5 * 3 * 10 * 12, "readout/logits": 4 * 5 * 7}  # conditions, steps, units
    text = (
        f"sink must fit in memory, got one that needs {sum(n.values()) * 32 / 1e6:.2f} MB or more for 8 presentations "
        f"(stage1/response {n['stage1/response'] * 32 / 1e6:.2f} MB, readout/logits 0.00 MB), and 0.06 MB are free; "
        "reduce by coordinates of fewer values, or record fewer steps, variables or units"
    )
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "batches", None)  # it is refused before the first
        with refused(text):
            record(network, stimuli, NAMES, batch_size=1, sink=Reduction(["stimulus_id"]))
    tree = record(network, stimuli, NAMES, [2], batch_size=1, sink=Reduction(["odd"]))
    assert tree["stage1/response"]["mean"].shape == (2, 1, 360)


@pytest.mark.parametrize(
    ("by", "what", "conditions", "of_unit"),
    [
        (["odd"], ("mean",), 2, 12),
        (["odd", "phase"], ("variance",), 2, 20),
        (["cued"], ("maximum",), 2, 8),
        (["stimulus_id", "phase", "cued"], ("mean", "variance", "maximum"), 8, 32),
        (["stimulus_id", "correct"], ("variance", "maximum"), 4, 28),  # at least
        (["no_such"], ("mean",), 1, 12),  # which the reduction refuses itself
    ],
)
def test_what_a_reduction_takes(network, stimuli, by, what, conditions, of_unit):
    plan = make_plan(network, stimuli, NAMES, [1, 3], design="cued", batch_size=2)
    found = Reduction(by, what=what).n_bytes(plan)
    assert found == {"stage1/response": conditions * of_unit * 2 * 360, "readout/logits": conditions * of_unit * 2 * 7}


def test_a_sink_of_ones_own_is_asked_too(monkeypatch, network, stimuli):
    monkeypatch.setattr(room, "free_memory", lambda: 60_000_000)
    sink = KeepsMuch()
    with pytest.raises(ValueError, match=r"^sink must fit in memory, got one that needs 0\.08 GB or more for 8 pres"):
        record(network, stimuli, NAMES, sink=sink)
    assert sink.calls == []
    monkeypatch.setattr(room, "free_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"^batch_size must leave room in memory, got 2, which needs 0\.03 MB at a t"):
        record(network, stimuli, NAMES, batch_size=2, sink=(sink := Keeps()))
    assert sink.calls == []


@pytest.mark.parametrize(
    ("step_bytes", "kept_bytes", "n_stimuli", "expected"),
    [
        (2**20, 1, 10**6, 32),  # 32 MiB of a step
        (2**20 + 1, 1, 10**6, 16),  # a power of two
        (1, 1, 10**6, 256),
        (1, 1, 7, 7),
        (1, 2**20, 10**6, 128),  # an eighth of 1 GiB
        (2**40, 2**40, 5, 1),
    ],
)
def test_the_batch_fits_caches_memory_and_stimuli(monkeypatch, step_bytes, kept_bytes, n_stimuli, expected):
    monkeypatch.setattr(room, "free_memory", lambda: 2**30)
    assert room.choose_batch_size(CPU, step_bytes, kept_bytes, n_stimuli) == expected


def test_the_batch_on_a_gpu(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 2**40)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**34))
    assert room.choose_batch_size(torch.device("cuda"), 2**20, 1, 10**6) == 256
    assert room.choose_batch_size(torch.device("cuda"), 1, 1, 10**6) == 1024


def test_a_batch_that_memory_does_not_hold(monkeypatch, network, stimuli):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    text = r"batch_size must fit in memory, got 4 stimuli at once, which needs \S+ GB, and 1e-06 GB are free; "
    with pytest.raises(ValueError, match=f"^{text}give a smaller one, or none, and it is chosen$"):
        make_plan(network, stimuli, NAMES, batch_size=10**9)


def test_a_store_keeps_the_batch_that_it_was_begun_with(monkeypatch, network, stimuli, tmp_path):
    """Free memory may differ when it goes on; the values must not, and so the batches must not."""
    store = tmp_path / "a.zarr"
    monkeypatch.setattr(record_module, "choose_batch_size", lambda *_: 2)
    record(network, stimuli, NAMES, store=store).close()
    monkeypatch.setattr(record_module, "choose_batch_size", lambda *_: 4)
    with record(network, stimuli, NAMES, store=store) as tree:
        assert tree.attrs["batch_size"] == 2


def test_the_rehearsal_measures_a_step(network, stimuli):
    """Every module's output of one step of one stimulus: convolutions, probes, pooling is no module."""
    plan = make_plan(network, stimuli, ["readout/logits"], [4])
    sizes = {"gated_input": 143, "conv": 360, "response": 360, "pooled": 90}
    first = sum(sizes.values())
    second = 90 + 5 * 4 * 5 * 2 + 5 * 2 * 2
    assert plan.rehearsal.bytes_of_a_step == pytest.approx(4 * (first + second + 7 + 7 + 7), rel=0.6)
    assert np.isfinite(plan.rehearsal.bytes_of_a_step)
