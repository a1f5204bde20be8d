"""One step of the network: the quick top-down path, the equations, and that nothing is kept between calls."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from refused import refused

from neuroattn.models.config import GatedConfig, digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.top_down import TopDown
from neuroattn.models.trial import run_phase

same = partial(torch.testing.assert_close, rtol=0, atol=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def textbook(layer, top_down, pooled, size, mode):
    options = {} if mode == "nearest" else {"align_corners": False}
    both = [F.interpolate(maps, size=size, mode=mode, **options) for maps in (top_down, pooled)]
    return F.conv_transpose2d(torch.cat(both, 1), layer.deconv.weight, layer.deconv.bias)


@pytest.mark.parametrize("resize", ["nearest", "bicubic"])
@pytest.mark.parametrize(
    ("source", "response", "gates", "kernel"),
    [((5, 7, 11), (5, 14, 23), 3, 4), ((2, 3, 13), (2, 7, 27), 1, 3), ((3, 1, 2), (3, 3, 5), 2, 1)],
)
def test_top_down_is_the_textbook_order(resize, source, response, gates, kernel):
    config = GatedConfig(size=(1, 97, 97), channels=(2,), classes=3, kernel=kernel, resize=resize)
    layer = TopDown(source, response, gates, config)
    draw = seeded()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.3, 0.3, generator=draw)
    maps = [torch.randn(2, *source, generator=draw, requires_grad=True) for _ in range(2)]
    expected = textbook(layer, *maps, response[1:], resize)
    found = layer(*maps)
    assert found.shape == (2, gates, response[1] + kernel - 1, response[2] + kernel - 1)
    assert_allclose(found.detach(), expected.detach(), rtol=0, atol=1e-5)
    weighting = torch.randn(expected.shape, generator=draw)
    variables = [*maps, *layer.parameters()]
    wanted = torch.autograd.grad((expected * weighting).sum(), variables)
    gradients = torch.autograd.grad((found * weighting).sum(), variables)
    torch.testing.assert_close(gradients, wanted, rtol=1e-5, atol=1e-4)
    assert min(gradient.abs().max() for gradient in wanted) > 0.1


def test_one_step_is_the_published_equations(tiny, images):
    """Written out with the functions of torch alone, in double precision."""
    network, s = tiny.double(), 0.3
    weights, image = network.state_dict(), images.double()
    draw = seeded(2)
    gates = [torch.rand(4, *size, generator=draw).double() * 2 - 1 for size in network.config.input_sizes]
    masks = [torch.rand(gate.shape, generator=draw) < 0.3 for gate in gates]
    x, pooled, sizes = image, [], []
    for number, gate in enumerate(gates):
        conv = f"stages.{number}.conv"
        a = torch.relu(F.conv2d(x * (1 - s * gate), weights[f"{conv}.weight"], weights[f"{conv}.bias"]))
        x = F.max_pool2d(a, 2)
        pooled.append(x)
        sizes.append(a.shape[2:])
    logits = x.flatten(1) @ weights["readout.weight"].T + weights["readout.bias"]
    r = torch.tanh(logits @ weights["feedback.weight"].T + weights["feedback.bias"]).reshape(x.shape)
    expected = []
    for number in (1, 0):
        r = torch.tanh(textbook(network.stages[number].top_down, r, pooled[number], sizes[number], "bicubic"))
        expected.insert(0, torch.where(masks[number], 1.0, r.expand(gates[number].shape)))
    with torch.no_grad():
        step = network(image, gates, masks)
    assert_allclose(step.logits, logits, rtol=1e-6)
    assert_allclose(step.gated_image, image * (1 - s * gates[0]), rtol=1e-12)
    torch.testing.assert_close(step.gates, [gate.detach() for gate in expected], rtol=0, atol=1e-5)


def test_a_step_and_its_gradients_are_the_same_whether_somebody_looks_or_not(tiny, images):
    found = []
    for watched in (False, True):
        handles = [stage.response.register_forward_hook(lambda *_: None) for stage in tiny.stages] if watched else []
        tiny.zero_grad()
        phase = run_phase(tiny, images, tiny.no_inhibition(4))
        (phase.logits.square().sum() + phase.gated_image.square().sum()).backward()
        found.append([phase.logits.detach(), *(parameter.grad.clone() for parameter in tiny.parameters())])
        for handle in handles:
            handle.remove()
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    same(found[0][0], found[1][0])


@pytest.mark.parametrize(("config", "number"), [(digits_config(), 82_661), (scenes_config(), 477_713)])
def test_number_of_parameters(config, number):
    assert sum(parameter.numel() for parameter in GatedNetwork(config).parameters()) == number


def test_nothing_is_kept_between_calls(tiny, images):
    before = copy.deepcopy(tiny.state_dict())
    buffers = {name: value.clone() for name, value in tiny.named_buffers()}
    attributes = [(name, set(module.__dict__)) for name, module in tiny.named_modules()]
    other = torch.rand(4, 3, 23, 29, generator=seeded(7))
    with torch.no_grad():
        first = run_phase(tiny, images, tiny.no_inhibition(4))
        run_phase(tiny, other, [torch.ones_like(mask) for mask in tiny.no_inhibition(4)])
        second = run_phase(tiny, images, tiny.no_inhibition(4))
    same([first.logits, *first.gates], [second.logits, *second.gates])
    assert attributes == [(name, set(module.__dict__)) for name, module in tiny.named_modules()]
    same(dict(tiny.named_buffers()), buffers)
    same(tiny.state_dict(), before)
    tensors = [k for module in tiny.modules() for k, v in vars(module).items() if isinstance(v, torch.Tensor | list)]
    assert tensors == []


def test_gates_and_masks_that_are_given_stay_as_they_are(tiny, images):
    draw = seeded(3)
    gates = [torch.rand(gate.shape, generator=draw) for gate in tiny.open_gates(4)]
    masks = [torch.rand(gate.shape, generator=draw) < 0.5 for gate in gates]
    given = [tensor.clone() for tensor in (images, *gates, *masks)]
    with torch.no_grad():
        tiny(images, gates, masks)
    same([images, *gates, *masks], given)


def test_without_the_top_down_sweep_there_are_no_gates(tiny, images):
    with torch.no_grad():
        whole = tiny(images, tiny.open_gates(4), tiny.no_inhibition(4))
        half = tiny(images, tiny.open_gates(4), tiny.no_inhibition(4), top_down=False)
    assert half.gates == []
    assert_array_equal(half.logits, whole.logits)
    assert_array_equal(half.gated_image, whole.gated_image)
    assert [gate.shape for gate in whole.gates] == [(4, 3, 23, 29), (4, 5, 10, 13)]


def test_the_gate_of_the_image_is_one_map_for_all_its_channels(tiny, images):
    with torch.no_grad():
        gate = tiny(images, tiny.open_gates(4), tiny.no_inhibition(4)).gates[0]
    assert_array_equal(gate, gate[:, :1].expand(-1, 3, -1, -1))
    assert gate.std() > 0.01


def test_another_strength_shares_the_weights(tiny, images):
    twin = tiny.with_strength(0.7)
    assert (twin.config.strength, tiny.config.strength) == (0.7, 0.3)
    assert (twin.name, twin.seed, twin.training) == ("tiny", 13, False)
    for one, two in zip(tiny.parameters(), twin.parameters(), strict=True):
        assert one.data_ptr() == two.data_ptr()
        assert two.requires_grad
    gates = [torch.full_like(gate, 1) for gate in tiny.open_gates(4)]
    with torch.no_grad():
        assert_allclose(twin(images, gates, tiny.no_inhibition(4)).gated_image, images * 0.3, rtol=1e-5)
        tiny.readout.weight.zero_()
    assert_array_equal(twin.readout.weight.detach(), 0)


def test_another_strength_keeps_the_precision_of_the_weights(tiny, images):
    twin = tiny.double().with_strength(0.3)
    with torch.no_grad():
        step = twin(images.double(), twin.open_gates(4), twin.no_inhibition(4))
    assert {gate.dtype for gate in step.gates} == {torch.float64}


def test_strength_zero_leaves_the_image_untouched(tiny, images):
    off = tiny.with_strength(0.0)
    with torch.no_grad():
        phase = run_phase(off, images, off.no_inhibition(4))
        first_step = off(images, off.open_gates(4), off.no_inhibition(4))
    assert_array_equal(phase.gated_image, images)
    assert_allclose(phase.logits, first_step.logits, rtol=1e-6)
    assert max(gate.abs().max() for gate in phase.gates) > 0.1  # there are gates; they do nothing


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_out_of_range(tiny, strength):
    with refused(f"strength must be in [0, 1], got {strength:g}"):
        tiny.with_strength(strength)


def test_initial_weights_come_from_the_generator_alone(tiny):
    config = tiny.config
    before = torch.get_rng_state()
    one, again, other = (GatedNetwork(config, seeded(seed)).state_dict() for seed in (5, 5, 6))
    assert_array_equal(torch.get_rng_state(), before)
    same(one, again)
    assert not any(torch.equal(value, other[name]) for name, value in one.items())


def test_initial_weights_lie_within_one_over_the_root_of_the_fan_in():
    network = GatedNetwork(digits_config(), seeded())
    for layer, fan_in in ((network.stages[1].conv, 20 * 16), (network.readout, 1600), (network.feedback, 10)):
        assert_allclose(layer.weight.abs().max().item(), fan_in**-0.5, rtol=0.02)
        assert layer.weight.abs().max() <= fan_in**-0.5
        assert_allclose(layer.weight.std().item(), (3 * fan_in) ** -0.5, rtol=0.03)


def test_a_batch_is_what_its_images_are_one_by_one(tiny, images):
    with torch.no_grad():
        whole = run_phase(tiny, images, tiny.no_inhibition(4))
        for index in range(4):
            alone = run_phase(tiny, images[index : index + 1], tiny.no_inhibition(1))
            one = [alone.logits[0], *(gate[0] for gate in alone.gates)]
            of_all = [whole.logits[index], *(gate[index] for gate in whole.gates)]
            torch.testing.assert_close(one, of_all, rtol=0, atol=1e-5)


def test_gradients_reach_every_parameter(tiny, images):
    phase = run_phase(tiny, images, tiny.no_inhibition(4))
    (phase.logits.square().mean() + phase.gated_image.square().mean()).backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def responses_of(network, image):
    """Return the response of every stage to an image, with open gates."""
    found = []
    for stage in network.stages:
        stage.response.register_forward_hook(lambda _module, _inputs, output: found.append(output.clone()))
    with torch.no_grad():
        network(image, network.open_gates(len(image)), network.no_inhibition(len(image)))
    return found


def test_initial_weights_that_keep_the_spread():
    """Of four stages; torch's own make each respond less than the one below, until the highest says nothing."""
    image = torch.rand(16, 3, 100, 100, generator=seeded(1))
    networks = [GatedNetwork(scenes_config(), seeded(), initial=initial) for initial in ("uniform", "he")]
    plain, he = ([float(one.square().mean().sqrt()) for one in responses_of(net, image)] for net in networks)
    assert len(plain) == len(he) == 4
    assert plain[3] < 0.2 * plain[0]
    assert min(he) > 0.3 * max(he)
    for stage in networks[1].stages:
        weight = stage.conv.weight.detach()
        assert_allclose(weight.abs().max() * weight[0].numel() ** 0.5, 6**0.5, rtol=0.01)
        assert not stage.conv.bias.any()
        top_down = stage.top_down.deconv
        assert_allclose(top_down.weight.detach().abs().max() * (16 * top_down.weight.shape[0]) ** 0.5, 1, rtol=0.01)
        first = stage is networks[1].stages[0]
        assert_allclose(top_down.bias.detach(), np.arctanh(0.9) if first else 0.0, rtol=1e-6)


def test_he_leaves_the_gate_of_the_image_nearly_shut_and_even():
    image = torch.rand(4, 3, 100, 100, generator=seeded(1))
    spread, mean = {}, {}
    for initial in ("uniform", "he"):
        networks = [GatedNetwork(scenes_config(), seeded(seed), initial=initial) for seed in range(6)]
        with torch.no_grad():
            gates = [net(image, net.open_gates(4), net.no_inhibition(4)).gates[0] for net in networks]
        mean[initial] = [float(gate.mean()) for gate in gates]
        spread[initial] = np.mean([float(gate.std()) for gate in gates])
    assert min(mean["he"]) > 0.75
    assert np.ptp(mean["he"]) < 0.4 * np.ptp(mean["uniform"])
    assert spread["he"] < 0.6 * spread["uniform"]
