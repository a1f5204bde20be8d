"""Recordings made by hand, of sizes that are different primes, with every type of coordinate that one can have."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

TEXTS = ["", "naïve", "日本語", "a much longer text than the others", "x"]
VARIABLES = {"stage1/gate": 7, "readout/logits": 3}


def made_variable(presentations=5, steps=(0, 2, 5), units=7, seed=0, variable="stage1/gate", dtype=np.float32):
    """Return the group of one variable as `record` labels it."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((presentations, len(steps), units)).astype(dtype)
    number = np.arange(presentations)
    of_presentations = {
        "stimulus_id": rng.permutation(presentations) + 100,
        "phase": number % 2,
        "correct": rng.random(presentations) < 0.5,
        "attended_label": np.where(number % 3 == 1, np.nan, number),
        "width": rng.random(presentations).astype(np.float32),
        "name": np.array([TEXTS[i % len(TEXTS)] for i in number], object),
    }
    of_neuroids = {
        "neuroid_id": np.array([f"small.{variable.replace('/', '.')}.{i}" for i in range(units)], object),
        "model": np.full(units, "small", object),
        "layer": np.full(units, variable, object),
        "channel": np.arange(units) // 2,
        "channel_x": np.arange(units) % 2,
    }
    coordinates = {"time_step": ("time_step", list(steps))}
    coordinates |= {name: ("presentation", column) for name, column in of_presentations.items()}
    coordinates |= {name: ("neuroid", column) for name, column in of_neuroids.items()}
    return xr.Dataset({"activation": (("presentation", "time_step", "neuroid"), values, {"units": "1"})}, coordinates)


def reduced_variable():
    """Return the group of one variable as a reduction leaves it."""
    rng = np.random.default_rng(1)
    dims = ("condition", "time_step", "neuroid")
    moments = {name: (dims, rng.random((2, 3, 5), np.float32), {"units": "1"}) for name in ("mean", "maximum")}
    return xr.Dataset(
        {**moments, "count": ("condition", [11, 13])},
        {
            "cued": ("condition", [False, True]),
            "time_step": ("time_step", [0, 2, 5]),
            "neuroid_id": ("neuroid", np.array(list("abcde"), object)),
        },
    )


def refused(text):
    return pytest.raises(ValueError, match=f"^{re.escape(text)}$")


def on(group, dim):
    return {name for name, coordinate in group.coords.items() if coordinate.dims == (dim,)}
