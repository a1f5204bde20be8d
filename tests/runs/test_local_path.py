"""A path means the same wherever it comes in: to whoever writes there, and to whoever reads."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from refused import refused

import neuroattn
from neuroattn.command.line import read_options
from neuroattn.command.option import check_options, option
from neuroattn.models.checkpoint import checkpoint_path
from neuroattn.recording.store import open_recording
from neuroattn.runs.folder import run_folder
from neuroattn.runs.local_path import local_path
from neuroattn.stimuli.idx import read_idx
from neuroattn.stimuli.mnist import load
from neuroattn.stimuli.mnist_download import download
from neuroattn.stimuli.scenes import cache_folder, load_index, load_scenes

ADDRESSES = ["s3://bucket/a", "gs://bucket/a", "memory://a", "simplecache::s3://a", "file:///tmp/a", Path("s3://a/b")]
COMMANDS = {
    "neuroattn.recording.make": ["MakeConfig"],
    "neuroattn.training.config": ["DigitsConfig", "ScenesConfig", "SweepConfig"],
    "neuroattn.evaluation.config": ["DigitsConfig", "ScenesConfig", "CardConfig", "ScenesCardConfig"],
    "neuroattn.stimuli.config": ["IndexConfig", "ShowConfig", "DownloadConfig"],
    "neuroattn.figures.__main__": ["TrainingConfig"],
    "neuroattn.experiments.tuning.protocol": ["Config"],
    "neuroattn.experiments.activity_scaling.protocol": ["Config"],
    "neuroattn.experiments.inhibition_of_return.protocol": ["Config"],
    "neuroattn.experiments.reproduce.run": ["Config"],
}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A home folder, and beside it the current one."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    return home


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/a.zarr", "home/a.zarr"),
        (Path("~/a.zarr"), "home/a.zarr"),
        ("~", "home"),
        ("./~/a.zarr", "here/~/a.zarr"),  # absolute: whoever gets it may expand it once more
        ("/x/~/a", "/x/~/a"),
    ],
)
def test_a_tilde_is_the_home_folder(tmp_path, given, meant):
    found = local_path("store", given)
    assert found == tmp_path / meant
    assert local_path("store", found) == found


@pytest.mark.parametrize("given", ["a.zarr", "runs/a", "..", "C:/a", "a:b", "x/s3://b"])
def test_other_paths_stay_as_they_are(given):
    assert local_path("store", given) == Path(given)


@pytest.mark.parametrize("given", ADDRESSES)
def test_an_address_is_refused(given):
    text = f"store must be a path on this machine, got {str(given)!r}; name a local or a mounted folder"
    with refused(text):
        local_path("store", given)


def test_a_user_whom_there_is_not_and_a_value_that_is_long():
    text = "out must be a path, got '~nobody-there/a', and there is no such user; write it in full"
    with refused(text):
        local_path("out", "~nobody-there/a")
    with pytest.raises(ValueError, match=f"^out must be a path on this machine, got 's3://{'a' * 95}…'; name a local"):
        local_path("out", f"s3://{'a' * 10_000}")


CONFIGS = [getattr(importlib.import_module(module), name) for module, names in COMMANDS.items() for name in names]
PATHS = re.compile(r"\b(files?|folder|paths?|network to begin|a network:|networks|table of a|annotations for)\b")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.__module__}.{config.__name__}")
def test_every_option_that_is_a_path_is_declared_as_one(config):
    """A new option is found by its description."""
    texts = [field for field in dataclasses.fields(config) if "str" in field.type and not field.metadata["choices"]]
    described = [field.name for field in texts if PATHS.search(field.metadata["description"])]
    assert [field.name for field in texts if field.metadata["path"]] == [
        name for name in described if name not in {"name", "dask"}
    ]


@dataclass(frozen=True, kw_only=True)
class Config:
    one: str | None = option(None, "a file", path=True)
    several: tuple[str, ...] = option(("a",), "files", path=True)
    word: str = option("~/a", "a word")

    def __post_init__(self):
        check_options(self)


def test_options_that_are_paths(home, capsys):
    assert Config() == Config(one=None, several=("a",), word="~/a")
    made = Config(one="~/a", several=("~/b", "c", "~"))
    assert (made.one, made.several, made.word) == (f"{home}/a", (f"{home}/b", "c", str(home)), "~/a")
    assert read_options(Config, ["--one", "~/a"], prog="p", description="") == Config(one=f"{home}/a")
    for argv in (["--one", "s3://x"], ["--several", "b", "s3://x"]):
        with pytest.raises(SystemExit) as left:
            read_options(Config, argv, prog="p", description="")
        assert left.value.code == 2
        text = f"{argv[0][2:]} must be a path on this machine, got 's3://x'; name a local or a mounted folder"
        assert capsys.readouterr().err == f"error: {text}\n"


def net(seed):
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)).eval()


@pytest.fixture
def stimuli():
    return neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 5, 7), dtype=np.float32))


def test_a_recording_is_read_where_it_was_written(home, stimuli):
    def values(tree):
        return tree["0"]["activation"].values

    neuroattn.record(net(1), stimuli, ["0"], store=home / "a.zarr").close()
    with pytest.raises(ValueError, match="holds another recording, which differs in weights"):
        neuroattn.record(net(2), stimuli, ["0"], store="~/a.zarr")
    kept = neuroattn.record(net(2), stimuli, ["0"])
    with neuroattn.record(net(2), stimuli, ["0"], store="~/b.zarr") as written, open_recording("~/b.zarr") as read:
        np.testing.assert_array_equal(values(written), values(kept))
        np.testing.assert_array_equal(values(read), values(kept))
    neuroattn.to_netcdf(kept, "~/c.nc")
    assert sorted(path.name for path in home.iterdir()) == ["a.zarr", "b.zarr", "c.nc"]
    with neuroattn.record(net(2), stimuli, ["0"], store="./~/d.zarr") as tree:  # a folder of that name, if need be
        np.testing.assert_array_equal(values(tree), values(kept))
    assert [str(path) for path in Path().rglob("*.zarr")] == ["~/d.zarr"]


def test_an_address_is_refused_before_anything_is_made(stimuli, capsys):
    text = "must be a path on this machine, got 's3://x'; name a local or a mounted folder"
    doors = {
        "store": [lambda: neuroattn.record(None, stimuli, [], store="s3://x"), lambda: open_recording("s3://x")],
        "path": [lambda: neuroattn.to_netcdf(None, "s3://x"), lambda: read_idx("s3://x")],
        "model": [lambda: neuroattn.load_model("s3://x")],
        "out": [lambda: run_folder("s3://x", "a")],
        "folder": [lambda: load("s3://x", "test"), lambda: download("s3://x")],
        "annotations": [lambda: load_index("s3://x")],
        "images": [lambda: load_scenes("s3://x", "a")],
        "cache": [lambda: cache_folder("s3://x")],
    }
    for name, calls in doors.items():
        for call in calls:
            with refused(f"{name} {text}"):
                call()
    commands = {
        "recording": ["info", "s3://x"],
        "training": ["sweep", "s3://x"],
        "figures": ["training", "s3://x"],
    }
    for module, argv in commands.items():
        with pytest.raises(SystemExit) as left:
            importlib.import_module(f"neuroattn.{module}.__main__").main(argv)
        assert left.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(text)
    assert list(Path().rglob("*")) == []


def test_a_network_in_the_home_folder(home):
    text = "model must be a file that exists, got '~/a.pt'; check the path"
    with refused(text):
        neuroattn.load_model("~/a.pt")
    shutil.copy(checkpoint_path("digits-0"), home / "a.safetensors")
    assert neuroattn.load_model("~/a.safetensors").name == "digits-0"
