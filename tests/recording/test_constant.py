"""Variables that are the same for every stimulus: found where they are, and only there."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuroattn.recording import constant as constant_module
from neuroattn.recording import layout as layout_module
from neuroattn.recording.constant import constant_variables
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import AblateInhibition, Clamp
from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction
from neuroattn.recording.store import open_recording
from neuroattn.recording.units import Units
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.timed_module import TimedModule

ATTRIBUTE = "constant_over_stimuli"


class Stuck(nn.Module):
    """A convolution that sees, and one whose weights are 0."""

    def __init__(self):
        super().__init__()
        self.seeing, self.stuck = nn.Conv2d(1, 3, 2), nn.Conv2d(1, 2, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.seeing.weight.uniform_(-1, 1, generator=generator)
            self.stuck.weight.zero_()

    def forward(self, images):
        return self.seeing(images), self.stuck(images)


@pytest.fixture
def stuck():
    return Stuck().eval()


@pytest.fixture
def seven():
    return StimulusSet(np.random.default_rng(0).random((7, 1, 11, 13), dtype=np.float32))


def warned(name, n):
    text = (
        f"{name} is the same for all {n} stimuli in every unit; check that the stimuli differ where its units look, "
        "and that it is recorded where it varies"
    )
    return pytest.warns(UserWarning, match=f"^{re.escape(text)}$")


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 11),
    per=st.integers(1, 3),
    moved=st.none() | st.tuples(*[st.integers(0, 100)] * 3),
    chunk=st.sampled_from([1, 2, 5, 1024]),
)
def test_one_value_of_one_stimulus_settles_it(n, per, moved, chunk):
    values = np.tile(np.random.default_rng(0).random((per, 2, 5), dtype=np.float32), (n, 1, 1))
    if moved is not None:
        values[tuple(place % size for place, size in zip(moved, values.shape, strict=True))] += 1
    expected = n > 1 and moved is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constant_module, "CHUNK", chunk)
        assert constant_variables({"a": values, "b": np.zeros_like(values)}, per) == (
            [*(["a"] if expected else []), *(["b"] if n > 1 else [])]
        )


def test_what_differs_between_phases_and_steps_alone_is_constant():
    values = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    assert constant_variables({"a": np.tile(values, (7, 1, 1))}, 2) == ["a"]
    assert constant_variables({"a": np.tile(values, (7, 1, 1))}, 1) == []


def test_what_is_nowhere_a_number_is_constant():
    assert constant_variables({"a": np.full((7, 2, 3), np.nan, np.float32)}, 1) == ["a"]


def test_arrays_on_disk(tmp_path):
    values = np.tile(np.arange(5, dtype=np.float32), (7, 3, 1))
    arrays = {name: zarr.create_array(tmp_path / name, data=values, chunks=(2, 3, 5)) for name in "ab"}
    arrays["b"][6, 2, 4] = -1
    assert constant_variables(arrays, 1) == ["a"]


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("streamed", [False, True])
def test_it_is_pointed_out(stuck, seven, tmp_path, streamed, precision, monkeypatch):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)
    options = {"precision": precision, "batch_size": 2, "store": tmp_path / "a.zarr" if streamed else None}
    with warned("stuck", 7) as caught:
        tree = record(stuck, seven, ["seeing", "stuck"], **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert tree["stuck"]["activation"].attrs == {"units": "1", ATTRIBUTE: 1}
    assert tree["seeing"]["activation"].attrs == {"units": "1"}
    if streamed:
        tree.close()
        with open_recording(tmp_path / "a.zarr") as stored:
            assert stored["stuck"]["activation"].attrs[ATTRIBUTE] == 1


def test_a_whole_store_says_it_again(stuck, seven, tmp_path):
    for _ in range(2):
        with warned("stuck", 7):
            record(stuck, seven, ["stuck"], store=tmp_path / "a.zarr").close()


@pytest.mark.parametrize("sink", [None, Reduction(["phase"])])
def test_with_a_single_stimulus_nothing_is_constant(stuck, seven, sink):
    found = record(stuck, seven.select([3]), ["stuck"], sink=sink)["stuck"]
    assert not any(ATTRIBUTE in array.attrs for array in found.data_vars.values())


def test_only_what_is_recorded_counts(stuck, seven):
    images = seven.images.copy()
    images[:, :, :, 5:] = 0.5
    stimuli = StimulusSet(images)
    record(stuck, stimuli, ["seeing"], units=Units(x=(0, 5)))
    with warned("seeing", 7):
        record(stuck, stimuli, ["seeing"], units=Units(x=(5, 12)))


def test_a_phase_that_varies_is_enough(stuck, seven):
    def run(module, images):
        for phase in range(3):
            yield phase, 0
            module(images * (phase == 2))

    tree = record(TimedModule(stuck, run=run), seven, ["seeing"])
    assert ATTRIBUTE not in tree["seeing"]["activation"].attrs

    def unseen(module, images):
        for phase in range(3):
            yield phase, 0
            module(torch.full_like(images, phase / 3))

    with warned("seeing", 7):
        record(TimedModule(stuck, run=unseen), seven, ["seeing"])


@pytest.mark.parametrize("batch_size", [5, 3, 2])
def test_stimuli_that_are_the_same(network, images, batch_size):
    """The values of a batch of another size differ by rounding, and the layer is no less constant."""
    same = StimulusSet(np.repeat(images[:1], 5, 0))
    names = ["stage1/response", "stage1/gate", "readout/logits"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tree = record(network, same, names, batch_size=batch_size)
    assert [str(one.message).split()[0] for one in caught] == names
    assert all(leaf["activation"].attrs[ATTRIBUTE] == 1 for leaf in tree.leaves)


def test_what_an_intervention_makes_constant(network, stimuli):
    with intervene(network, Clamp("stage2/gate", 0.25)), warned("stage2/gate", 4):
        record(network, stimuli, ["stage2/gate"])
    with intervene(network, AblateInhibition()):
        tree = record(network, stimuli, ["stage2/gate"])
    assert ATTRIBUTE not in tree["stage2/gate"]["activation"].attrs


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_a_reduction_points_it_out_too(stuck, seven, batch_size):
    module = TimedModule(stuck, variables={"seen": "seeing", "stuck": "stuck"})
    with warned("stuck", 7):
        tree = record(module, seven, ["seen", "stuck"], batch_size=batch_size, sink=Reduction(["phase"]))
    assert tree["stuck"]["mean"].attrs[ATTRIBUTE] == 1
    assert ATTRIBUTE not in tree["seen"]["mean"].attrs
