"""The optimiser's steps, against the same steps written out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import run_phase
from neuroattn.training.config import DigitsConfig
from neuroattn.training.launch import choose_precision, launched
from neuroattn.training.optimisation import Optimisation

PLAIN = {"schedule": "constant", "clip": None, "learning_rate": 0.01, "gradient_steps": None}


def network():
    return GatedNetwork(digits_config(channels=(3, 5)), torch.Generator().manual_seed(0))


def losses(seed=0):
    """Return functions from a network to a loss, all different."""
    images = torch.rand(6, 2, 1, 28, 42, generator=torch.Generator().manual_seed(seed))
    return [lambda phase, scale=k + 1: scale * phase.logits.square().sum() for k in range(6)], images


def stepped(fabric, config, n_steps=6):
    """Return the optimisation after some steps, and the learning rates and kept weights on the way."""
    optimisation = Optimisation(fabric, network(), config, n_steps)
    rates, kept = [], []
    for loss, image in zip(*losses(), strict=True):
        rates.append(optimisation.learning_rate)
        optimisation.step(loss(optimisation.phase(image, optimisation.network.no_inhibition(2))))
        kept.append(copy.deepcopy(optimisation.trained.state_dict()))
    return optimisation, rates, kept


def by_hand(rates, clip=None):
    """Return the weights after Adam's steps at some learning rates."""
    twin = network()
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in twin.parameters()]
    kept, norms = [], []
    for number, (loss, image, rate) in enumerate(zip(*losses(), rates, strict=True), 1):
        phase = run_phase(twin, image, twin.no_inhibition(2))
        gradients = torch.autograd.grad(loss(phase), list(twin.parameters()))
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
        norms.append(float(norm))
        with torch.no_grad():
            for parameter, gradient, (first, second) in zip(twin.parameters(), gradients, moments, strict=True):
                scaled = gradient * min(1, clip / float(norm)) if clip else gradient
                first.mul_(0.9).add_(0.1 * scaled)
                second.mul_(0.999).add_(0.001 * scaled**2)
                unbiased = first / (1 - 0.9**number), second / (1 - 0.999**number)
                parameter.sub_(rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8))
        kept.append(copy.deepcopy(twin.state_dict()))
    return kept, norms


def assert_same(found, expected, atol=2e-5):
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=0, atol=atol, err_msg=name)


def test_adam(one_process):
    _, rates, kept = stepped(one_process, DigitsConfig(**PLAIN))
    assert rates == [0.01] * 6
    expected, _ = by_hand(rates)
    assert_same(kept[-1], expected[-1])
    assert (kept[0]["readout.weight"] - kept[-1]["readout.weight"]).abs().max() > 1e-3


def test_clipped_gradients(one_process):
    _, rates, kept = stepped(one_process, DigitsConfig(**{**PLAIN, "clip": 0.05}))
    expected, norms = by_hand(rates, clip=0.05)
    assert_same(kept[-1], expected[-1])
    # Adam does not care for the length of all gradients together; that some are clipped more than others shows.
    assert len({round(min(1, 0.05 / norm), 3) for norm in norms}) > 3
    free, _ = by_hand(rates)
    assert any((free[-1][name] - value).abs().max() > 1e-3 for name, value in expected[-1].items())


def test_the_mean_of_the_weights(one_process):
    optimisation, rates, kept = stepped(one_process, DigitsConfig(**PLAIN, averaging=0.7))
    weights, _ = by_hand(rates)
    mean = weights[0]  # the first step's weights begin it
    for later in weights[1:]:
        mean = {name: 0.7 * value + 0.3 * later[name] for name, value in mean.items()}
    assert_same(kept[-1], mean)
    assert_same(optimisation.network.state_dict(), weights[-1])
    assert (mean["readout.weight"] - weights[-1]["readout.weight"]).abs().max() > 1e-3


def test_a_cosine(one_process):
    _, rates, _ = stepped(one_process, DigitsConfig(**{**PLAIN, "schedule": "cosine"}))
    assert_allclose(rates, 0.01 * (1 + np.cos(np.pi * np.arange(6) / 6)) / 2)


def test_one_cycle(one_process):
    """Up along a cosine from a 25th over 30 % of the steps, down to a 10,000th of that at the last."""
    _, rates, _ = stepped(one_process, DigitsConfig(**{**PLAIN, "schedule": "one-cycle"}))
    top, low, end = 0.3 * 7 - 1, 0.01 / 25, 0.01 / 25e4

    def between(one, other, share):
        return other + (one - other) * (1 + np.cos(np.pi * share)) / 2

    expected = [
        between(low, 0.01, step / top) if step <= top else between(0.01, end, (step - top) / (6 - top))
        for step in range(6)
    ]
    assert_allclose(rates, expected)
    assert max(rates) > 0.009
    optimisation = Optimisation(one_process, network(), DigitsConfig(**{**PLAIN, "schedule": "one-cycle"}), 1000)
    assert_allclose(optimisation.learning_rate, low)


@pytest.mark.parametrize("averaging", [0.0, 0.7])
def test_a_state_holds_all_that_steps_depend_on(one_process, averaging):
    config = DigitsConfig(clip=0.05, averaging=averaging)
    whole, _, _ = stepped(one_process, config)
    first = Optimisation(one_process, network(), config, 6)
    functions, images = losses()
    for loss, image in zip(functions[:3], images[:3], strict=True):
        first.step(loss(first.phase(image, first.network.no_inhibition(2))))
    state = copy.deepcopy(first.state())
    second = Optimisation(one_process, network(), config, 6)
    second.restore(state)
    for loss, image in zip(functions[3:], images[3:], strict=True):
        second.step(loss(second.phase(image, second.network.no_inhibition(2))))
    for one, other in ((second.trained, whole.trained), (second.network, whole.network)):
        for name, value in other.state_dict().items():
            assert torch.equal(one.state_dict()[name], value), name


def test_bfloat16_lowers_what_is_computed_and_nothing_else(one_process):
    lowered = Optimisation(launched("cpu", "bf16"), network(), DigitsConfig(**PLAIN), 6)
    exact = Optimisation(one_process, network(), DigitsConfig(**PLAIN), 6)
    image, masks = losses()[1][0], network().no_inhibition(2)
    one, other = (optimisation.phase(image, masks) for optimisation in (lowered, exact))
    for found, expected in ((one.logits, other.logits), (one.gated_image, other.gated_image)):
        assert found.dtype == torch.float32
        assert_allclose(found.detach(), expected.detach(), atol=0.02)
    assert not torch.equal(one.logits, other.logits)
    lowered.step(one.logits.square().sum())
    assert {parameter.dtype for parameter in lowered.network.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in lowered.network.parameters()} == {torch.float32}


def test_the_precision_that_is_chosen(monkeypatch):
    cpu = torch.device("cpu")
    assert [choose_precision(name, cpu) for name in ("32", "bf16")] == ["32", "bf16"]
    for there, expected in (({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda there=there: there, raising=False)
        assert choose_precision("auto", cpu) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert choose_precision("auto", cpu) == "32"
