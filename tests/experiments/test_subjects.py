"""Any subject through a protocol that it can answer, and one line for what it cannot."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import neuroattn
from neuroattn.subjects.planted.scaled import ScaledUnits, scaled_subject


class Plain(nn.Module):
    """A convolutional network, whose first layer a cue can scale by place."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()
        self.pool, self.conv2, self.relu2 = nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU()

    def forward(self, images, gain=1.0):
        return self.relu2(self.conv2(self.pool(self.relu1(gain * self.conv1(images)))))


def to_a_side(module, images, target):
    """Multiply by 1.5 what is on the side of the target."""
    yield 0, 0
    column = torch.arange(images.shape[3]) < images.shape[3] // 2
    side = torch.where((target.location == 0)[:, None], column, ~column)
    module(images, 1 + 0.5 * side[:, None, None].float())


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return Plain().eval()


@pytest.mark.slow
def test_a_plain_network_with_a_cue_runs_beside_a_gated_one(plain, tmp_path):
    subject = neuroattn.TimedModule(plain, cue=to_a_side, variables=["relu1", "relu2"], name="plain")
    options = {"n_stimuli": 60, "n_control_stimuli": 40, "n_units": 150, "n_resamples": 100, "strengths": (0.2,)}
    run = neuroattn.run("activity_scaling", models=["digits-0", subject], out=tmp_path / "run", **options)
    index = run.statistics.query("what == 'modulation_index' and model == '' and n_models == 1")
    assert {"relu1", "stage1/response", "stage2/response"} <= set(index["layer"])
    of_plain = run.units.query("model == 'plain' and layer == 'relu1' and excluded_by == ''")
    assert len(of_plain) > 3
    assert of_plain["gain_ratio"].between(1, 1.5001).all()
    for missing in ("shuffled_gates: it has no gates", "one_step: it has a single step"):
        assert any(f"NOTE: plain has no control {missing}." in line for line in run.text)
    assert any(line.startswith("NOTE: plain is taken to attend what it is cued to") for line in run.text)
    # Controls that it has are its own, and the others' are of the gated network alone.
    controls = (
        run.units["model"].nunique(),
        {name: sorted(tree["controls"].children) for name, tree in run.recording.children.items()},
    )
    assert controls == (
        2,
        {
            "digits-0": ["intact", "one_step", "shuffled_gates", "untrained", "zero_strength"],
            "plain": ["intact", "untrained"],
        },
    )
    assert neuroattn.open_run(tmp_path / "run").analyse(n_resamples=120).units.equals(run.units)


def refused(text):
    return pytest.raises(ValueError, match=f"^{re.escape(text)}$")


def test_what_cannot_be_asked_is_told_in_one_line(plain, tmp_path):
    subject = scaled_subject(ScaledUnits(1, 7, 4, left=11, right=28, gain=1.5))
    cannot = {
        ("tuning", plain): "plain: it cannot be cued; give TimedModule a cue",
        ("activity_scaling", subject): "planted: it has no order of its own in which it attends objects",
        ("inhibition_of_return", subject): "planted: it hands no inhibition from one phase to the next",
    }
    for (protocol, model), reason in cannot.items():
        text = f"models must be such that {protocol} can ask them, got {reason}; leave it out"
        options = {"design": "free"} if protocol == "activity_scaling" else {}
        with refused(text):
            neuroattn.run(protocol, models=[model], out=tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()


def test_pictures_that_a_module_does_not_take_are_refused_before_anything_is_recorded(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    subject = neuroattn.TimedModule(module, cue=to_a_side, name="coloured")
    with pytest.raises(
        ValueError, match=r"^models must take pictures of \(channel, y, x\) = \(1, 28, 42\), got coloured"
    ):
        neuroattn.run("activity_scaling", models=[subject], out=tmp_path / "run", n_stimuli=20, n_control_stimuli=20)
    assert not (tmp_path / "run").exists()
