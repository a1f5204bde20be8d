from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from scipy import stats

from neuroattn.experiments.reproduce.comparison import compare, paper_tuning
from neuroattn.statistics.intervals import fraction_interval


def test_the_medians_of_planted_curves():
    orientation = np.arange(0, 180, 9.0)
    peaks = np.array([9, 27, 90, 171])
    curve = np.exp(2 * (np.cos(np.deg2rad(2 * (orientation - peaks[:, None]))) - 1))
    silent = np.zeros((3, 20))
    unattended = np.concatenate([curve, 0.05 * curve, silent])
    attended = np.concatenate([1.5 * curve + 0.2, 0.05 * curve, silent])
    found = paper_tuning(orientation, attended, unattended)
    assert found["n_units"] == 4
    assert_allclose([found["slope"], found["intercept"], found["correlation"]], [1.5, 0.2, 1])
    assert_allclose(found["peak_ratio"], 1.7, rtol=1e-6)
    shifted = paper_tuning(orientation, np.roll(curve, 1, axis=1), curve)
    assert_allclose(shifted["peak_shift"], 9)  # 171 to 0 is 9 degrees, too
    nothing = paper_tuning(orientation, silent, silent)
    assert nothing["n_units"] == 0
    assert np.isnan(nothing["slope"])


def test_verdicts():
    published = [
        {"name": "a", "of": "evaluation", "value": 0.5, "tolerance": 0.1, "source": "s"},
        {"name": "b", "of": "evaluation", "value": 0.5, "tolerance": 0.1, "source": "s", "differs": "because"},
        {"name": "c", "of": "evaluation", "value": 0.5, "tolerance": 0.1, "source": "s", "networks": "published"},
        {"name": "d", "of": "sweep", "value": 0.5, "tolerance": 0.1, "source": "s", "published_differs": "so"},
        {"name": "e", "of": "none", "value": 0.5, "tolerance": 0.1, "source": "s", "why": "needs photographs"},
    ]
    theirs = [0.6, 0.41, 0.5, 0.61, None]
    table = compare(published, theirs, [[0.5, 0.7], [0.7], [], [], None], {"sweep": "no such training"})
    assert table["verdict_published"].tolist() == ["reproduced", "reproduced", "reproduced", "differs", "not run"]
    assert table["verdict"].tolist() == ["reproduced", "differs", "not run", "not run", "not run"]
    assert table["explanation"].tolist() == [
        "",
        "ours: because",
        "about the published weights alone",
        "ours not run: no such training; published weights: so",
        "not run: needs photographs",
    ]
    low, high = stats.t.interval(0.95, 1, 0.6, stats.sem([0.5, 0.7]))
    assert_allclose(table.loc[0, ["ours", "interval_low", "interval_high"]].astype(float), [0.6, low, high])
    assert table["n_networks"].tolist() == [2, 1, 0, 0, 0]
    ours = [[0.9, 1.0], [1.0, 1.0], [], [], None]
    fractions = compare([{**one, "fraction": True} for one in published], theirs, ours, {})
    found = fractions.loc[:1, ["interval_low", "interval_high"]].to_numpy(float)
    assert_allclose(found, [fraction_interval([0.9, 1.0])[1:], fraction_interval([1.0, 1.0])[1:]])
    assert (found <= 1).all()
    assert np.isnan(table.loc[1, "interval_low"])
