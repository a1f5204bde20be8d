"""The published weights on fixed inputs give the published arrays, at every step and in every phase."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.probe import probes
from neuroattn.models.trial import GATE_THRESHOLD, attend, free_trial, target_images

PHASES, STEPS = 2, 5


@pytest.fixture(scope="module", params=["digits", "scenes"])
def golden(request, reference):
    """Name, arrays, and a set that every test of this module takes the names of the arrays it checked from."""
    with np.load(reference / "reference" / f"golden_{request.param}.npz") as file:
        return request.param, dict(file)


@pytest.fixture(scope="module")
def network(golden, request):
    return request.getfixturevalue(f"paper_{golden[0]}")


@pytest.fixture(scope="module")
def recorded(golden, network):
    return record(network, torch.from_numpy(golden[1]["x"]))


@torch.no_grad()
def record(network, image):
    """Run a free trial, the top-down sweep of the last step included; return (phases, their variables)."""
    taken = {name: [] for name in probes(network)}
    handles = [
        probe.register_forward_hook(lambda _module, _inputs, value, name=name: taken[name].append(value.clone()))
        for name, probe in probes(network).items()
    ]
    phases = list(free_trial(network, image, PHASES, last_gates=True))
    for handle in handles:
        handle.remove()
    variables = [
        {name: torch.stack(values[phase * STEPS : (phase + 1) * STEPS], 1) for name, values in taken.items()}
        for phase in range(PHASES)
    ]
    return phases, variables


def variable_of(name):
    """Return the variable of a golden array's name less its phase and step."""
    if name == "latent/in":
        return "stage1/gated_input"
    if name == "out":
        return "readout/logits"
    if name == "hidden/linear_in":
        return "readout/feedback"
    number = next(character for character in name if character.isdigit())
    for stem, kind in (("latent/conv", "response"), ("latent/maxpool", "pooled"), ("hidden/conv", "gate")):
        if name.startswith(stem):
            return f"stage{number}/{kind}"
    raise KeyError(name)


def test_every_variable_at_every_step(golden, recorded):
    what, arrays = golden
    compared = 0
    for name, expected in arrays.items():
        head, _, rest = name.partition("/i")
        if not rest:
            continue
        step, _, variable = rest.partition("/")
        value = recorded[1][int(head[1])][variable_of(variable)][:, int(step)]
        assert_allclose(value, expected, rtol=0, atol=1e-4, err_msg=name)
        compared += 1
    assert compared == PHASES * STEPS * {"digits": 9, "scenes": 11}[what]


def test_masks_differ_only_where_a_gate_is_at_the_threshold(golden, recorded):
    what, arrays = golden
    phases, variables = recorded
    n_stages = {"digits": 2, "scenes": 4}[what]
    for p in range(PHASES):
        for stage in range(1, n_stages + 1):
            gate = variables[p][f"stage{stage}/gate"][:, STEPS - 2]
            assert_array_equal(phases[p].gates[stage - 1], gate)
            differs = phases[p].inhibition[stage - 1].numpy() != arrays[f"p{p}/mask_next/conv{stage}_in"]
            assert (gate.numpy()[differs] - GATE_THRESHOLD == pytest.approx(0, abs=1e-5)) or not differs.any()
            used = arrays[f"p{p}/mask_used/conv{stage}_in"]
            previous = arrays[f"p{p - 1}/mask_next/conv{stage}_in"] if p else np.zeros_like(used)
            assert_array_equal(used, previous)
            # Inhibition in force is a gate of exactly 1.
            assert_array_equal(variables[p][f"stage{stage}/gate"].numpy()[:, :, ...][used[:, None].repeat(STEPS, 1)], 1)


def test_the_attended_object_and_the_decision(golden, recorded, network):
    what, arrays = golden
    phases, _ = recorded
    for p, phase in enumerate(phases):
        assert_array_equal(phase.logits.argmax(1), arrays[f"p{p}/pred"])
        assert_allclose(phase.logits, arrays[f"p{p}/i4/out"], rtol=0, atol=1e-4)
        assert_allclose(phase.gated_image, arrays[f"p{p}/i4/latent/in"], rtol=0, atol=1e-4)
    if what == "scenes":
        return
    image, s = torch.from_numpy(arrays["x"]), 0.2
    targets = np.stack([arrays["target0"], arrays["target1"]], 1)
    objects = torch.from_numpy((targets - (1 - s) * arrays["x"][:, None]) / s)
    assert_allclose(target_images(image, objects, s), targets, rtol=0, atol=1e-6)
    with torch.no_grad():
        for p, (phase, choice) in enumerate(attend(network, image, objects)):
            assert_array_equal(choice.attended, arrays[f"p{p}/select"])
            errors = np.square(phase.gated_image.numpy()[:, None] - targets).sum((2, 3, 4))
            assert_allclose(errors, arrays[f"p{p}/findselect_raw"], rtol=1e-4)
            assert_array_equal(choice.unconstrained, arrays[f"p{p}/findselect_raw"].argmin(1))


def test_no_array_is_left_out(golden):
    """Every array is of a kind that one of the tests above compares."""
    _, arrays = golden
    kinds = {"x", "target0", "target1", "label0", "label1"}
    kinds |= {f"p{p}/{kind}" for p in range(PHASES) for kind in ("findselect_raw", "select", "pred")}
    for name in arrays.keys() - kinds:
        _, _, rest = name.partition("/i")
        if rest:
            variable_of(rest.partition("/")[2])
        else:
            assert name.split("/")[1] in {"mask_used", "mask_next"}, name


def test_a_batch_is_what_its_images_are_one_by_one(golden, recorded, network):
    """Masks of a gate at the threshold may flip between the two, so later phases are run with the same masks."""
    image = torch.from_numpy(golden[1]["x"])
    for index in range(len(image)):
        _, alone = record(network, image[index : index + 1])
        for p in range(PHASES):
            for name, value in alone[p].items():
                assert_allclose(value[0], recorded[1][p][name][index], rtol=0, atol=2e-5, err_msg=name)
