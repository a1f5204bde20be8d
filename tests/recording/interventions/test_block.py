"""The block of a `with`: what holds in it, what it says of a recording, and that nothing is left of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from recording.interventions.by_hand import (
    CASES,
    GATES,
    MASKS,
    NAMES,
    PATCH,
    RESPONSE,
    STRENGTH,
    Hand,
    N,
    flat,
    hooks,
    refused,
    values_of,
)

from neuroattn.models.trial import free_trial
from neuroattn.recording import layout as layout_module
from neuroattn.recording import stream as stream_module
from neuroattn.recording.contents import contents
from neuroattn.recording.intervene import active_on, intervene
from neuroattn.recording.interventions import (
    AblateInhibition,
    Clamp,
    Delay,
    ImposeInhibition,
    Replace,
    Scale,
    Shuffle,
    Silence,
    Strength,
    SwapInhibition,
)
from neuroattn.recording.record import record
from neuroattn.recording.reduce import Reduction
from neuroattn.recording.units import Units
from neuroattn.subjects.timed_module import TimedModule


def test_without_interventions_no_bit_changes(network, stimuli):
    with torch.no_grad():
        first, second = free_trial(network, torch.from_numpy(stimuli.images), 2, last_gates=True)
    before = record(network, stimuli, NAMES, batch_size=N)
    with intervene(network, Silence("stage1/response"), Strength(0.1)):
        pass
    after = record(network, stimuli, NAMES, batch_size=N)
    with intervene(network, *[Scale(name, 1.0) for name in NAMES]):
        by_one = record(network, stimuli, NAMES, batch_size=N)
    for name in NAMES:
        xr.testing.assert_identical(before[name].to_dataset(), after[name].to_dataset())
        xr.testing.assert_identical(before[name].to_dataset(), by_one[name].to_dataset())
    assert before.attrs == after.attrs
    found = values_of(before)
    for number, phase in enumerate((first, second)):
        assert_array_equal(found["readout/logits"][number::2, 4], phase.logits)
        assert_array_equal(found["stage1/gated_input"][number::2, 4], phase.gated_image.flatten(1))
        for stage, gate in enumerate(phase.gates, 1):
            assert_array_equal(found[f"stage{stage}/gate"][number::2, 3], gate.flatten(1))


EVERYTHING = [Silence("stage1/gate"), Scale("readout/logits", 2), Strength(0.3), AblateInhibition()]


def test_hooks_go_with_the_block_and_when_an_exception_leaves_it(network):
    with intervene(network, *EVERYTHING):
        assert active_on(network) is not None
        assert len(hooks(network)) >= 3
    assert (active_on(network), hooks(network)) == (None, [])
    block = intervene(network, *EVERYTHING)
    with pytest.raises(KeyError, match="lost"), block:
        raise KeyError("lost")
    assert (active_on(network), hooks(network)) == (None, [])


def test_a_recording_that_fails_does_not_spoil_the_next(network, stimuli):
    wrong = np.zeros((5, 3), np.float32)
    with intervene(network, Delay("stage2/gate", 1)):
        expected = record(network, stimuli, NAMES, batch_size=3)
        handle = network.readout.register_forward_hook(lambda *_: wrong.sum(7))
        with pytest.raises(ValueError, match="axis 7"):
            record(network, stimuli, NAMES, batch_size=3)
        handle.remove()
        again = record(network, stimuli, NAMES, batch_size=3)
    xr.testing.assert_identical(again["stage2/gate"].to_dataset(), expected["stage2/gate"].to_dataset())


@pytest.mark.parametrize("second", [Strength(0.1), Silence("stage1/response")])
def test_a_block_within_a_block(network, stimuli, second):
    text = "model must be under one set of interventions at a time; give all of them to one `intervene`"
    with intervene(network, Scale("stage1/gate", 0.5)):
        before = record(network, stimuli, ["readout/logits"])
        with refused(text), intervene(network, second):
            pass
        with refused(text), intervene(TimedModule(network), Silence("readout")):
            pass
        after = record(network, stimuli, ["readout/logits"])
    xr.testing.assert_identical(before["readout/logits"].to_dataset(), after["readout/logits"].to_dataset())
    assert hooks(network) == []


@pytest.mark.parametrize(
    "interventions",
    [[Silence("stage1/gate")], [Strength(0.3)], [AblateInhibition()], [SwapInhibition()]],
    ids=lambda given: type(given[0]).__name__,
)
@pytest.mark.parametrize("top_down", [True, False])
def test_the_model_cannot_be_used_otherwise_inside_the_block(network, stimuli, interventions, top_down):
    """It would run without some of what is done to it, and nobody would know."""
    image = torch.from_numpy(stimuli.images)
    text = (
        "a model under interventions can only be recorded, because they need to know phase and step; call "
        "neuroattn.record inside the `with`, or the model outside it"
    )
    with intervene(network, *interventions):
        record(network, stimuli, ["readout/logits"])
        with refused(text, RuntimeError):
            network(image, network.open_gates(N), network.no_inhibition(N), top_down=top_down)
    network(image, network.open_gates(N), network.no_inhibition(N), top_down=top_down)


def test_another_network_of_the_same_weights_is_intact(network, stimuli):
    twin = network.with_strength(STRENGTH)
    expected = record(network, stimuli, ["readout/logits"])
    with intervene(network, Silence("stage1/response", steps=[1])):
        found = record(twin, stimuli, ["readout/logits"])
    xr.testing.assert_identical(found["readout/logits"].to_dataset(), expected["readout/logits"].to_dataset())
    assert found.attrs["interventions"] == "[]"


def test_a_recording_says_what_was_done(network, stimuli):
    values = np.zeros((3, 5, 6), np.float32)
    interventions = [
        Clamp("stage1/gate", 0.5, steps=(1, 2), phases=range(2), units=Units(y=(2, 5))),
        Replace("stage2/gate", values, steps=[0]),
        Strength(np.float32(0.25)),
        SwapInhibition(stages=[1]),
    ]
    with intervene(network, *interventions) as active:
        tree = record(network, stimuli, ["readout/logits"])
        described = active.describe()
    done = json.loads(tree.attrs["interventions"])
    assert done == described == json.loads(tree.attrs["identity_of"])["interventions"]
    assert done[0] == {
        "kind": "Clamp",
        "variable": "stage1/gate",
        "value": 0.5,
        "steps": [1, 2],
        "phases": [0, 1],
        "units": {"y": [2, 5]},
    }
    assert set(done[1]) == {"kind", "variable", "values", "steps"}
    assert set(done[1]["values"]) == {"sha256"}
    assert done[2] == {"kind": "Strength", "value": 0.25}
    assert done[3] == {"kind": "SwapInhibition", "stages": [1], "source": "object", "seed": 0}


def identity(network, stimuli, *interventions):
    with intervene(network, *interventions):
        return record(network, stimuli, ["readout/logits"], [4]).attrs["identity"]


@pytest.mark.slow
def test_interventions_are_part_of_the_identity(network, stimuli):
    intact = record(network, stimuli, ["readout/logits"], [4]).attrs["identity"]
    other = RESPONSE.copy()
    other[2, 9, 11] += 1
    units = [Units(y=(2, 5)), Units(x=(2, 5)), Units(field=PATCH), Units(field=np.roll(PATCH, 1, 1))]
    different = [
        [Clamp("stage1/gate", 0.5, steps=[1])],
        [Clamp("stage2/gate", 0.5, steps=[1])],
        [Clamp("stage1/gate", 0.25, steps=[1])],
        [Clamp("stage1/gate", 0.5, steps=[2])],
        [Clamp("stage1/gate", 0.5, phases=[1])],
        *([Clamp("stage1/gate", 0.5, steps=[1], units=some)] for some in units),
        [Scale("stage1/gate", 0.5, steps=[1])],
        [Replace("stage1/response", RESPONSE, steps=[1])],
        [Replace("stage1/response", other, steps=[1])],
        [Clamp("stage1/gate", 0.5, steps=[1]), Scale("stage1/gate", 0.5, steps=[1])],
        [Scale("stage1/gate", 0.5, steps=[1]), Clamp("stage1/gate", 0.5, steps=[1])],
        [Delay("stage1/gate", 1)],
        [Delay("stage1/gate", 2)],
        [Shuffle("stage1/gate")],
        [Shuffle("stage1/gate", seed=1)],
        [Strength(0.5)],
        [AblateInhibition()],
        [AblateInhibition(stages=[1])],
        [ImposeInhibition([MASKS[1]], stages=[2])],
        [ImposeInhibition([~MASKS[1]], stages=[2])],
        [SwapInhibition()],
        [SwapInhibition(source="stimulus")],
    ]
    identities = [identity(network, stimuli, *interventions) for interventions in different]
    assert len({intact, *identities}) == len(identities) + 1
    assert identity(network, stimuli, Clamp("stage1/gate", np.float64(0.5), steps=(1,))) == identities[0]
    assert (
        identity(network, stimuli, Clamp("stage1/gate", 0.5, units=Units(field=PATCH.copy()), steps=[1]))
        == (identities[7])
    )
    assert identity(network, stimuli, Replace("stage1/response", RESPONSE.copy(), steps=range(1, 2))) == identities[10]
    assert identity(network, stimuli, ImposeInhibition((MASKS[1].copy(),), stages=(2,))) == identities[21]
    assert record(network, stimuli, ["readout/logits"], [4]).attrs["identity"] == intact


def test_numbers_of_numpy_are_the_same_numbers(network, stimuli):
    plain = identity(network, stimuli, Silence("stage1/gate", steps=[0, 2], phases=[1]))
    assert identity(network, stimuli, Silence("stage1/gate", steps=np.array([0, 2]), phases=np.arange(1, 2))) == plain


@pytest.mark.parametrize("design", ["free", "cued"])
def test_a_store_is_what_memory_is(monkeypatch, network, stimuli, tmp_path, design):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)
    store, names = tmp_path / "a.zarr", ["stage1/response", "stage2/gate"]
    interventions = [Replace("stage2/gate", GATES, steps=[0, 2]), Shuffle("stage1/gate", seed=3), SwapInhibition()]
    options = {"design": design, "batch_size": 2 if design == "free" else 4}
    some = stimuli.select(slice(0, 6)) if design == "free" else stimuli
    if design == "free":
        interventions[0] = Replace("stage2/gate", GATES[:6], steps=[0, 2])
    real, written = stream_module.write_block, []

    def dies_in_the_second(*what):
        if written:
            raise KeyError("died")
        written.append(what)
        real(*what)

    with intervene(network, *interventions):
        kept = record(network, some, names, **options)
        with monkeypatch.context() as patch:
            patch.setattr(stream_module, "write_block", dies_in_the_second)
            with pytest.raises(KeyError, match="died"):
                record(network, some, names, **options, store=store)
        assert 0 < contents(store).done < contents(store).presentations
    there = json.loads(kept.attrs["interventions"])
    text = (
        f"store {str(store)!r} holds another recording, which differs in interventions ({there} there, None now); "
        "choose another path"
    )
    with refused(text):
        record(network, some, names, **options, store=store)
    with intervene(network, *interventions), record(network, some, names, **options, store=store) as stored:
        assert stored.attrs["interventions"] == kept.attrs["interventions"]
        assert stored.attrs["identity"] == kept.attrs["identity"]
        for name in names:
            assert_array_equal(stored[name]["activation"], kept[name]["activation"])
            assert_array_equal(stored[name]["attended"], kept[name]["attended"])


def test_a_store_of_the_intact_network_is_not_continued(network, stimuli, tmp_path):
    store = tmp_path / "a.zarr"
    record(network, stimuli, ["readout/logits"], store=store).close()
    text = (
        f"store {str(store)!r} holds another recording, which differs in interventions (None there, "
        "[{'kind': 'Silence', 'steps': [1], 'variable': 'stage1/gate'}] now); choose another path"
    )
    with intervene(network, Silence("stage1/gate", steps=[1])), refused(text):
        record(network, stimuli, ["readout/logits"], store=store)


def test_a_reduction_is_of_what_was_changed(network, stimuli):
    interventions, change = CASES["gates are replaced, one a stimulus"]
    expected = Hand(network, stimuli.images, change).run()
    with intervene(network, *interventions):
        tree = record(network, stimuli, NAMES, batch_size=3, sink=Reduction(["stimulus_id", "phase"]))
    for name in NAMES:
        assert_allclose(tree[name]["mean"], flat(expected[name]), atol=2e-5, err_msg=name)
    assert json.loads(tree.attrs["interventions"])[0]["kind"] == "Replace"
