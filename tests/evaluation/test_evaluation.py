"""Accuracy, coverage and gating contrast against plain loops and against the published network's numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from neuroattn.evaluation import trials as evaluation
from neuroattn.evaluation.trials import evaluate
from neuroattn.models.checkpoint import load_model
from neuroattn.models.config import digits_config
from neuroattn.models.trial import attend, gate_contrast
from neuroattn.stimuli.digits import Composites, composites
from neuroattn.stimuli.mnist import embedded, from_folder


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def paper(reference):
    return load_model(reference / "reference" / "paper_mnist_model.pt")


@pytest.fixture(scope="module")
def few():
    return composites(embedded(), torch.arange(0, 5000, 290), generator=seeded())


def contrast_by_hand(gate, image, one_object, strength):
    """Return the mean gate of attended and unattended pixels of one composite, pixel by pixel."""
    parts = {"attended": [], "unattended": []}
    for y, x in np.ndindex(image.shape):
        target = (1 - strength) * image[y, x] + strength * one_object[y, x]
        explained = (image[y, x] - target + 1e-6) / (image[y, x] + 1e-6) / strength
        parts["unattended" if explained > 0.5 else "attended"].append(gate[y, x])
    return np.mean(parts["attended"]), np.mean(parts["unattended"])


def test_contrast_of_gates(few):
    attended = torch.arange(len(few)) % 2
    gate = torch.rand(few.images.shape, generator=seeded(1)) * 2 - 1
    found = gate_contrast(gate, few.images, few.objects, attended, 0.2)
    for index in range(len(few)):
        one_object = few.objects[index, attended[index], 0]
        values = (part.double().numpy() for part in (gate[index, 0], few.images[index, 0], one_object))
        assert_allclose(found[index], contrast_by_hand(*values, 0.2), rtol=1e-4, atol=1e-5)
    assert abs(found[:, 0] - found[:, 1]).min() > 0


def test_contrast_of_known_gates(few):
    attended = torch.ones(len(few), dtype=torch.int64)
    gate = torch.where(few.objects[:, 1] > 0, -0.25, 0.75)
    # Where both digits overlap, the one attended may explain less than half; there is nothing else in between.
    alone = few.objects[:, 0].amax((1, 2)) * few.objects[:, 1].amax((1, 2))
    assert alone.max() > 0  # some composites do overlap
    found = gate_contrast(gate, few.images, few.objects, attended, 0.2)
    assert_allclose(found[:, 0], -0.25, atol=0.01)
    assert_allclose(found[:, 1], 0.75, atol=0.1)


def test_contrast_without_strength(few):
    found = gate_contrast(few.images, few.images, few.objects, torch.zeros(len(few), dtype=torch.int64), 0.0)
    assert found.shape == (len(few), 2)
    assert torch.isnan(found).all()


def test_no_pixel_of_a_kind():
    image = torch.full((1, 1, 2, 3), 0.5)
    found = gate_contrast(torch.full_like(image, 0.3), image, image[:, None], torch.zeros(1, dtype=torch.int64), 0.2)
    assert_allclose(found, [[0.3, np.nan]], rtol=1e-6)


class Scripted:
    """What `evaluate` sees of a network: a name, a strength and a device."""

    name, device = "scripted", "cpu"
    config = digits_config(strength=0.5)


def test_a_case_by_hand(monkeypatch):
    """Four trials of two phases whose decisions, choices and gates are known."""
    image = torch.full((4, 1, 1, 3), 0.5)
    objects = torch.zeros(4, 2, 1, 1, 3)
    objects[:, 0, ..., 0] = 0.5  # the left pixel is object 0, the middle one object 1, the right one background
    objects[:, 1, ..., 1] = 0.5
    labels = torch.tensor([[3, 7], [1, 1], [0, 9], [5, 2]])
    shown = Composites(images=image, objects=objects, labels=labels, digit=labels)
    attended = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 0]])
    free = torch.tensor([[1, 0], [1, 1], [0, 1], [1, 0]])
    decided = torch.tensor([[7, 3], [1, 8], [0, 9], [5, 5]])  # right: 2, 1, 2, 1
    gates = torch.tensor([[[0.1, 0.7, 0.9]], [[0.2, 0.4, 0.8]], [[0.3, 0.5, 0.7]], [[0.0, 1.0, 1.0]]])[:, None]

    class Recorded:
        def __init__(self, phase, rows):
            self.logits = torch.nn.functional.one_hot(decided[rows, phase], 10).float()
            self.gates = [gates[rows]]

    class Chosen:
        def __init__(self, phase, rows):
            self.attended, self.unconstrained = attended[rows, phase], free[rows, phase]

    batches = iter([slice(0, 3), slice(3, 4)])

    def scripted(_model, images, _objects):
        rows = next(batches)
        assert len(images) == rows.stop - rows.start
        for phase in range(2):
            yield Recorded(phase, rows), Chosen(phase, rows)

    monkeypatch.setattr(evaluation, "attend", scripted)
    table = evaluate(Scripted(), shown, batch_size=3).set_index("what")
    assert list(table.columns) == ["model", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
    expected = {
        "accuracy_phase_1": (3 / 4, 4),
        "accuracy_phase_2": (3 / 4, 4),
        "all_objects_right": (2 / 4, 4),
        "all_objects_covered": (3 / 4, 4),
        "attended_first_0": (1 / 4, 4),
        "attended_first_1": (3 / 4, 4),
    }
    for what, (estimate, n) in expected.items():
        assert_allclose(table.loc[what, "estimate"], estimate, err_msg=what)
        assert table.loc[what, "n"] == n
        z, p = stats.norm.ppf(0.975), estimate
        centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
        assert_allclose(table.loc[what, ["interval_low", "interval_high"]].astype(float), [low, high], rtol=1e-6)
    # The phases of a composite are not independent: right were 2, 1, 2 and 1 of 2.
    fractions, row = np.array([1, 0.5, 1, 0.5]), table.loc["accuracy"]
    assert_allclose([row["estimate"], row["sd"]], [0.75, fractions.std(ddof=1)])
    # A resample of four holds no 1, or no 0.5, with a probability of 1/16 each: more than 2.5 %.
    interval = [0.5, 1]
    assert_allclose([row["interval_low"], row["interval_high"]], interval)
    assert (row["n"], row["note"]) == (4, "mean over composites of the fraction of correct phases")
    # Phase by phase: the attended pixel, and the mean of the two others; then the mean over phases.
    gate = gates[:, 0, 0].double().numpy()
    one = (gate[:, 0] + gate[:, 1]) / 2
    other = ((gate[:, 1] + gate[:, 2]) / 2 + (gate[:, 0] + gate[:, 2]) / 2) / 2
    for what, values in (("attended", one), ("unattended", other), ("difference", other - one)):
        row = table.loc[f"gate_{what}"]
        every = np.mean(list(itertools.product(values, repeat=4)), axis=1)  # the resamples, all equally likely
        interval = np.quantile(every, [0.025, 0.975])
        assert_allclose(row["estimate"], values.mean(), rtol=1e-5)
        assert_allclose(row["sd"], values.std(ddof=1), rtol=1e-5)
        assert_allclose([row["interval_low"], row["interval_high"]], interval, atol=0.03)
        assert row["n"] == 4
    test = stats.ttest_rel(other, one)
    assert_allclose(table.loc["gate_difference_t", "estimate"], test.statistic, rtol=1e-4)
    assert_allclose(table.loc["gate_difference_dz", "estimate"], test.statistic / 2, rtol=1e-4)
    assert len(table) == 12
    assert set(table["model"]) == {"scripted"}


@torch.no_grad()
def test_a_network_against_a_loop_over_composites(paper, few):
    table = evaluate(paper, few).set_index("what")["estimate"]
    right, gates = [], []
    for index in range(len(few)):
        image, objects = few.images[index : index + 1], few.objects[index : index + 1]
        phases = []
        for phase, choice in attend(paper, image, objects):
            k = int(choice.attended)
            right.append(int(phase.logits.argmax()) == few.labels[index, k])
            values = (part.double().numpy() for part in (phase.gates[0][0, 0], image[0, 0], objects[0, k, 0]))
            phases.append(contrast_by_hand(*values, 0.2))
        gates.append(np.mean(phases, 0))
    attended, unattended = np.transpose(gates)
    assert_allclose(table["accuracy"], np.mean(right))
    assert_allclose(table["gate_attended"], attended.mean(), rtol=1e-3)
    assert_allclose(table["gate_unattended"], unattended.mean(), rtol=1e-3)
    assert_allclose(table["gate_difference_t"], stats.ttest_rel(unattended, attended).statistic, rtol=1e-2)


def test_batches_make_no_difference(paper, few):
    whole, parts = evaluate(paper, few), evaluate(paper, few, batch_size=7)
    assert_array_equal(whole[["what", "n", "note"]], parts[["what", "n", "note"]])
    numbers = ["estimate", "interval_low", "interval_high", "sd"]
    assert_allclose(whole[numbers], parts[numbers], rtol=1e-3, atol=1e-5)


def test_without_strength_there_is_no_contrast(paper, few):
    table = evaluate(paper.with_strength(0.0), few)
    assert not table["what"].str.startswith("gate").any()
    assert len(table) == 7


@pytest.mark.slow
def test_the_published_network_on_official_test_digits(paper, mnist):
    shown = composites(from_folder(mnist, "test"), torch.arange(3000), generator=seeded())
    estimate = evaluate(paper, shown).set_index("what")["estimate"]
    assert_allclose(estimate["accuracy"], 0.978, atol=0.01)
    assert_allclose(estimate["gate_attended"], 0.113, atol=0.003)
    assert_allclose(estimate["gate_unattended"], 0.906, atol=0.003)
    assert estimate["attended_first_1"] == estimate["all_objects_covered"] == 1
    assert_allclose(estimate["gate_difference_dz"], 23, atol=2)


def test_the_shipped_network_on_digits_it_has_not_seen():
    digits = embedded()
    first = torch.randperm(5000, generator=seeded())[:211]
    table = evaluate(load_model("digits-0"), composites(digits, first, generator=seeded())).set_index("what")
    assert table.loc["accuracy", "estimate"] > 0.93
    assert table.loc["all_objects_covered", "estimate"] > 0.95
    assert table.loc["gate_difference", "interval_low"] > 0.3
    assert isinstance(table, pd.DataFrame)


def test_the_bootstrap_of_many_composites_is_as_wide_as_the_t_interval():
    values = np.random.default_rng(0).choice([0.0, 0.5, 1.0], p=[0.01, 0.05, 0.94], size=5000)
    row = evaluation.mean("accuracy", values, "")
    half = stats.t.ppf(0.975, 4999) * stats.sem(values)
    found = [row["interval_low"] - values.mean(), row["interval_high"] - values.mean()]
    assert_allclose(found, [-half, half], rtol=0.1)
    again = evaluation.mean("accuracy", values, "")
    assert again == row
