"""Small unit tables and recordings, made by hand."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroattn.explorer.view import View
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.fields import squares

ORIENTATION = np.tile([0.0, 45.0, 90.0, 135.0], 2)
TUNED = View(
    x="orientation", unit="°", states={0: "attended", 1: "unattended"}, of="bar", fit="{parameter}_{state}_{value}"
)


def _layer(model, layer, n, seed):
    """Return what a reduced recording holds of one layer, at two steps."""
    generator = np.random.default_rng(seed)
    values = generator.gamma(1, 1, (8, 2, n)).astype(np.float32)
    ids = np.array([f"{model}.{layer.replace('/', '.')}.{k}" for k in range(n)], object)
    unit = {"neuroid_id": ids, "model": np.full(n, model, object), "layer": np.full(n, layer, object)}
    unit |= {"channel": np.arange(n) // 6, "channel_y": np.arange(n) % 6 // 3, "channel_x": np.arange(n) % 3}
    return xr.Dataset(
        {
            "mean": (("condition", "time_step", "neuroid"), values),
            "maximum": (("condition", "time_step", "neuroid"), values + 1),
            "count": ("condition", np.arange(1, 9)),
        },
        {
            "orientation": ("condition", ORIENTATION),
            "attended": ("condition", np.repeat([0, 1], 4)),
            "time_step": [3, 4],
            **{name: ("neuroid", one) for name, one in unit.items()},
        },
    )


def _table(dataset, n, seed):
    generator = np.random.default_rng(seed)
    columns = ["model", "layer", "neuroid_id", "channel", "channel_y", "channel_x"]
    table = dataset[columns].to_dataframe()[columns].reset_index(drop=True).iloc[:n]
    gain = generator.gamma(2, 1, n)
    gain[:2] = np.inf, np.nan
    parameters = {"baseline": 0.25, "amplitude": 1.5, "kappa": 2.0, "preferred": 45.0}
    fits = {f"{name}_attended_mean": value for name, value in parameters.items()}
    return table.assign(
        gain=gain, modulation_index=generator.uniform(-1, 1, n),
        excluded_by=["", "not driven"] * (n // 2) + [""] * (n % 2),
        tuned=[True, None] * (n // 2) + [False] * (n % 2), orientations=[[0, 45]] * n, **fits,
    )  # fmt: skip


@pytest.fixture(scope="session")
def recording():
    """A reduced recording of two networks, of which the first has two layers."""
    layers = {"first/stage1/response": 13, "first/stage2/response": 11, "second/stage1/response": 7}
    return xr.DataTree.from_dict(
        {f"/{at}": _layer(*at.split("/", 1), n, number) for number, (at, n) in enumerate(layers.items())}
    )


@pytest.fixture(scope="session")
def units(recording):
    """The units of that recording, with measures; of the second network two are left out."""
    parts = [
        _table(node.to_dataset(), node.to_dataset().sizes["neuroid"] - 2 * (number == 2), number)
        for number, node in enumerate(recording.leaves)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def pairs():
    """A recording by presentation in which units see one of two objects alone, or none (−1)."""
    generator = np.random.default_rng(5)
    own = np.array([0, 1, -1, 1, 0], np.int8)
    dataset = _layer("first", "stage1/response", 5, 0)[["neuroid_id", "model", "layer"]].drop_dims(
        "condition", errors="ignore"
    )
    stimulus, attended = np.repeat(np.arange(6), 2), np.tile([0, 1], 6)
    return dataset.drop_vars("time_step", errors="ignore").assign_coords(
        stimulus_id=("presentation", stimulus), attended=("presentation", attended), time_step=[0, 4],
        half=("presentation", stimulus % 2), label_0=("presentation", np.repeat([3, 8, 8, 3, 8, 3], 2)),
        label_1=("presentation", np.repeat([8, 3, 3, 3, 8, 8], 2)),
    ).assign(
        activation=(("presentation", "time_step", "neuroid"), generator.gamma(1, 1, (12, 2, 5)).astype(np.float32)),
        own=(("presentation", "neuroid"), np.tile(own, (12, 1))),
    )  # fmt: skip


@pytest.fixture(scope="session")
def stimuli():
    """Pictures of which the brightness tells the orientation, or the stimulus."""
    images = np.zeros((8, 1, 5, 7), np.float32) + (np.arange(8) / 10)[:, None, None, None]
    return StimulusSet(images, table=pd.DataFrame({"orientation": ORIENTATION}))


@pytest.fixture(scope="session")
def fields():
    """Receptive fields of a map of 2 × 3 places: squares of 3 pixels, 2 apart."""
    return lambda _model, variable: squares(2, 3, (2, 3)) if variable == "stage1/response" else None


@pytest.fixture(scope="session")
def record():
    """Return the 16-bit numbers of one unit, from the blocks of a page's contents."""

    def read(made, group, unit):
        per = made.head["per_block"]
        planes = np.frombuffer(gzip.decompress(made.blocks[group["blocks"][unit // per]]), np.uint8).reshape(2, -1)
        words = planes[0].astype("<u2") | (planes[1].astype("<u2") << 8)
        return words.reshape(min(per, group["count"] - unit // per * per), -1)[unit % per]

    return read


@pytest.fixture(scope="session")
def column():
    """Return the values of a column, from the blocks of a page's contents."""

    def read(made, name):
        about = next(one for one in made.head["columns"] if one["name"] == name)
        raw = gzip.decompress(made.blocks[about["block"]])
        if about["kind"] == "number":
            return np.frombuffer(raw, np.uint8).reshape(4, -1).T.copy().view("<f4").ravel()
        if about["kind"] == "word":
            low, high = np.frombuffer(raw, np.uint8).reshape(2, -1).astype(int)
            return [about["words"][code] for code in low + 256 * high]
        return raw.decode()

    return read
