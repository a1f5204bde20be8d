"""Detection with a gain: on made answers, whose numbers are known, and as a command."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from refused import refused
from scipy.stats import norm

from neuroattn.evaluation import gain
from neuroattn.evaluation.detection import cells, detect, gains, measured, said
from neuroattn.evaluation.gain_config import GainEvaluationConfig
from neuroattn.models.gain_cnn import GainCNN, GainConfig
from neuroattn.stimuli.mnist import embedded


def test_sensitivity_and_criterion_of_known_answers():
    present = np.arange(20) < 10
    yes = np.isin(np.arange(20), [0, 1, 2, 3, 4, 5, 6, 7, 10])
    h, f = norm.ppf(8.5 / 11), norm.ppf(1.5 / 11)
    expected = {
        "hits": 0.8,
        "false_alarms": 0.1,
        "performance": 0.85,
        "sensitivity": h - f,
        "criterion": -(h + f) / 2,
    }
    assert measured(yes, present) == pytest.approx(expected)


def test_composites_hold_the_class_or_do_not():
    for cell in itertools.islice(cells(embedded(), 10, 11, noise=0.3, seed=3), 3):
        assert cell.images.shape == (22, 1, 28, 42)
        assert cell.present.tolist() == [True] * 11 + [False] * 11
        assert (cell.label[:11] == cell.number).all()
        assert (cell.label[11:] != cell.number).all()
        # The attended object is in the picture, on one side.
        assert (cell.images >= cell.object - 1e-6).all()
        sides = [bool(one[..., :14].any()) for one in cell.object]
        assert 0 < sum(sides) < 22
        assert cell.chooses[:11].sum() == 6
    few = embedded()
    without_nines = few.select(few.labels < 9)
    with refused("digits must hold every class from 0 to 9, got [500, 500, 500, 500, 500, 500, 500, 500, 500, 0]"):
        next(cells(without_nines, 10, 11, noise=0.3, seed=3))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = GainCNN(GainConfig(channels=(2, 3, 5, 7), dense=11), name="plain").eval()
    for number in range(1, 5):
        made.tuning(number).copy_(2 * torch.rand(made.tuning(number).shape) - 1)
    torch.nn.init.normal_(made.dense.weight)  # so that half of the dense layer is silent, and much
    torch.nn.init.normal_(made.detectors.weight, std=3)
    return made


@pytest.fixture(scope="module")
def cell():
    return next(cells(embedded(), 10, 10, noise=0.3, seed=0))


def test_answers_are_the_read_outs_own(network, cell):
    yes, named = said(network, cell, None, feature=False)
    assert torch.equal(yes, network.detect(cell.images)[:, cell.number] > 0)
    assert torch.equal(named, network(cell.images).argmax(1) == cell.label)
    for kind in ("feature", "place"):
        nothing = gains(network, kind, 2, 0.0, positive_only=False)
        assert torch.equal(said(network, cell, nothing, feature=kind == "feature")[0], yes)


def test_controls_have_the_same_gains_on_other_channels_or_on_all(network):
    plain, shuffled, uniform = (
        gains(network, "feature", 4, 0.5, positive_only=False, control=control).tuning["stages.3.response"]
        for control in ("", "shuffled", "uniform")
    )
    assert torch.equal(plain, network.tuning(4))
    assert not torch.equal(shuffled, plain)
    assert torch.equal(shuffled.sort(1).values, plain.sort(1).values)
    assert (uniform == 1).all()
    of_all = gains(network, "feature", 0, 0.5, positive_only=True)
    assert (len(of_all.layers), of_all.strength, of_all.positive_only) == (4, 0.05, True)


def test_every_condition_is_measured_on_both_halves(network, cell):
    found = detect(network, [cell], (0.5,))
    # 5 layers of 2 kinds and 2 signs, and of 2 controls; without attention; two halves each.
    assert len(found) == 2 * (5 * (4 + 2) + 1)
    assert not found.duplicated([*gain.CONDITION, "strength", "chooses"]).any()


def detected(choosing, measuring):
    """Return a table of one condition: performance by class and strength on either half, .5 without attention."""
    rows = [
        {"class": c, "chooses": chooses, "strength": s, "kind": kind, "layer": 4, "positive_only": False, "control": ""}
        | dict.fromkeys(gain.MEASURES, value)
        for chooses, table in ((True, choosing), (False, measuring))
        for c, of in table.items()
        for s, value, kind in [(0.0, 0.5, "none"), *((s, value, "feature") for s, value in of.items())]
    ]
    return pd.DataFrame(rows)


def test_the_strength_is_chosen_on_one_half_and_measured_on_the_other():
    choosing = {0: {0.5: 0.7, 1.0: 0.8}, 1: {0.5: 0.6, 1.0: 0.6}}  # of equal ones the weakest
    measuring = {0: {0.5: 0.9, 1.0: 0.55}, 1: {0.5: 0.75, 1.0: 0.95}}
    found = gain.changes(detected(choosing, measuring)).set_index("what").loc["performance"]
    assert found["change"] == pytest.approx((0.05 + 0.25) / 2)
    assert found["without"] == pytest.approx(0.5)
    assert found["strength"] == pytest.approx(0.75)
    assert found["n"] == 2


def table(without=0.1, **changes):
    """Return changes of three networks, none but those that are named: kind_layer_control_what."""
    rows = [
        {"model": f"plain-{i}", "kind": kind, "layer": layer, "positive_only": False, "control": control}
        | {"what": what, "without": without}
        | {"change": changes.get(f"{kind}_{layer}_{control}_{what}", 0.0) + 0.001 * i * (-1) ** layer}
        for i in range(3)
        for kind, layer, control in [
            ("feature", 1, ""), ("feature", 4, ""), ("feature", 4, "shuffled"), ("feature", 4, "uniform"),
            ("place", 1, ""),
        ]
        for what in gain.MEASURES
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_follow_the_numbers():
    found = gain.claims(
        table(
            feature_4__performance=0.1,
            feature_4__criterion=-0.5,
            feature_4__sensitivity=0.2,
            place_1__performance=-0.2,
            place_1__sensitivity=1.0,
            feature_4_shuffled_performance=0.0995,
        )
    )
    assert [claim.verdict for claim in found] == [
        "supported",
        "supported",
        "undecided",
        "supported",
        "contradicted",
        "undecided",
        "supported",
        "supported",
    ]
    assert found[0].estimate == pytest.approx(0.101)
    assert str(found[0]).startswith("SUPPORTED  Feature gain at stage 4 helps detection: 0.101 [0.099, 0.103] of ")


def test_without_false_alarms_nothing_tells_sensitivity_from_criterion():
    found = gain.claims(table(without=0.01, place_1__sensitivity=1.0, place_1__criterion=-0.5))
    assert [claim.verdict for claim in found[-2:]] == ["undecided", "undecided"]
    assert str(found[-1]).endswith(" z, told by hits alone; n = 3 networks")
    assert gain.claims(table(place_1__sensitivity=1.0, place_1__criterion=-0.5))[-1].verdict == "supported"


def test_networks_that_agree_to_the_last_digit_or_are_one_decide_nothing():
    one = table(feature_4__performance=0.1).query("model == 'plain-0'")
    assert {claim.verdict for claim in gain.claims(one)} == {"undecided"}
    alike = pd.concat([one, one.assign(model="plain-1")])
    assert {claim.verdict for claim in gain.claims(alike)} == {"undecided"}


def test_what_cannot_be_evaluated_is_told(tmp_path):
    with refused("models must be plain networks, got 'digits-0', a gated one; leave it out"):
        gain.evaluate_gain(GainEvaluationConfig(models=("digits-0",)), print)
    (tmp_path / "there.csv").touch()
    with refused("out must be *"):
        gain.evaluate_gain(GainEvaluationConfig(out=str(tmp_path / "there.csv")), print)
    with refused("strengths must be different numbers, at least one, got (0.5, 0.5)"):
        GainEvaluationConfig(strengths=(0.5, 0.5))


@pytest.mark.slow
def test_the_command_tells_verdicts_and_writes_table_and_card(tmp_path):
    told = []
    files = {"out": str(tmp_path / "gain.csv"), "card": str(tmp_path / "CARD.md")}
    gain.evaluate_gain(GainEvaluationConfig(composites=10, strengths=(0.5,), **files), told.append)
    written = pd.read_csv(files["out"])
    assert set(written["model"]) == {"gaincnn-0", "gaincnn-1", "gaincnn-2"}
    verdicts = [line for line in told if line.startswith(("SUPPORTED", "UNDECIDED", "CONTRADICTED"))]
    assert len(verdicts) == 8
    assert all("n = 3 networks" in line for line in verdicts)
    card = (tmp_path / "CARD.md").read_text()
    assert all(line in card for line in verdicts)
    assert "| `gaincnn-0` | 0 | 0.976 |" in card
