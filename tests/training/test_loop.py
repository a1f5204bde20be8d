"""The training loop on a handful of digits."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.trial import attend, run_phase, target_images
from neuroattn.stimuli.digits import composites
from neuroattn.stimuli.mnist import embedded
from neuroattn.training import loop, source
from neuroattn.training.config import DigitsConfig
from neuroattn.training.loop import accuracy, generators, train, train_trial
from neuroattn.training.loss import phase_loss
from neuroattn.training.source import DigitsSource

# What the paper does where we do something else: the sums by hand are its own.
PAPER = {"learning_rate": 1e-3, "schedule": "constant", "gradient_steps": None, "clip": None, "validation": 0.3}


@pytest.fixture
def last_epoch(one_process):
    def run(digits, **options):
        config = DigitsConfig(**{**PAPER, "batch_size": 17, **options})
        *_, (network, metrics, _) = train(config, DigitsSource(config, digits), one_process)
        return network, metrics

    return run


@pytest.mark.slow
def test_the_seed_decides_every_weight(last_epoch, few_digits):
    before = torch.get_rng_state()
    one, same, other = (last_epoch(few_digits, epochs=1, seed=seed)[0] for seed in (3, 3, 4))
    assert_array_equal(torch.get_rng_state(), before)
    for name, value in one.state_dict().items():
        assert_array_equal(value, same.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name])
    assert (one.name, one.seed, one.config) == ("digits", 3, digits_config())


def test_the_seed_decides_the_initial_weights(last_epoch, few_digits, monkeypatch):
    monkeypatch.setattr(loop, "train_trial", lambda *_: torch.zeros(3))
    monkeypatch.setattr(loop, "accuracy", lambda *_: {})
    one, same, other = (last_epoch(few_digits, epochs=1, seed=seed)[0].readout.weight for seed in (3, 3, 4))
    assert_array_equal(one.detach(), same.detach())
    assert not torch.equal(one, other)


def test_what_every_epoch_tells(one_process, few_digits):
    config = DigitsConfig(**PAPER, batch_size=17, epochs=2, name="a")
    epochs = list(train(config, DigitsSource(config, few_digits), one_process))
    assert [epoch.metrics["epoch"] for epoch in epochs] == [1, 2]
    for network, metrics, _ in epochs:
        assert list(metrics) == [
            "epoch",
            "training_classification_loss",
            "training_attention_loss",
            "training_accuracy",
            "validation_accuracy",
            "validation_mean_over_classes",
            "validation_classes_decided",
            "seconds",
            "composites_per_second",
        ]
        assert_allclose(metrics["composites_per_second"] * metrics["seconds"], 47)  # 67 less 20
        assert 0 <= metrics["training_accuracy"] <= 1
        assert_allclose(metrics["validation_accuracy"] * 40, round(metrics["validation_accuracy"] * 40))
        assert network.name == "a"
    first, second = (epoch.metrics["training_attention_loss"] for epoch in epochs)
    assert second < 0.9 * first
    assert_allclose(epochs[0].metrics["training_classification_loss"], np.log(10), rtol=0.1)


@pytest.mark.parametrize(("validation", "held_out"), [(0.3, 20), (0.5, 34), (0.9, 60), (0.01, 1)])
def test_the_split(last_epoch, few_digits, monkeypatch, validation, held_out):
    drawn, composed = [], composites

    def spy(digits, first, **kwargs):
        drawn.append(first)
        return composed(digits, first, **kwargs)

    monkeypatch.setattr(source, "composites", spy)
    monkeypatch.setattr(loop, "train_trial", lambda *_: torch.zeros(3))
    monkeypatch.setattr(loop, "accuracy", lambda *_: {})
    last_epoch(few_digits, epochs=2, validation=validation)
    validated, *trained = drawn
    assert len(validated) == held_out
    half = len(trained) // 2
    epochs = [torch.cat(trained[:half]), torch.cat(trained[half:])]
    for epoch in epochs:  # every other digit once an epoch, none of those held out
        assert_array_equal(torch.cat([validated, epoch]).sort().values, torch.arange(67))
    assert held_out == 60 or not torch.equal(*epochs)
    assert {len(batch) for batch in trained[: half - 1]} <= {17}


@pytest.fixture
def network():
    return GatedNetwork(digits_config(), torch.Generator().manual_seed(0))


@pytest.fixture
def batch():
    return composites(embedded(), torch.arange(0, 5000, 450), generator=torch.Generator().manual_seed(0))


class PlainDescent:
    """An optimisation whose steps are easily written out."""

    def __init__(self, network, rate):
        self.network, self.optimiser = network, torch.optim.SGD(network.parameters(), rate)

    def phase(self, image, inhibition):
        return run_phase(self.network, image, inhibition)

    def step(self, loss):
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def test_one_step_a_phase_by_hand(network, batch, one_process):
    twin = GatedNetwork(digits_config(), torch.Generator().manual_seed(0))
    sums = train_trial(PlainDescent(network, 0.01), batch, DigitsConfig(**PAPER, phi=100.0), one_process)
    expected, rows = np.zeros(3), torch.arange(12)
    targets = target_images(batch.images, batch.objects, 0.2)
    for phase, choice in attend(twin, batch.images, batch.objects):
        label = batch.labels[rows, choice.attended]
        loss = phase_loss(phase.logits, label, phase.gated_image, targets[rows, choice.attended], 100.0)
        gradients = torch.autograd.grad(loss.total, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter.sub_(0.01 * gradient)
        right = (phase.logits.argmax(1) == label).sum().item()
        expected += [12 * loss.classification.item(), 12 * loss.attention.item(), right]
    assert_allclose(sums, expected, rtol=1e-5)
    for one, two in zip(network.parameters(), twin.parameters(), strict=True):
        assert_allclose(one.detach(), two.detach(), rtol=0, atol=1e-6)


def test_the_object_with_the_most_ink_is_attended_first(batch, one_process):
    """The labels and targets of each phase are those of the objects in order of their ink, whatever the errors say."""
    network = GatedNetwork(digits_config(), torch.Generator().manual_seed(0))
    config = DigitsConfig(**PAPER, phi=100.0, attended="ink")
    sums = train_trial(PlainDescent(network, 0.0), batch, config, one_process)
    expected, rows, inhibition = np.zeros(3), range(12), network.no_inhibition(12)
    ink = batch.objects.sum((2, 3, 4))
    targets = target_images(batch.images, batch.objects, 0.2)
    orders = [sorted(range(2), key=lambda k, row=row: -float(ink[row, k])) for row in rows]
    assert {tuple(order) for order in orders} == {(0, 1), (1, 0)}
    chosen_by_error = [choice.attended.tolist() for _, choice in attend(network, batch.images, batch.objects)]
    assert chosen_by_error[0] != [order[0] for order in orders]
    for number in range(2):
        phase = run_phase(network, batch.images, inhibition)
        label = torch.stack([batch.labels[row, orders[row][number]] for row in rows])
        target = torch.stack([targets[row, orders[row][number]] for row in rows])
        loss = phase_loss(phase.logits, label, phase.gated_image, target, 100.0)
        right = (phase.logits.argmax(1) == label).sum().item()
        expected += [12 * loss.classification.item(), 12 * loss.attention.item(), right]
        inhibition = phase.inhibition
    assert_allclose(sums, expected, rtol=1e-5)


def test_accuracy_counts_phases_whatever_the_batches(paper, batch, one_process):
    found = accuracy(paper, batch, one_process)
    assert found == accuracy(paper, batch, one_process, batch_size=5)
    assert found["validation_accuracy"] > 0.8
    wrong = batch.labels.clone()
    wrong[:, 0] = (wrong[:, 0] + 1) % 10
    swapped = type(batch)(images=batch.images, objects=batch.objects, labels=wrong, digit=batch.digit)
    assert accuracy(paper, swapped, one_process)["validation_accuracy"] <= 0.6


@pytest.fixture(scope="module")
def paper(reference):
    from neuroattn.models.checkpoint import load_model

    return load_model(reference / "reference" / "paper_mnist_model.pt")


def test_a_loss_that_is_not_finite(last_epoch, few_digits):
    text = "the loss is not finite in epoch 1, batch 1 of 3, at learning rate 0.001; lower learning_rate or phi"
    with pytest.raises(FloatingPointError, match=f"^{re.escape(text)}$"):
        last_epoch(few_digits, phi=1e40)


def test_weights_that_the_last_step_spoilt(last_epoch, few_digits, monkeypatch):
    def spoil(optimisation, *_):
        with torch.no_grad():
            optimisation.network.feedback.bias[3] = float("nan")
        return torch.zeros(3)

    monkeypatch.setattr(loop, "train_trial", spoil)
    text = "weights are not finite after epoch 1, at learning rate 0.001; lower learning_rate or phi"
    with pytest.raises(FloatingPointError, match=f"^{re.escape(text)}$"):
        last_epoch(few_digits)


def test_generators_are_independent_and_derived_from_the_seed():
    def numbers(seed):
        return [torch.rand(3, generator=generator).tolist() for generator in generators(seed, 4)]

    assert numbers(5) == numbers(5)
    assert len({tuple(drawn) for seed in (5, 6) for drawn in numbers(seed)}) == 8
