"""Stores: what is written comes back with plain xarray, and a write that fails leaves nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_array_equal
from recording.small import small_network, small_stimuli
from refused import refused

from neuroattn.models.gated import GatedNetwork
from neuroattn.models.probe import probes
from neuroattn.recording.contents import summary
from neuroattn.recording.record import record
from neuroattn.recording.store import (
    open_recording,
    recorded_models,
    require_recording,
    write_attributes,
    write_model,
)


@pytest.fixture
def tree(network, stimuli):
    return record(network, stimuli, ["stage1/gate", "readout/logits"])


@pytest.fixture
def store(tmp_path):
    return tmp_path / "recording.zarr"


def without_seal(attributes):
    return {name: value for name, value in attributes.items() if name not in {"zarr_json_sha256", "root_sha256"}}


@pytest.mark.slow
def test_plain_xarray_reads_back_every_variable(network, stimuli, store):
    tree = record(network, stimuli, list(probes(network)), design="cued")
    tree.to_zarr(store, consolidated=False, zarr_format=3)
    with xr.open_datatree(store, engine="zarr", consolidated=False) as read:
        xr.testing.assert_identical(read.load(), tree)
        assert read.attrs == tree.attrs
        names = read["stage2/gate"]["name"].values
    assert_array_equal(names, np.repeat(["bar", "naïve", "", "a much longer name than the others"], 2))


def test_text_has_no_fixed_width_in_the_file(tree, store):
    tree.to_zarr(store, consolidated=False, zarr_format=3)
    for name in ("name", "neuroid_id", "model", "layer", "area"):
        described = json.loads((store / "readout" / "logits" / name / "zarr.json").read_text())
        assert described["data_type"] == "string"


def test_two_models_in_one_store(network, stimuli, tree, store):
    other = GatedNetwork(network.config, torch.Generator().manual_seed(1), name="other-1.2", seed=19)
    trees = {"small": tree, "other-1.2": record(other, stimuli, ["stage2/pooled"], [3])}
    assert recorded_models(store) == []
    for number, (name, recording) in enumerate(trees.items(), 1):
        write_model(recording, store, name)
        assert len(recorded_models(store)) == number
    assert recorded_models(store) == ["other-1.2", "small"]
    assert [path.name for path in store.parent.iterdir()] == ["recording.zarr"]
    with (
        open_recording(store) as ours,
        xr.open_datatree(store, engine="zarr", consolidated=False) as plain,
    ):
        for name, recording in trees.items():
            for read in (ours, plain):
                assert without_seal(read[name].attrs) == recording.attrs
                for node in recording.leaves:
                    found = read[f"{name}{node.path}"].to_dataset().load()
                    xr.testing.assert_identical(found, node.to_dataset())


def test_attributes_of_the_root(tree, store):
    write_model(tree, store, "small")
    write_attributes(store, {"schema_version": 1, "config": '{"a": 1}'})
    write_attributes(store, {"device": "cpu"})
    with open_recording(store) as read:
        assert without_seal(read.attrs) == {"schema_version": 1, "config": '{"a": 1}', "device": "cpu"}
        assert without_seal(read["small"].attrs) == tree.attrs


def failing(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("when", ["at first", "half way", "before the rename"])
def test_a_write_that_fails_leaves_nothing(monkeypatch, network, stimuli, tree, store, existing, when):
    if existing:
        write_model(record(network, stimuli, ["stage2/pooled"], [3]), store, "first")
    before = {path: path.read_bytes() for path in store.parent.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        if when == "at first":
            patch.setattr(xr.DataTree, "to_zarr", failing)
        elif when == "half way":
            write = xr.DataTree.to_zarr

            def partly(tree, path, **options):
                of_part = {key: value for key, value in options.items() if key != "encoding"}
                write(tree.filter(lambda node: node.path.startswith("/stage1")), path, **of_part)
                raise KeyboardInterrupt

            patch.setattr(xr.DataTree, "to_zarr", partly)
        else:
            patch.setattr(Path, "rename", failing)
        with pytest.raises(KeyboardInterrupt):
            write_model(tree, store, "small")
    left = {path: path.read_bytes() for path in store.parent.rglob("*") if path.is_file()}
    assert {path for path in left if path.parent != store} == {path for path in before if path.parent != store}
    assert recorded_models(store) == (["first"] if existing else [])
    write_model(tree, store, "small")
    with open_recording(store) as read:
        xr.testing.assert_identical(read["small/stage1/gate"].to_dataset().load(), tree["stage1/gate"].to_dataset())


def test_what_a_killed_process_left_is_in_nobodys_way(tree, store):
    part = store.with_name("recording.zarr.small.part")
    tree.to_zarr(part / "stage9", consolidated=False, zarr_format=3)
    store.mkdir()
    assert recorded_models(store) == []
    write_model(tree, store, "small")
    assert recorded_models(store) == ["small"]
    assert not part.exists()
    with open_recording(store) as read:
        assert set(read["small"].children) == {"stage1", "readout"}


def test_a_recording_is_never_overwritten(tree, store):
    write_model(tree, store, "small")
    with refused(f"store {str(store)!r} holds a recording of 'small' already; write to another store"):
        write_model(tree, store, "small")
    assert [path.name for path in store.parent.iterdir()] == ["recording.zarr"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "name must consist of letters, digits, '-', '_' and '.', got ''"),
        ("..", "name must not begin with '.', got '..'; it names files and folders"),
        ("a/b", "name must consist of letters, digits, '-', '_' and '.', got 'a/b'"),
        ("zarr.json", "name must not be 'zarr.json', got 'zarr.json', which is a file of every store"),
    ],
)
def test_a_name_that_cannot_be_a_group(tree, store, name, text):
    with refused(text):
        write_model(tree, store, name)
    assert list(store.parent.iterdir()) == []


@pytest.fixture(scope="session")
def streamed_once(made_once):
    return made_once(
        "streamed.zarr", lambda folder: record(small_network(), small_stimuli(), ["stage1/gate"], store=folder).close()
    )


@pytest.fixture
def streamed(streamed_once, store):
    return shutil.copytree(streamed_once, store)


def change_attributes(store, change):
    described = json.loads((store / "zarr.json").read_text())
    change(described["attributes"])
    (store / "zarr.json").write_text(json.dumps(described))


DAMAGED = [
    *((name, value) for name in ("schema_version", "block_size") for value in ("x", None, [], {}, 1.5, True, 0)),
    *(("identity_of", value) for value in ("x", "[]", "{}", '{"variables": 3}', '{"variables": [1]}', 7, None, [])),
]


@pytest.mark.parametrize(("name", "value"), DAMAGED)
def test_damaged_attributes_are_one_line_that_names_the_store(network, stimuli, streamed, name, value):
    change_attributes(streamed, lambda attributes: attributes.update({name: value}))
    text = (
        f"store {str(streamed)!r} is damaged, its attribute {name} is missing or of another kind; make the recording "
        "anew at another path"
    )
    with refused(text):
        summary(streamed)
    if (name, value) != ("schema_version", None):
        with refused(text):
            record(network, stimuli, ["stage1/gate"], store=streamed)


def test_a_store_without_its_trials_is_one_line(network, stimuli, streamed):
    change_attributes(streamed, lambda attributes: attributes.pop("complete"))
    with refused("trials must be an array of the store, got nothing; the store is damaged"):
        record(network, stimuli, ["stage1/gate"], store=streamed)


def test_a_damaged_store_of_a_protocol_is_one_line(tree, store):
    write_model(tree, store, "small")
    weights = tree.attrs["weights_sha256"]
    require_recording(store, "small", weights)
    text = (
        f"store {str(store)!r} must hold a recording of small as it is, got one that is damaged or of other weights; "
        "remove the store"
    )
    with refused(text):
        require_recording(store, "small", "0" * 64)
    (store / "small" / "zarr.json").write_text("{")
    with refused(text):
        require_recording(store, "small", weights)
    (store / "zarr.json").write_bytes(b"\xff")
    with refused(f"store {str(store)!r} is damaged, its zarr.json cannot be understood; remove it"):
        recorded_models(store)


def test_a_link_where_a_recording_is_to_be_made_is_not_followed(network, stimuli, tree, store):
    precious = store.with_name("precious")
    precious.mkdir()
    (precious / "thesis.tex").touch()
    for part in ("recording.zarr.small.part", "streamed.zarr.part"):
        store.with_name(part).symlink_to(precious)
    write_model(tree, store, "small")
    record(network, stimuli, ["stage1/gate"], store=store.with_name("streamed.zarr"))
    assert [path.name for path in precious.iterdir()] == ["thesis.tex"]
    assert recorded_models(store) == ["small"]
