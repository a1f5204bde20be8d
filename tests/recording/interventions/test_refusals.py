"""Interventions that are refused, and when."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from recording.interventions.by_hand import GATES, MASKS, RESPONSE, hooks, refused

from neuroattn.recording import record as record_module
from neuroattn.recording.intervene import active_on, intervene
from neuroattn.recording.interventions import (
    AblateInhibition,
    Clamp,
    Delay,
    ImposeInhibition,
    Replace,
    Scale,
    Silence,
    Strength,
    SwapInhibition,
)
from neuroattn.recording.record import record
from neuroattn.recording.units import Units

KNOWN = (
    "stage1/gated_input, stage1/response, stage1/pooled, stage1/gate, "
    "stage2/gated_input, stage2/response, stage2/pooled, stage2/gate, readout/logits, readout/feedback"
)


@pytest.mark.parametrize(
    ("interventions", "text"),
    [
        ([], "interventions must be at least one, got none; leave the `with` out to record the intact model"),
        ([Silence("stage1/gates")], f"variables must be among {KNOWN}, got 'stage1/gates'; correct the name"),
        ([AblateInhibition(stages=[3])], "stages must be from 1 to 2, got [3]"),
        ([SwapInhibition(stages=[0, 1])], "stages must be from 1 to 2, got [0, 1]"),
    ],
)
def test_what_does_not_exist_is_refused_at_once(network, interventions, text):
    with refused(text), intervene(network, *interventions):
        pass
    assert hooks(network) == []
    assert active_on(network) is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Strength(1.5), "strength must be in [0, 1], got 1.5"),
        (lambda: Strength(float("nan")), "strength must be in [0, 1], got nan"),
        (lambda: Delay("stage1/gate", 0), "by must be at least 1 time step, got 0"),
        (
            lambda: AblateInhibition(steps=[1]),
            "steps must be None where inhibition is changed, which holds for a phase, got [1]",
        ),
        (lambda: SwapInhibition("objects"), "source must be one of object, stimulus, got 'objects'"),
        (
            lambda: ImposeInhibition([MASKS[0], MASKS[1].astype(np.float32)]),
            "given must be boolean masks, got ['bool', 'float32']",
        ),
        (lambda: Delay("stage1/gate", 1.5), "by must be at least 1 time step, got 1.5"),
        (lambda: Clamp("stage1/gate", "a"), "value must be a finite number, got 'a'"),
        (lambda: Clamp("stage1/gate", float("nan")), "value must be a finite number, got nan"),
        (lambda: Scale("stage1/gate", None), "factor must be a finite number, got None"),
        (lambda: Delay("stage1/gate", "x"), "by must be a finite number, got 'x'"),
        (lambda: Strength("x"), "strength must be in [0, 1], got x"),
        (lambda: Silence("stage1/gate", units=[1, 2]), "units must be Units, got [1, 2]"),
    ],
)
def test_what_is_wrong_by_itself(make, text):
    with refused(text):
        make()


@pytest.mark.parametrize(
    ("intervention", "text"),
    [
        (
            Replace("stage2/gate", GATES[:5]),
            "values must have the shape (3, 5, 6) of stage2/gate, or (7, 3, 5, 6) for 7 stimuli, got (5, 3, 5, 6)",
        ),
        (
            Replace("stage2/gate", GATES[0].swapaxes(1, 2)),
            "values must have the shape (3, 5, 6) of stage2/gate, or (7, 3, 5, 6) for 7 stimuli, got (3, 6, 5)",
        ),
        (
            ImposeInhibition([MASKS[0][0, 0], MASKS[1]]),
            "given must have the shape (1, 11, 13) of stage1/gate, or (7, 1, 11, 13) for 7 stimuli, got (11, 13)",
        ),
        (ImposeInhibition([MASKS[1]]), "given must hold one mask for each of stages [1, 2], got 1"),
        (
            Silence("stage2/gate", units=Units(channels=[3])),
            "channels must be from 0 to 2 for stage2/gate, got [3]; give each variable its own units",
        ),
        (
            Silence("stage2/gate", units=Units(y=(2, 6))),
            "y must be a window within (0, 5) for stage2/gate, got (2, 6); give each variable its own units",
        ),
        (
            Silence("stage1/response", units=Units(field=np.ones((13, 11), bool))),
            "field must be (y, x) = (11, 13) of the image, got (13, 11)",
        ),
        (
            Silence("stage1/response", units=Units(field=np.ones((17, 19), bool))),
            "field must be (y, x) = (11, 13) of the image, got (17, 19)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_batch(monkeypatch, network, stimuli, intervention, text):
    monkeypatch.setattr(record_module, "require_memory", None)
    with intervene(network, intervention), refused(text):
        record(network, stimuli, ["readout/logits"])


@pytest.mark.parametrize("parameter", ["steps", "phases"])
@pytest.mark.parametrize("given", [1, [], [-1], [1.5]], ids=str)
def test_times_that_never_come_are_refused(parameter, given):
    with refused(f"{parameter} must be a list of whole numbers from 0, at least one, got {given}"):
        Scale("stage1/gate", 0.5, **{parameter: given})


@pytest.mark.parametrize("make", [lambda **at: Scale("stage1/gate", 0.5, **at), lambda **at: Strength(0.5, **at)])
@pytest.mark.parametrize("given", [{"steps": [1, 5]}, {"phases": [2]}], ids=str)
def test_times_that_the_trial_does_not_have_are_refused(network, stimuli, make, given):
    """An intervention that does nothing would be taken for one without effect."""
    with (
        pytest.raises(ValueError, match=f"^{next(iter(given))} must "),
        intervene(network, make(**given)),
    ):
        record(network, stimuli, ["readout/logits"])


@pytest.mark.parametrize("given", [[Silence("stage1/gate")], Silence, "stage1/gate", None])
def test_what_is_no_intervention(network, given):
    with pytest.raises(ValueError, match=r"^interventions must "), intervene(network, given):
        pass


def readonly(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "given", [readonly, np.asfortranarray, lambda array: array[..., ::-1], lambda array: array.astype(np.float64)]
)
def test_arrays_that_torch_does_not_take_are_copied(network, stimuli, given):
    values, mask = given(RESPONSE), given(MASKS[0].astype(np.float32)) > 0.5
    mask.flags.writeable = values.flags.writeable
    for intervention, plain in (
        (
            Replace("stage1/response", values, steps=[1]),
            Replace("stage1/response", np.array(values, order="C"), steps=[1]),
        ),
        (ImposeInhibition([mask], stages=[1]), ImposeInhibition([np.array(mask, order="C")], stages=[1])),
    ):
        found = []
        for one in (intervention, plain):
            with intervene(network, one):
                found.append(record(network, stimuli, ["readout/logits"])["readout/logits"].to_dataset())
        xr.testing.assert_identical(*found)


def test_a_model_that_is_none():
    with (
        refused("model must be a network or another torch module, got 'digits-0'; load one with neuroattn.load_model"),
        intervene("digits-0"),
    ):
        pytest.fail("the block must not be entered")


@pytest.mark.parametrize(
    ("intervention", "phases", "text"),
    [
        # The last sweep is not run: nobody looks at it.
        (Silence("stage1/gate", steps=[4]), 2, "interventions must act at some step of the recording"),
        (AblateInhibition(phases=[1], stages=[1]), 1, "phases must be among [0]"),
    ],
)
def test_what_never_acts_is_refused(network, stimuli, intervention, phases, text):
    with intervene(network, intervention), pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        record(network, stimuli, ["readout/logits"], phases=phases)
