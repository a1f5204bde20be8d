from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from neuroattn.recording.confirmed import over_confirmed

DIMS = ("condition", "time_step", "neuroid")


def reduced(presentations: pd.DataFrame, values: np.ndarray, by: list[str], keep: np.ndarray) -> xr.Dataset:
    """Return moments of (presentation, neuroid) values by hand."""
    rows, mean, maximum, count, presented = [], [], [], [], []
    for key, index in sorted(presentations.groupby(by).indices.items()):
        kept = index[keep[index]]
        rows.append(key)
        nothing = np.full(values.shape[1], np.nan)
        mean.append(values[kept].mean(0) if len(kept) else nothing)
        maximum.append(values[kept].max(0) if len(kept) else nothing)
        count.append(len(kept))
        presented.append(len(index))
    arrays = {"mean": mean, "maximum": maximum}
    return xr.Dataset(
        {name: (DIMS, np.array(array)[:, None].astype(np.float32)) for name, array in arrays.items()}
        | {"count": ("condition", count), "presented": ("condition", presented)},
        coords={name: ("condition", list(column)) for name, column in zip(by, zip(*rows, strict=True), strict=True)}
        | {"neuroid_id": ("neuroid", [f"m.{unit}" for unit in range(values.shape[1])])},
    )


def test_moments_are_those_over_all_presentations_and_the_confirmed_ones_are_counted() -> None:
    rng = np.random.default_rng(3)
    n = 211
    presentations = pd.DataFrame(
        {"orientation": rng.integers(0, 3, n) * 60.0, "cued": rng.integers(0, 2, n), "confirmed": rng.random(n) < 0.7}
    )
    presentations.loc[(presentations["orientation"] == 60) & (presentations["cued"] == 1), "confirmed"] = True
    values, keep = rng.normal(size=(n, 5)), rng.random(n) < 0.9
    keep[(presentations["orientation"] == 120) & (presentations["cued"] == 0)] = False  # nothing of it is left
    by = ["orientation", "cued"]
    found = over_confirmed(reduced(presentations, values, [*by, "confirmed"], keep), by)
    expected = reduced(presentations, values, by, keep)
    assert found["mean"].dims == DIMS
    for name in ("mean", "maximum", "count", "presented"):
        assert_allclose(found[name], expected[name], rtol=1e-5)
    assert_array_equal(found["orientation"], expected["orientation"])
    counted = presentations[keep & presentations["confirmed"]].groupby(by).size()
    assert_array_equal(
        found["n_confirmed"], counted.reindex(list(zip(*(found[c].values for c in by), strict=True)), fill_value=0)
    )
    assert "confirmed" not in found.coords
    assert found["neuroid_id"].values.tolist() == expected["neuroid_id"].values.tolist()
