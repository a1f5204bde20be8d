"""Every damage of a finished store is found: a file that is gone, or that is not what was written."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import xarray as xr
import zarr
from recording.small import small_network, small_stimuli
from refused import refused

from neuroattn.recording import layout as layout_module
from neuroattn.recording import seal as seal_module
from neuroattn.recording.__main__ import main, show
from neuroattn.recording.damage import faults, problems, require_complete, require_whole, unchecked
from neuroattn.recording.export.netcdf import to_netcdf
from neuroattn.recording.record import record
from neuroattn.recording.store import open_recording, write_attributes, write_model
from neuroattn.recording.units import Units
from neuroattn.stimuli.stimulus_set import StimulusSet

NAMES = ["stage1/gate", "readout/logits"]
UNITS = Units(sample=5)


@pytest.fixture(scope="session")
def whole_store(made_once):
    """A finished store of several chunks, some of which hold nothing but zeros; see `store` for a copy."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout_module, "BLOCK_BYTES", 1)
            patch.setattr(layout_module, "CHUNK_PRESENTATIONS", 4)
            options = {"units": UNITS, "store": folder, "batch_size": 2}
            record(small_network(), small_stimuli(), NAMES, [2], **options).close()

    return made_once("whole.zarr", make)


@pytest.fixture
def store(whole_store, tmp_path):
    return shutil.copytree(whole_store, tmp_path / "a.zarr")


def verified(store, capsys):
    """Run ``info --verify``; return its status and what it printed."""
    with pytest.raises(SystemExit) as left:
        main(["info", str(store), "--verify"])
    return left.value.code, "".join(capsys.readouterr())


def damages(whole):
    """Return what may become of a file's bytes, by name."""
    k = len(whole) * 2 // 3
    return {"deleted": None, "cut": whole[:-1], "a bit flipped": whole[:k] + bytes([whole[k] ^ 8]) + whole[k + 1 :]}


def every_file(store):
    return sorted(path for path in store.rglob("*") if path.is_file())


@pytest.mark.slow
def test_no_damage_is_silent(images, network, tmp_path, monkeypatch):
    """Each file of a store in turn is deleted, cut, and has a bit flipped."""
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(layout_module, "CHUNK_PRESENTATIONS", 4)
    store = tmp_path / "a.zarr"
    record(network, StimulusSet(images), NAMES[:1], [2], units=UNITS, store=store, batch_size=2).close()
    paths = every_file(store)
    assert len(paths) > 43
    assert silent_damages(store, paths) == []
    for path in paths:
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises((ValueError, OSError)):
            open_recording(store)
        path.write_bytes(whole)


def test_each_damage_is_named(store, capsys):
    coordinate = store / "readout" / "logits" / "attended" / "c" / "1"
    coordinate.unlink()
    status, printed = verified(store, capsys)
    assert (status, printed[printed.index("damaged:") :]) == (
        1, "damaged:\n  readout/logits/attended/c/1 is missing\n"
    )  # fmt: skip
    text = (
        f"store must be whole, got {str(store)!r}, which is damaged: readout/logits/attended/c/1 is missing; take a "
        "copy, or delete it and record again"
    )
    for read in (require_whole, open_recording):
        with refused(text):
            read(store)
    (store / "stage1" / "gate" / "channel" / "zarr.json").unlink()
    description = store / "stage1" / "gate" / "phase" / "zarr.json"
    description.write_text(description.read_text().replace("presentation", "presentatiom"))
    zarr.open_group(store, mode="r+").create_array("stage1/more", shape=(1,), dtype="i8")
    lines = problems(store)
    for line in (
        "stage1/gate/phase/zarr.json is not what was written",
        "stage1/more is no part of the recording",
        "readout/logits/attended/c/1 is missing",
        "stage1/gate/channel/zarr.json is missing",
    ):
        assert line in lines


def test_many_damages_are_counted(store, capsys):
    for path in every_file(store):
        if "c" in path.parts and "activation" not in path.parts:
            path.unlink()
    status, printed = verified(store, capsys)
    lines = printed[printed.index("damaged:") :].splitlines()
    assert status == 1
    assert len(lines) == 52
    assert re.fullmatch(r"  and \d\d more", lines[-1])


def test_our_readers_refuse_what_xarray_reads_as_zeros(store, network, stimuli, tmp_path):
    (store / "stage1" / "gate" / "attended" / "c" / "0").unlink()
    with xr.open_datatree(store, engine="zarr", consolidated=False) as tree:
        assert not tree["stage1/gate"]["attended"].values[:4].any()
        with pytest.raises(ValueError, match=r"stage1/gate/attended/c/0 is missing; take a copy"):
            require_complete(tree)
        with pytest.raises(ValueError, match=r"stage1/gate/attended/c/0 is missing; take a copy"):
            to_netcdf(tree, tmp_path / "a.nc")
    with pytest.raises(ValueError, match=r"stage1/gate/attended/c/0 is missing; take a copy"):
        record(network, stimuli, NAMES, [2], units=UNITS, store=store, batch_size=2)


def test_a_protocols_store(network, stimuli, tmp_path):
    tree = record(network, stimuli, NAMES, [2])
    store = tmp_path / "a.zarr"
    write_model(tree, store, "m")
    with open_recording(store) as read:
        xr.testing.assert_equal(read["m"], tree)
    files = [path for path in every_file(store / "m") if path != store / "m" / "zarr.json"]
    assert len(files) > 80
    for path in files:
        whole = path.read_bytes()
        path.unlink()
        text = f"which is damaged: {path.relative_to(store).as_posix()} is missing; take a copy"
        with pytest.raises(ValueError, match=re.escape(text)):
            open_recording(store)
        path.write_bytes(whole)
    open_recording(store).close()


@pytest.fixture(scope="session")
def whole_store_of_networks(made_once):
    """A protocol's store of two networks, as it is when the run is complete; see `of_networks` for a copy."""

    def make(folder):
        tree = record(small_network(), small_stimuli(), ["readout/logits"], [2])
        for name in ("m-0", "m-1"):
            write_model(tree, folder, name)
        write_attributes(folder, {"protocol": "p", "weights_sha256": json.dumps({"m-0": "0", "m-1": "1"})})

    return made_once("networks.zarr", make)


@pytest.fixture
def of_networks(whole_store_of_networks, tmp_path):
    return shutil.copytree(whole_store_of_networks, tmp_path / "b.zarr")


def unsealed_root(store):
    """Leave the root as an earlier version wrote it."""
    described = json.loads((store / "zarr.json").read_text())
    for name in ("zarr_json_sha256", "root_sha256"):
        described["attributes"].pop(name, None)
    (store / "zarr.json").write_text(json.dumps(described))


@pytest.mark.parametrize("former", [False, True])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_lost_network_is_named(of_networks, former, whole_group, capfd):
    if former:
        unsealed_root(of_networks)
    shutil.rmtree(of_networks / "m-0") if whole_group else (of_networks / "m-0" / "zarr.json").unlink()
    text = (
        f"store must be whole, got {str(of_networks)!r}, which is damaged: m-0/zarr.json is missing; take a copy, or "
        "delete it and record again"
    )
    with refused(text):
        open_recording(of_networks)
    status, printed = verified(of_networks, capfd)
    assert status == 1
    assert "damaged:\n  m-0/zarr.json is missing\n" in printed
    assert "Warning" not in printed


def test_a_network_without_description_is_named_before_the_run_is_complete(of_networks):
    described = json.loads((of_networks / "zarr.json").read_text())
    (of_networks / "zarr.json").write_text(json.dumps({**described, "attributes": {}}))
    (of_networks / ".hidden").mkdir()
    assert problems(of_networks) == []
    assert unchecked(of_networks) == "the root's zarr.json, which is sealed when the run is complete"
    (of_networks / "m-1" / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"which is damaged: m-1/zarr\.json is missing; take a copy"):
        open_recording(of_networks)
    assert problems(of_networks) == ["m-1/zarr.json is missing"]


def test_networks_without_the_root_that_names_them(of_networks):
    (of_networks / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"which is damaged: zarr\.json is missing; take a copy"):
        open_recording(of_networks)
    assert list(faults(of_networks)) == ["zarr.json is missing"]


def test_a_whole_store_of_networks_is_summed_up_and_verified(of_networks, capfd):
    status, printed = verified(of_networks, capfd)
    assert status == 0
    size = sum(path.stat().st_size for path in every_file(of_networks))
    first, *others = printed.splitlines()
    assert first == f"{of_networks}: networks of a finished run, {size / 1e6:,.1f} MB on disk"
    assert re.fullmatch(r"  m-0: readout/logits \(\d+ arrays\)", others[0])
    assert others[2] == "  protocol: p"
    assert others[-1] == "verified: every chunk is readable"
    unsealed_root(of_networks)
    assert verified(of_networks, capfd)[1].endswith(
        "verified: every chunk is readable; not checked: zarr.json of the root, which an earlier version wrote without "
        "a seal\n"
    )


@pytest.mark.slow
def test_no_damage_of_a_store_of_networks_is_silent(of_networks):
    """A file of each kind is deleted, cut, and has a bit flipped; the campaign over every file is slow."""
    array = of_networks / "m-1" / "readout" / "logits"
    kinds = [array / "activation" / "c" / "0" / "0" / "0", array / "neuroid_id" / "c" / "0", array / "zarr.json"]
    kinds += [array / "time_step" / "zarr.json", of_networks / "m-1" / "zarr.json", of_networks / "zarr.json"]
    assert silent_damages(of_networks, kinds) == []


def silent_damages(store, paths):
    """Return the damages of these files that `info --verify` takes for none."""
    silent = []
    for path in paths:
        whole = path.read_bytes()
        for name, content in damages(whole).items():
            path.unlink() if content is None else path.write_bytes(content)
            try:
                show(store, verify=True)
            except (SystemExit, ValueError):  # either of which is the end of the command, and no success
                pass
            else:
                silent.append(f"{path.relative_to(store)}: {name}")
            path.write_bytes(whole)
    show(store, verify=True)
    return silent


@pytest.mark.slow
def test_no_damage_of_a_protocols_store_is_silent(run_of_two, tmp_path):
    """Each file of one group, and the description of every group: the arrays of the others are of the same kinds."""
    store = shutil.copytree(run_of_two / "recording.zarr", tmp_path / "recording.zarr")
    group = store / "digits-0" / "trials"
    paths = [path for path in every_file(store) if path.is_relative_to(group) or (path.parent / "trials").is_dir()]
    assert len(paths) > 30
    assert silent_damages(store, paths) == []


def test_a_lost_description_of_a_coordinate_is_told_without_a_warning(store, capfd):
    (store / "stage1" / "gate" / "channel" / "zarr.json").unlink()
    status, printed = verified(store, capfd)
    assert status == 1
    assert printed[printed.index("damaged:") :] == "damaged:\n  stage1/gate/channel/zarr.json is missing\n"


@pytest.mark.slow
def test_an_unfinished_store_may_lack_what_is_not_done_yet(monkeypatch, stopped, network, stimuli, tmp_path, capsys):
    monkeypatch.setattr(layout_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(layout_module, "CHUNK_PRESENTATIONS", 4)
    with stopped(2, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        record(network, stimuli, NAMES, [2], store=tmp_path / "a.zarr", batch_size=1)
    store = tmp_path / "a.zarr"
    assert problems(store) == []
    status, printed = verified(store, capsys)
    assert status == 0
    assert printed.endswith(
        "verified: every chunk is readable; not checked: descriptions (zarr.json), which are sealed when the recording "
        "is complete\n"
    )
    open_recording(store).close()
    (store / "stage1" / "gate" / "channel_y" / "c" / "0").unlink()
    assert problems(store) == ["stage1/gate/channel_y/c/0 is missing"]
    with pytest.raises(ValueError, match="stage1/gate/channel_y/c/0 is missing; take a copy"):
        record(network, stimuli, NAMES, [2], store=store, batch_size=1)


@pytest.fixture
def former(monkeypatch, network, stimuli, tmp_path):
    """A store as the first version wrote it: no checksums of coordinates, no chunks of zeros, no seal."""
    real = zarr.Group.create_array

    def plain(group, name, **options):
        if options.get("compressors") is seal_module.CHECKED:
            options["compressors"] = "auto"
        return real(group, name, **{k: v for k, v in options.items() if k != "config"})

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Group, "create_array", plain)
        patch.setattr(
            layout_module, "seal", lambda store, what, **_: zarr.open_group(store, mode="r+").attrs.update(what)
        )
        record(network, stimuli, NAMES, [2], units=UNITS, store=tmp_path / "a.zarr", batch_size=2).close()
    return tmp_path / "a.zarr"


def test_a_store_of_the_former_version(former, network, stimuli, capsys):
    assert not (former / "readout" / "logits" / "channel_y" / "c" / "0").exists()  # zeros
    status, printed = verified(former, capsys)
    assert status == 0
    assert printed.endswith(
        "verified: every chunk is readable; not checked: coordinates and descriptions (zarr.json), which an earlier "
        "version wrote without checksums\n"
    )
    record(network, stimuli, NAMES, [2], units=UNITS, store=former, batch_size=2).close()
    assert unchecked(former) != ""
    for lost in ("stage1/gate/activation/c/0/0/0", "stage1/gate/channel/zarr.json"):
        whole = (former / lost).read_bytes()
        (former / lost).unlink()
        with pytest.raises(ValueError, match=f"{lost} is missing; take a copy"):
            open_recording(former)
        assert verified(former, capsys)[0] == 1
        (former / lost).write_bytes(whole)
    open_recording(former).close()
    seal_module.seal(former, {})  # as when this version finishes what that one began
    assert problems(former) == []
    assert unchecked(former) == "coordinates that an earlier version wrote without checksums"


def test_whatever_is_no_store_is_left_to_xarray(tmp_path):
    require_whole(tmp_path)
    with pytest.raises(OSError, match="nothing"):
        open_recording(tmp_path / "nothing")
    zarr.create_group(tmp_path / "mine").create_array("a", shape=(3,), dtype="f4", dimension_names=["x"])
    open_recording(tmp_path / "mine").close()


def test_a_kill_between_the_seal_and_the_end(monkeypatch, network, stimuli, tmp_path):
    store, real = tmp_path / "a.zarr", shutil.rmtree

    def killed(path, **options):
        if path == store / "trials":
            raise KeyboardInterrupt
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(layout_module.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            record(network, stimuli, ["readout/logits"], [2], store=store)
    assert problems(store) == []
    record(network, stimuli, ["readout/logits"], [2], store=store).close()
    assert problems(store) == []
    assert not (store / "trials").exists()
