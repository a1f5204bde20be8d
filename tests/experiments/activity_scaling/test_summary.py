from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from neuroattn.experiments.activity_scaling.summary import MEASURES, scaling_statistics


def test_units_that_fall_silent_have_no_logarithm_and_are_told():
    """Infinite gains and those of 0 are in the median, and in no mean; nothing is said on stderr of them."""
    gains = np.tile([0.0, 1.1, 1.2, 1.3, np.inf], 3) * np.repeat([1.0, 1.1, 1.2], 5)
    units = pd.DataFrame({measure.name: 0.0 for measure in MEASURES} | {"gain_ratio": gains})
    units["modulation_index"] = 1 - 2 / (gains + 1)
    units["modulation_index_step_0"] = units["modulation_index"]
    units["model"], units["layer"] = np.repeat(["a", "b", "c"], 5), "stage1/response"
    units["channel"], units["neuroid_id"] = np.tile(np.arange(5), 3), np.arange(15)
    units["excluded_by"], units["silent"], units["n_stimuli"] = "", "", 20
    table = scaling_statistics(units, 0, 100)
    row = table[table["what"] == "gain_ratio"].iloc[0]
    assert_allclose(row["estimate"], 1.2 * (1.0 * 1.1 * 1.2) ** (1 / 3))  # of the networks' medians
    assert_allclose(row["cluster_mean"], (1.1 * 1.2 * 1.3) ** (1 / 3) * (1.0 * 1.1 * 1.2) ** (1 / 3))
    assert row["p_sign_flip"] == row["smallest_p_sign_flip"] == 0.25  # all three networks on one side
    assert "3 infinite values" in row["warnings"]
    assert "3 values <= 0 have no logarithm" in row["warnings"]
