"""Which units are meant: against a loop over all of them, and against a selection from the whole recording."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from refused import refused
from torch import nn

from neuroattn.models.state_hash import array_hash
from neuroattn.recording.record import record
from neuroattn.recording.unit_maps import unit_maps
from neuroattn.recording.units import Units, seen
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.timed_module import TimedModule

quick = settings(deadline=None, max_examples=80)
NAMES = ["stage1/response", "stage2/gate"]
SHAPES = {"stage1/response": (3, 10, 12), "stage2/gate": (3, 5, 6)}


def not_asked(variable, mask):
    raise AssertionError((variable, mask))


def by_loop(shape, channels, y, x, seen, numbers=None):
    """Return the numbers of the units that fit, looked at one by one."""
    return [
        number
        for number, (c, row, column) in enumerate(np.ndindex((*shape, 1, 1)[:3]))
        if (channels is None or c in channels)
        and (y is None or y[0] <= row < y[1])
        and (x is None or x[0] <= column < x[1])
        and (seen is None or len(shape) == 1 or seen[row, column])
        and (numbers is None or number in numbers)
    ]


@st.composite
def window(draw, size):
    first = draw(st.integers(0, size - 1))
    return first, draw(st.integers(first + 1, size))


@st.composite
def cases(draw):
    shape = draw(st.sampled_from([(3, 5, 7), (2, 1, 11), (1, 7, 2), (13,), (5, 3)]))
    n_channels, height, width = (*shape, 1, 1)[:3]
    seen = None
    if draw(st.booleans()):
        seen = np.random.default_rng(draw(st.integers(0, 2**16))).random((height, width)) < 0.6
    return (
        shape,
        draw(st.none() | st.lists(st.integers(0, n_channels - 1), min_size=1, max_size=4)),
        draw(st.none() | window(height)),
        draw(st.none() | window(width)),
        seen,
        draw(st.none() | st.lists(st.integers(0, n_channels * height * width - 1), min_size=1, max_size=40)),
    )


@quick
@given(case=cases(), share=st.none() | st.floats(0.01, 1), seed=st.integers(0, 2**40))
def test_equals_a_loop_over_all_units(case, share, seed):
    shape, channels, y, x, seen, numbers = case
    field = np.array([[True]])
    expected = by_loop(shape, channels, y, x, seen, numbers)
    asked = []

    def sees_it(variable, mask):
        asked.append((variable, mask is field))
        return seen

    sample = None if share is None or not expected else max(1, int(share * len(expected)))
    field_given = None if seen is None else field
    units = Units(channels=channels, y=y, x=x, field=field_given, numbers=numbers, sample=sample, seed=seed)
    if not expected:
        with refused("units must leave at least one unit of block/maps, got none; widen the window or field"):
            units.index("block/maps", shape, sees_it)
        return
    found = units.index("block/maps", shape, sees_it)
    assert asked == ([] if seen is None or len(shape) == 1 else [("block/maps", True)])
    assert found.dtype == np.int64
    if sample is None:
        assert_array_equal(found, expected)
    else:
        assert len(found) == sample
        assert set(found) <= set(expected)
        assert (np.diff(found) > 0).all()
        assert_array_equal(units.index("block/maps", shape, sees_it), found)


def test_a_sample_is_another_one_for_another_variable_and_seed():
    def draw(variable, seed):
        return tuple(Units(sample=29, seed=seed).index(variable, (7, 11, 13), not_asked))

    assert draw("stage1/gate", 3) == draw("stage1/gate", 3)
    draws = [draw(variable, seed) for variable in ("stage1/gate", "stage2/gate", "stage1/gated") for seed in (0, 1, 2)]
    assert len(set(draws)) == len(draws)


def test_every_unit_is_drawn_equally_often():
    n, drawn, repeats = 97, 29, 500
    counts = np.zeros(n)
    for seed in range(repeats):
        counts[Units(sample=drawn, seed=seed).index("layer", (n,), not_asked)] += 1
    share = drawn / n
    assert np.abs(counts - repeats * share).max() < 5 * np.sqrt(repeats * share * (1 - share))


@pytest.mark.parametrize("numbers", [[], [-1, 2], [2, 105]])
def test_units_that_a_variable_does_not_have(numbers):
    text = f"numbers must be from 0 to 104 for layer, at least one, got {numbers}; give each variable its own units"
    with refused(text):
        Units(numbers=numbers).index("layer", (3, 5, 7), not_asked)


def test_numbers_are_described_by_their_hash_whatever_their_order():
    one, same, other = (Units(numbers=numbers).describe() for numbers in ([3, 1, 2], np.array([1, 2, 3]), [1, 2]))
    assert one == same
    assert one != other


def test_the_whole_can_be_drawn():
    assert_array_equal(Units(sample=105).index("layer", (3, 5, 7), not_asked), range(105))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"y": (3, 3)}, "y must be a window (first, last) with 0 ≤ first < last, got (3, 3)"),
        ({"x": (-1, 3)}, "x must be a window (first, last) with 0 ≤ first < last, got (-1, 3)"),
        ({"x": (1, 2, 3)}, "x must be a window (first, last) with 0 ≤ first < last, got (1, 2, 3)"),
        (
            {"field": np.ones((11, 13))},
            "field must be a boolean mask (y, x) of the image, got float64 of shape (11, 13)",
        ),
        (
            {"field": np.ones((1, 11, 13), bool)},
            "field must be a boolean mask (y, x) of the image, got bool of shape (1, 11, 13)",
        ),
        ({"sample": 0}, "sample must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_with_any_variable(given, text):
    with refused(text):
        Units(**given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"channels": [0, 3]}, "channels must be from 0 to 2 for layer, got [0, 3]; give each variable its own units"),
        ({"channels": [-1]}, "channels must be from 0 to 2 for layer, got [-1]; give each variable its own units"),
        ({"channels": []}, "channels must be from 0 to 2 for layer, got []; give each variable its own units"),
        ({"y": (2, 6)}, "y must be a window within (0, 5) for layer, got (2, 6); give each variable its own units"),
        ({"x": (2, 8)}, "x must be a window within (0, 7) for layer, got (2, 8); give each variable its own units"),
        ({"sample": 106}, "sample must be at most the 105 units of layer to draw from, got 106"),
        ({"y": (1, 3), "sample": 43}, "sample must be at most the 42 units of layer to draw from, got 43"),
    ],
)
def test_what_is_wrong_with_a_variable(given, text):
    with refused(text):
        Units(**given).index("layer", (3, 5, 7), not_asked)


@pytest.fixture
def network(network):
    """The network with all of its units driven: what is silent would be the same for all stimuli."""
    with torch.no_grad():
        for stage in network.stages:
            stage.conv.bias.fill_(0.7)
    return network


def quadrant():
    mask = np.zeros((11, 13), bool)
    mask[2:4, 7:9] = True
    return mask


@pytest.fixture(scope="module")
def chosen():
    """Units, and which of the coordinates of the whole recording they are."""
    return {
        "channels": (Units(channels=[2, 0]), lambda _network, of: np.isin(of["channel"], [0, 2])),
        "windows": (
            Units(y=(2, 5), x=(1, 4)),
            lambda _network, of: (
                (of["channel_y"].values >= 2)
                & (of["channel_y"].values < 5)
                & (of["channel_x"].values >= 1)
                & (of["channel_x"].values < 4)
            ),
        ),
        "field": (
            Units(field=quadrant()),
            lambda network, of: seen(subject_of(network), of["layer"].values[0], quadrant())[
                of["channel_y"].values, of["channel_x"].values
            ],
        ),
        "sample": (
            Units(sample=17, seed=5),
            lambda _network, of: np.isin(
                np.arange(of.sizes["neuroid"]),
                Units(sample=17, seed=5).index(of["layer"].values[0], SHAPES[of["layer"].values[0]], not_asked),
            ),
        ),
        "all of them": (
            Units(channels=(1,), y=(0, 5), field=quadrant(), sample=3),
            lambda network, of: np.isin(
                np.arange(of.sizes["neuroid"]),
                Units(channels=(1,), y=(0, 5), field=quadrant(), sample=3).index(
                    of["layer"].values[0],
                    SHAPES[of["layer"].values[0]],
                    lambda variable, mask: seen(subject_of(network), variable, mask),
                ),
            ),
        ),
    }


@pytest.mark.parametrize("kind", ["channels", "windows", "field", "sample", "all of them"])
def test_chosen_units_are_those_of_the_whole_recording(network, stimuli, chosen, kind):
    units, condition = chosen[kind]
    whole = record(network, stimuli, NAMES, [1, 4], batch_size=3)
    part = record(network, stimuli, NAMES, [1, 4], batch_size=3, units=units)
    for name in NAMES:
        everything = whole[name].to_dataset()
        expected = everything.isel(neuroid=condition(network, everything))
        assert 0 < expected.sizes["neuroid"] < everything.sizes["neuroid"]
        xr.testing.assert_identical(part[name].to_dataset(), expected)


def test_a_unit_keeps_its_number(network, stimuli):
    tree = record(network, stimuli, ["stage2/gate"], units=Units(channels=[1], y=(3, 5), x=(4, 6)))
    numbers = [1 * 30 + y * 6 + x for y in (3, 4) for x in (4, 5)]
    assert_array_equal(tree["stage2/gate"]["neuroid_id"], [f"small.stage2.gate.{number}" for number in numbers])
    assert_array_equal(tree["stage2/gate"]["channel_y"], [3, 3, 4, 4])
    assert_array_equal(tree["stage2/gate"]["channel_x"], [4, 5, 4, 5])


def test_units_of_each_variable(network, stimuli):
    names = [*NAMES, "readout/logits"]
    units = {"stage1/response": Units(y=(9, 10)), "readout/logits": Units(channels=[6, 1], field=quadrant())}
    whole, part = record(network, stimuli, names), record(network, stimuli, names, units=units)
    xr.testing.assert_identical(part["stage2/gate"].to_dataset(), whole["stage2/gate"].to_dataset())
    response = whole["stage1/response"].to_dataset()
    xr.testing.assert_identical(
        part["stage1/response"].to_dataset(), response.isel(neuroid=response["channel_y"].values == 9)
    )
    # A unit of a vector sees everything.
    logits = whole["readout/logits"].to_dataset()
    xr.testing.assert_identical(part["readout/logits"].to_dataset(), logits.isel(neuroid=[1, 6]))


def test_maps_of_chosen_units(network, stimuli):
    tree = record(network, stimuli, ["stage2/gate"], units=Units(channels=[2, 0], x=(1, 3)))
    maps = unit_maps(tree["stage2/gate"]["activation"])
    whole = unit_maps(record(network, stimuli, ["stage2/gate"])["stage2/gate"]["activation"])
    assert maps.sizes == {"presentation": 8, "time_step": 5, "channel": 2, "channel_y": 5, "channel_x": 2}
    assert_array_equal(maps, whole.sel(channel=[0, 2], channel_x=[1, 2]))


def test_a_store_of_chosen_units(network, stimuli, tmp_path):
    options = {"variables": NAMES, "steps": [1, 4], "batch_size": 3, "precision": "float16"}
    units = {"stage1/response": Units(sample=17, seed=5)}
    kept = record(network, stimuli, **options, units=units)
    with record(network, stimuli, **options, units=units, store=tmp_path / "a.zarr") as stored:
        for name in NAMES:
            assert_array_equal(stored[name]["activation"], kept[name]["activation"])
            assert_array_equal(stored[name]["neuroid_id"], kept[name]["neuroid_id"])
        described = json.loads(stored.attrs["identity_of"])["units"]
    other = {"stage1/response": Units(sample=17, seed=7)}
    text = (
        f"store {str(tmp_path / 'a.zarr')!r} holds another recording, which differs in units ({described} there, "
        f"{described | {'stage1/response': {'sample': 17, 'seed': 7}}} now); choose another path"
    )
    with refused(text):
        record(network, stimuli, **options, units=other, store=tmp_path / "a.zarr")


def test_units_are_part_of_the_identity(network, stimuli):
    def identity(units):
        return record(network, stimuli, ["stage1/response"], [0], units=units).attrs["identity"]

    other = quadrant()
    other[0, 0] = True
    different = [
        None,
        Units(channels=[0, 2]),
        Units(channels=[0]),
        Units(y=(2, 5)),
        Units(x=(2, 5)),
        Units(field=quadrant()),
        Units(field=other),
        Units(sample=17),
        Units(sample=17, seed=5),
        Units(sample=13),
    ]
    identities = [identity(units) for units in different]
    assert len(set(identities)) == len(identities)
    assert identity(Units(channels=np.array([2, 0, 2]))) == identities[1]
    assert identity(Units(channels=range(0, 3, 2))) == identities[1]
    assert identity(Units(y=[np.int64(2), 5])) == identities[3]
    assert identity(Units(field=np.asfortranarray(quadrant()))) == identities[5]
    assert identity({"stage1/response": Units(sample=np.int64(17), seed=np.uint8(0))}) == identities[7]
    tree = record(network, stimuli, ["stage1/response"], [0], units=Units(field=quadrant(), x=(5, 8)))
    described = {"stage1/response": {"x": [5, 8], "field_sha256": array_hash(quadrant())}}
    assert json.loads(tree.attrs["protocol"])["units"] == described


def test_an_array_is_its_dtype_shape_and_values():
    mask = np.arange(15).reshape(3, 5) % 2 == 0
    assert array_hash(mask) == array_hash(np.asfortranarray(mask)) == array_hash(mask[::-1][::-1])
    different = [mask, ~mask, mask.reshape(5, 3), mask.astype(np.uint8), mask.astype(np.float32)]
    assert len({array_hash(array) for array in different}) == len(different)


def test_units_of_a_variable_that_is_not_recorded(monkeypatch, network, stimuli):
    monkeypatch.setattr(network, "forward", None)  # no need to run anything to see that
    text = "units must be of recorded variables (stage1/response, stage2/gate), got 'stage1/gate'; add the variable"
    with refused(text):
        record(network, stimuli, NAMES, units={"stage2/gate": Units(x=(0, 2)), "stage1/gate": Units(x=(0, 2))})


def test_a_field_of_another_image(network, stimuli):
    with refused("field must be (y, x) = (11, 13) of the image, got (13, 11)"):
        record(network, stimuli, NAMES, units=Units(field=np.ones((13, 11), bool)))


def test_a_field_that_nothing_sees(network, stimuli):
    nothing = np.zeros((11, 13), bool)
    with refused("units must leave at least one unit of stage1/response, got none; widen the window or field"):
        record(network, stimuli, NAMES, units=Units(field=nothing))


def test_fields_of_what_is_no_map_of_a_stage(network, stimuli):
    text = "variable must be a map of a stage (stage1/response …) to have receptive fields, got 'readout/feedback'"
    with refused(text):
        record(network, stimuli, ["readout/feedback"], units=Units(field=quadrant()))


class Lines(nn.Module):
    """A convolution, and one that has lost its rows: (stimulus, channel, x)."""

    def __init__(self):
        super().__init__()
        self.maps, self.lines = nn.Conv2d(1, 3, 3), nn.Conv1d(11, 5, 3)

    def forward(self, images):
        return self.maps(images), self.lines(images[:, 0])


def test_units_of_any_module(stimuli):
    torch.manual_seed(0)
    module = Lines().eval()
    whole = record(module, stimuli, ["maps", "lines"])
    part = record(module, stimuli, ["maps", "lines"], units=Units(y=(3, 5), channels=[2]))
    for name, n in (("maps", 2 * 11), ("lines", 2)):
        everything = whole[name].to_dataset()
        rows = everything["channel_y"].values
        expected = everything.isel(neuroid=(everything["channel"].values == 2) & (rows >= 3) & (rows < 5))
        assert expected.sizes["neuroid"] == n
        xr.testing.assert_identical(part[name].to_dataset(), expected)


def test_units_of_any_module_by_their_field(stimuli):
    """A unit of a 3 × 3 convolution at (y, x) sees rows y to y + 2 and columns x to x + 2."""
    part = record(TimedModule(Lines().eval()), stimuli, ["maps"], units=Units(field=quadrant(), channels=[1]))
    y, x = (part["maps"][name].values for name in ("channel_y", "channel_x"))
    assert sorted(zip(y, x, strict=True)) == [(y, x) for y in range(4) for x in range(5, 9)]


def test_what_is_no_map_has_no_field(stimuli):
    text = "variable must be a map (channel, y, x) to have receptive fields, got 'lines' of shape (5, 11)"
    with refused(text):
        record(TimedModule(Lines().eval()), stimuli, ["lines"], units=Units(field=quadrant()))
