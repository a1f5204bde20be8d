"""Recordings made by hand, in memory and from a store."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from recording.export.by_hand import VARIABLES, made_variable, reduced_variable


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
