"""A trial with plain torch in which anything may be changed, and arrays to change it with."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_array_equal

from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.recording.interventions import Clamp, Delay, Replace, Scale, Silence
from neuroattn.recording.units import Units, seen
from neuroattn.subjects.gated import GatedSubject

N = 7
STRENGTH = 0.7
SIZES = [(1, 11, 13), (3, 5, 6)]
# In the order in which a step computes them.
NAMES = [
    *(f"stage{number}/{kind}" for number in (1, 2) for kind in ("gated_input", "response", "pooled")),
    *("readout/logits", "readout/feedback", "stage2/gate", "stage1/gate"),
]


class Hand:
    """A trial with plain torch, in which any value, mask or strength may be changed where it is made.

    `change` takes variable, phase, step, value and the values so far of this phase before any change; `masks_of` takes
    phase and masks; `strength` takes phase and step.
    """

    def __init__(self, network, images, change=None, masks_of=None, strength=None):
        self.network, self.image = network, torch.from_numpy(images)
        self.change, self.masks_of, self.strength = change, masks_of, strength
        self.own, self.taken, self.following = {}, {}, []

    def put(self, name, value):
        self.own.setdefault(name, []).append(value)
        if self.change is not None:
            value = self.change(name, self.phase, self.step, value, self.own[name])
        self.taken.setdefault(name, {})[self.phase, self.step] = value
        return value

    def one_step(self, gates, masks):
        s = STRENGTH if self.strength is None else self.strength(self.phase, self.step)
        stages, x, pooled, sizes = self.network.stages, self.image, [], []
        for number, stage in enumerate(stages, 1):
            z = self.put(f"stage{number}/gated_input", x * (1 - s * gates[number - 1]))
            a = self.put(f"stage{number}/response", F.conv2d(z, stage.conv.weight, stage.conv.bias).clamp(min=0))
            x = self.put(f"stage{number}/pooled", F.max_pool2d(a, 2))
            pooled.append(x)
            sizes.append(a.shape[2:])
        readout, feedback = self.network.readout, self.network.feedback
        logits = self.put("readout/logits", x.flatten(1) @ readout.weight.T + readout.bias)
        signal = torch.tanh(logits @ feedback.weight.T + feedback.bias).reshape(x.shape)
        signal = self.put("readout/feedback", signal)
        following = list(gates)
        for number in range(len(stages), 0, -1):
            both = [F.interpolate(part, sizes[number - 1]) for part in (signal, pooled[number - 1])]
            deconv = stages[number - 1].top_down.deconv
            signal = torch.tanh(F.conv_transpose2d(torch.cat(both, 1), deconv.weight, deconv.bias))
            gate = torch.where(masks[number - 1], 1.0, signal.expand(gates[number - 1].shape))
            following[number - 1] = self.put(f"stage{number}/gate", gate)
        return following

    @torch.no_grad()
    def run(self, phases=2, masks=None):
        """Return variable → (stimulus, phase, step, …); `following` has the masks after each phase."""
        n, n_steps = len(self.image), self.network.config.steps
        masks = [torch.zeros(n, *size, dtype=torch.bool) for size in SIZES] if masks is None else masks
        for self.phase in range(phases):
            masks = masks if self.masks_of is None else self.masks_of(self.phase, masks)
            gates, self.own = [torch.zeros(n, *size) for size in SIZES], {}
            for self.step in range(n_steps):
                if self.step == n_steps - 1:
                    after = [mask | (gate < 0.5) for mask, gate in zip(masks, gates, strict=True)]
                gates = self.one_step(gates, masks)
            masks = after
            self.following.append(masks)
        return {
            name: np.stack([[at[p, s] for s in range(n_steps)] for p in range(phases)]).transpose(
                2, 0, 1, *range(3, next(iter(at.values())).ndim + 2)
            )
            for name, at in self.taken.items()
        }


def does(variable, what, phases=(0, 1), steps=range(5), where=None):
    """Return a change for `Hand`: `what` (of value and own values so far) at some phases, steps and units."""

    def change(name, phase, step, value, own):
        if name != variable or phase not in phases or step not in steps:
            return value
        new = what(value, own)
        return new if where is None else torch.where(torch.from_numpy(where), new, value)

    return change


def then(*changes):
    def change(name, phase, step, value, own):
        for one in changes:
            value = one(name, phase, step, value, own)
        return value

    return change


def lag(by):
    return lambda value, own: own[-1 - by] if len(own) > by else torch.zeros_like(value)


def refused(text, error=ValueError):
    return pytest.raises(error, match=f"^{re.escape(text)}$")


def flat(values):
    """Return (stimulus, phase, step, …) as (presentation, step, neuroid)."""
    return values.reshape(values.shape[0] * values.shape[1], values.shape[2], -1)


def hooks(module):
    return [hook for part in module.modules() for hook in (*part._forward_hooks, *part._forward_pre_hooks)]


def values_of(tree):
    """Return variable → (presentation, step, neuroid) as numpy holds it."""
    return {leaf.path[1:]: leaf["activation"].values for leaf in tree.leaves}


RNG = np.random.default_rng(5)
RESPONSE = RNG.random((3, 10, 12), dtype=np.float32)  # for all stimuli
GATES = RNG.uniform(-1, 1, (N, 3, 5, 6)).astype(np.float32)  # one a stimulus
MASKS = [RNG.random((N, 1, 11, 13)) < 0.3, RNG.random((3, 5, 6)) < 0.3]
PATCH = np.zeros((11, 13), bool)
PATCH[4:6, 2:7] = True
WINDOW = np.zeros((3, 10, 12), bool)
WINDOW[[0, 2], 3:7, 5:11] = True


def seen_by_patch(variable, n_channels):
    config = GatedConfig(size=SIZES[0], channels=(3, 5), classes=7, kernel=2)
    return np.repeat(seen(GatedSubject(module=GatedNetwork(config)), variable, PATCH)[None], n_channels, 0)


def attended_by_hand(gated, stimuli, strengths):
    """Return (stimulus, phase) objects without and with the constraint that none is attended twice."""
    n, phases = gated.shape[:2]
    free, constrained = np.zeros((n, phases), int), np.zeros((n, phases), int)
    for phase, s in enumerate(strengths):
        targets = (1 - s) * stimuli.images[:, None] + s * stimuli.objects
        errors = np.square(gated[:, phase, None] - targets).sum((2, 3, 4))
        free[:, phase] = errors.argmin(1)
        errors[np.arange(n)[:, None], constrained[:, :phase]] = np.inf
        constrained[:, phase] = errors.argmin(1)
    return free.ravel(), constrained.ravel()


def find_donors(shuffled, intact):
    """Return for each stimulus the one whose values it has, to the bit."""
    same = (shuffled[:, None] == intact[None]).all(tuple(range(2, shuffled.ndim + 1)))
    assert_array_equal(same.sum(1), np.ones(len(shuffled)))
    return same.argmax(1)


def done(*changes):
    """Return interventions, and the same for `Hand`, from (intervention, what becomes of a value, in which units)."""
    by_hand = [does(i.variable, what, i.phases or (0, 1), i.steps or range(5), *where) for i, what, *where in changes]
    return [intervention for intervention, *_ in changes], then(*by_hand)


def times(factor):
    return lambda value, _own: value * factor


def held(at):
    return lambda value, _own: torch.full_like(value, at)


def put(array):
    return lambda value, _own: torch.from_numpy(array).expand_as(value)


# Name → interventions, and the same for `Hand`.
CASES = {
    "a response is silenced in one step of one phase": done(
        (Silence("stage1/response", phases=[1], steps=[2]), times(0))
    ),
    "a gate is clamped after a step": done((Clamp("stage2/gate", 0.9, steps=[1]), held(0.9))),
    "gates after step T - 1 make the next inhibition": done(
        (Scale("stage1/gate", -1.5, phases=[0], steps=[3]), times(-1.5))
    ),
    "gates after the last step make nothing": done((Scale("stage1/gate", -1.5, phases=[0], steps=[4]), times(-1.5))),
    "a gated input is scaled in the decision": done((Scale("stage1/gated_input", 0.5, steps=[4]), times(0.5))),
    "a pooled response is scaled, which the top-down path sees too": done(
        (Scale("stage2/pooled", 3, steps=(0, 2)), times(3))
    ),
    "logits are clamped": done(
        (
            Clamp("readout/logits", -2.5, steps=[1], units=Units(channels=[6, 2])),
            held(-2.5),
            np.isin(range(7), [2, 6]),
        )
    ),
    "feedback is cut": done((Silence("readout/feedback", phases=range(1)), times(0))),
    "a response is replaced by one for all stimuli": done(
        (Replace("stage1/response", RESPONSE, phases=[0], steps=[1, 2]), put(RESPONSE))
    ),
    "gates are replaced, one a stimulus": done((Replace("stage2/gate", GATES, phases=[0], steps=[0, 3]), put(GATES))),
    "a gate lags by one step": done((Delay("stage1/gate", 1), lag(1))),
    "a response lags by two steps": done((Delay("stage2/response", 2, phases=[1]), lag(2))),
    "a lag in one step only": done((Delay("stage2/gate", 2, steps=[3]), lag(2))),
    "units in a window": done(
        (
            Clamp("stage1/response", 1.3, steps=[2], units=Units(channels=[0, 2], y=(3, 7), x=(5, 11))),
            held(1.3),
            WINDOW,
        )
    ),
    "units that see a part of the image": done(
        (Silence("stage2/response", units=Units(field=PATCH)), times(0), seen_by_patch("stage2/response", 5)),
        (Scale("stage2/gate", 0.3, units=Units(field=PATCH)), times(0.3), seen_by_patch("stage2/gate", 3)),
    ),
    "clamped and then scaled": done(
        (Clamp("stage1/gate", 0.8, steps=[1]), held(0.8)), (Scale("stage1/gate", 0.5, steps=[1, 2]), times(0.5))
    ),
    "scaled and then, in part, clamped": done(
        (Scale("stage1/response", 0.5, steps=[1]), times(0.5)),
        (
            Clamp("stage1/response", 0.8, units=Units(x=(2, 5)), steps=[1]),
            held(0.8),
            np.isin(range(12), [2, 3, 4])[None, None],
        ),
    ),
    "a lag of what is scaled lags behind the variable itself": done(
        (Scale("stage2/gate", 0.5, steps=[1]), times(0.5)), (Delay("stage2/gate", 1, steps=[2]), lag(1))
    ),
}
