"""``python -m neuroattn.experiments.tuning --stimuli scenes``: bars in colour beside an object of a photograph."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from drawn_scenes import COLOURS, drawn_scenes
from numpy.testing import assert_array_equal

from neuroattn.experiments.scene_stimuli import SYNTHETIC
from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.models.checkpoint import load_models

SMALL = ["--stimuli", "scenes", "--size", "40", "60", "--n_orientations", "6", "--n_widths", "2", "--n_x", "2"]
SMALL += ["--n_y", "3", "--n_resamples", "100", "--design", "free", "--driven", "0.0001", "--batch_size", "40"]


@pytest.mark.slow
def test_the_users_scenes(network, tmp_path, command):
    images, annotations = drawn_scenes(tmp_path / "drawn", 6)
    files = ["--images", images, "--annotations", annotations, "--cache", tmp_path / "cache"]
    options = [*SMALL, *files, "--models", network, "--n_units", 200, "--controls", "zero_strength"]
    status, out, err = command("tuning", *options, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    assert "SYNTHETIC" not in out
    units = pd.read_parquet(tmp_path / "run" / "units.parquet")
    assert units.groupby("layer").size().to_dict() == {f"stage{k}/response": 200 for k in (1, 2, 3)}
    # Drawn anew from the seed, and not the first ones.
    assert units["channel_x"].nunique() > 20
    assert 0 < units["distractor_in_field"].mean() < 1
    report = (tmp_path / "run" / "report.html").read_text()
    assert "objects (the larger of each of 3 scenes of COCO (Lin et al. 2014)), cut out, on grey" in report
    assert "handwritten" not in report
    statistics = pd.read_csv(tmp_path / "run" / "statistics.csv")
    assert set(statistics["n_stimuli"] + statistics["n_stimuli_dropped"]) >= {72.0}


@pytest.mark.slow
def test_synthetic_scenes_say_that_they_are(network, tmp_path, command):
    options = [*SMALL, "--models", network, "--n_units", 50, "--controls", "none"]
    status, out, err = command("tuning", *options, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == SYNTHETIC
    assert json.loads((tmp_path / "run" / "run.json").read_text())["findings"][0] == SYNTHETIC


@pytest.mark.slow
def test_the_distractors_are_the_larger_objects(tmp_path):
    images, annotations = drawn_scenes(tmp_path / "drawn", 6)
    for seed in range(4):
        config = tuning.Config(
            stimuli="scenes", images=str(images), annotations=str(annotations), cache=str(tmp_path / "cache"),
            models=(), size=(40, 60), n_orientations=6, seed=seed,
        )  # fmt: skip
        shown = tuning.stimuli(config, load_models(config.models))
        assert shown.table["bar"].sum() == 6 * 3 * 5 * 5
        # Three scenes: one for selection, two in turn for measurement, and last the first object without a bar.
        beside = shown.objects[:, 1]
        first, *others = (beside[(shown.table["half"] == half).to_numpy()] for half in (0, 1))
        assert (first == first[:1]).all()
        assert len({picture.tobytes() for picture in np.concatenate(others)}) <= 2
        assert not shown.objects[-1, 0].any()
        for picture, name in zip(beside, shown.table["distractor"], strict=True):
            colour = COLOURS[{"dog": 1, "car": 2}[name]]
            assert_array_equal(np.round(picture[:, 20, 45] * 255), colour)
