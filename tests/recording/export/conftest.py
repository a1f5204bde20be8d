"""Recordings made by hand, of sizes that are different primes, with every type of coordinate that one can have."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def made():
    """`made_variable`, for tests to call."""
    return made_variable


@pytest.fixture
def gate():
    """One variable: 5 presentations, 3 time steps, 7 neuroids."""
    return made_variable()


@pytest.fixture
def reduced():
    """One variable of a reduced recording: 2 conditions, 3 time steps, 5 neuroids."""
    return reduced_variable()


@pytest.fixture
def tree():
    """A recording of two variables in memory."""
    made = xr.DataTree.from_dict({name: made_variable(units=size, variable=name) for name, size in VARIABLES.items()})
    made.attrs = {"protocol": '{"größe": null}', "note": "", "schema_version": 3, "rate": 0.25}
    return made


@pytest.fixture
def stored(tree, tmp_path):
    """The same recording opened from a store, with the flags of a streamed one and chunks of two presentations."""
    streamed = tree.assign(done=xr.Variable("presentation", np.ones(5, bool)))
    chunks = {f"/{name}": {"activation": {"chunks": (2, 3, size)}} for name, size in VARIABLES.items()}
    streamed.to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3, encoding=chunks)
    with xr.open_datatree(tmp_path / "a.zarr", engine="zarr", consolidated=False) as opened:
        yield opened
