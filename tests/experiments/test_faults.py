"""What becomes of a run when its networks, the disk, another process or its own file is against it."""

from __future__ import annotations

import dataclasses
import random
import shutil

import pytest

from neuroattn.experiments.activity_scaling import protocol as activity_scaling
from neuroattn.experiments.inhibition_of_return import protocol as inhibition_of_return
from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.recording import attended, record
from neuroattn.runs.folder import alone
from neuroattn.subjects.adapter import subject_of

FEW = ["--n_stimuli", "20", "--n_control_stimuli", "20", "--n_resamples", "100", "--controls", "none"]
TABLES = ("units.parquet", "statistics.csv")


def saved(network, folder, name):
    network.name = name
    save_model(network, folder / f"{name}.safetensors", training={}, provenance={})
    return str(folder / f"{name}.safetensors")


@pytest.fixture
def nowhere(tmp_path):
    """Return the file of a network whose gates are shut whatever it sees."""
    network = load_model("digits-0")
    for name, parameter in network.named_parameters():
        parameter.data.fill_(10.0 if name.endswith("top_down.deconv.bias") else 0.0)
    return saved(network, tmp_path, "nowhere")


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("protocol", "options", "text"),
    [
        (
            activity_scaling.PROTOCOL,
            FEW,
            (
                "attention was confirmed in both states of 0 stimuli that select and 0 that measure, and must be of 8; "
                "show more stimuli (--n_stimuli), or take another model than nowhere, one that attends them"
            ),
        ),
        (
            tuning.PROTOCOL,
            ["--n_orientations", "6", "--n_widths", "1", "--n_x", "2", "--n_y", "2"],
            (
                "attention was confirmed in both states at 0 orientations only, and must be at 6; nowhere does not "
                "attend these stimuli: use another model, or --design free"
            ),
        ),
    ],
)
def test_networks_that_cannot_be_analysed_are_refused_before_any_is_recorded(
    protocol, options, text, existing, nowhere, tmp_path, refused, monkeypatch
):
    monkeypatch.setattr(record, "record", None)
    out = tmp_path / "runs" / "run"
    if existing:
        out.mkdir(parents=True)
    assert refused(protocol, "--models", "digits-0", nowhere, *options, "--out", out) == text
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == (["runs"] if existing else [])
    if existing:
        assert [*out.iterdir()] == []


def test_a_network_without_choices_is_refused_before_any_is_recorded(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(inhibition_of_return, "recording", None)
    never = saved(load_model("digits-0").with_strength(0.0), tmp_path, "never")
    out = tmp_path / "run"
    assert refused(inhibition_of_return.PROTOCOL, "--models", "digits-0", never, *FEW, "--out", out) == (
        "models must have a gate strength above 0, got never of 0, which attends no object; take another network"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("protocol", "config"),
    [
        (activity_scaling, activity_scaling.Config(n_stimuli=500, batch_size=50)),
        (tuning, tuning.Config(n_widths=3, n_x=4, n_y=4, batch_size=50)),
    ],
)
def test_a_network_that_attends_is_known_after_a_few_batches(protocol, config, monkeypatch):
    shown, plan = [], attended.make_plan

    def counted(model, stimuli, *rest, **options):
        shown.append(len(stimuli))
        return plan(model, stimuli, *rest, **options)

    monkeypatch.setattr(attended, "make_plan", counted)
    stimuli = protocol.PROTOCOL.stimuli(config, ())
    protocol.PROTOCOL.check(config, subject_of(load_model("digits-0")), stimuli)
    assert 0 < sum(shown) <= 150 < len(stimuli)


def test_two_protocols_do_not_share_a_folder(tmp_path, refused):
    with alone(tmp_path):
        assert refused(inhibition_of_return.PROTOCOL, *FEW, "--out", tmp_path) == (
            f"out must be a folder that no other process works in, got '{tmp_path}'; let that one finish, or "
            "choose another folder"
        )
    assert [*tmp_path.iterdir()] == []


DAMAGED = {
    "no text": b"\xff\xfe\x00run",
    "cut off": b'{"protocol": "tun',
    "a list": b"[1, 2]",
    "empty": b"",
    "no keys": b"{}",
    "versions of another kind": b'{"versions": [1], "sessions": []}',
    "a version of another kind": b'{"versions": {"neuroattn": 1}, "sessions": []}',
    "sessions of another kind": b'{"versions": {}, "sessions": 7}',
    "a session of another kind": b'{"versions": {}, "sessions": [null]}',
    "a session without keys": b'{"versions": {}, "sessions": [{"started": "now"}]}',
    "very deep": b"[" * 100_000,
    **{f"random bytes {seed}": random.Random(seed).randbytes(200) for seed in range(5)},  # noqa: S311
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_run_file_is_one_line(kind, tmp_path, refused):
    (tmp_path / "run.json").write_bytes(DAMAGED[kind])
    line = refused(inhibition_of_return.PROTOCOL, *FEW, "--out", tmp_path)
    assert line.startswith("out holds a damaged run.json (")
    assert line.endswith(f"), got '{tmp_path}'; choose another folder")
    assert len(line) < 400
    assert (tmp_path / "run.json").read_bytes() == DAMAGED[kind]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_another_run_says_is_never_shown_in_full_nor_obeyed_by_a_terminal(tmp_path, refused):
    settings = ", ".join(f'"\\u001b[2J{number}": "{"x" * 1000}"' for number in range(100))
    text = f'{{"versions": {{}}, "sessions": [], "protocol": "inhibition_of_return", "configuration": {{{settings}}}}}'
    (tmp_path / "run.json").write_text(text)
    line = refused(inhibition_of_return.PROTOCOL, *FEW, "--out", tmp_path)
    assert line.startswith("out must not hold a run with another configuration, got ")
    assert len(line) < 3000
    assert "\x1b" not in line


@pytest.fixture(scope="module")
def two_networks(command, tmp_path_factory):
    """Return a finished run of two networks."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert command(inhibition_of_return.PROTOCOL, "--models", "digits-0", "digits-1", *FEW, "--out", str(out))[0] == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda store: shutil.rmtree(store / "digits-0"), "digits-0/zarr.json is missing"),
        (lambda store: (store / "digits-0" / "zarr.json").unlink(), "digits-0/zarr.json is missing"),
        (lambda store: (store / "zarr.json").unlink(), "zarr.json is missing"),
        (
            lambda store: (store / "digits-1" / "trials" / "zarr.json").write_text("{}"),
            "digits-1/trials/zarr.json is not what was written",
        ),
        (
            lambda store: (store / "digits-1" / "trials" / "place" / "c" / "0" / "0").write_bytes(b"\xff"),
            (
                "digits-1/trials/place cannot be read (Stored and computed checksum do not match. Stored: b'\\xff'. "
                "Computed: b'\\x00\\x00\\x00\\x00'.)"
            ),
        ),
    ],
    ids=["a network", "a network's description", "the root's description", "a description", "a chunk"],
)
def test_a_damaged_store_is_one_line_that_names_it_and_what_to_do(damage, told, two_networks, refused, tmp_path, capfd):
    out = tmp_path / "run"
    shutil.copytree(two_networks, out)
    damage(out / "recording.zarr")
    command = ["--models", "digits-0", "digits-1", *FEW, "--out", out]
    assert refused(inhibition_of_return.PROTOCOL, *command) == (
        f"store '{out / 'recording.zarr'}' is damaged: {told}; to begin anew, remove '{out}' or name another "
        "folder (--out)"
    )
    assert capfd.readouterr() == ("", "")  # nor does a library write


@pytest.mark.slow
def test_what_the_analysis_refuses_is_no_damage(two_networks, tmp_path, refused, monkeypatch):
    out = tmp_path / "run"
    shutil.copytree(two_networks, out)

    def refuses(*_):
        raise ValueError("show more stimuli")

    protocol = dataclasses.replace(inhibition_of_return.PROTOCOL, analysis=refuses)
    command = ["--models", "digits-0", "digits-1", *FEW, "--out", out]
    assert refused(protocol, *command) == "show more stimuli"


def test_an_interrupt_before_a_network_is_recorded_says_so(command, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    protocol = dataclasses.replace(inhibition_of_return.PROTOCOL, recording=interrupted)
    status, _, err = command(protocol, *FEW, "--out", tmp_path / "run")
    assert (status, err) == (130, "interrupted: nothing was recorded; the same command begins again\n")
    assert (tmp_path / "run" / "run.json").exists()


@pytest.fixture
def whole(command, disk):
    """Return a finished run on a disk that has room for it, and no more than 30 MB."""
    out = disk("30m") / "run"
    assert command(inhibition_of_return.PROTOCOL, *FEW, "--out", str(out))[0] == 0
    return out


@pytest.mark.slow
def test_a_full_disk_leaves_every_file_of_a_finished_run(whole, command, refused):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    filler = whole.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**16, 2**12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(whole).free < 2**12
    line = refused(inhibition_of_return.PROTOCOL, *FEW, "--out", whole)
    assert line == (
        f"'{whole / 'run.json'}' could not be written (No space left on device) and is as it was before; the "
        f"recordings of whole networks are kept in {whole}; the same command with --out {whole} goes on from "
        "there"
    )
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
    filler.unlink()
    assert command(inhibition_of_return.PROTOCOL, *FEW, "--out", str(whole))[0] == 0
    for name in TABLES:
        assert (whole / name).read_bytes() == before[whole / name]
