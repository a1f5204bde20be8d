"""What made a file, and where it was computed."""

from __future__ import annotations

import json
import platform
import re
import subprocess

import pytest
import torch
from refused import refused

import neuroattn
from neuroattn.compute.device import choose_device
from neuroattn.runs import provenance
from neuroattn.runs.provenance import git_commit, versions


@pytest.fixture(autouse=True)
def fresh():
    git_commit.cache_clear()
    yield
    git_commit.cache_clear()


def test_versions():
    found = versions()
    assert list(found) == [
        "neuroattn",
        "git_commit",
        "python",
        "platform",
        "processor",
        "torch",
        "numpy",
        "scipy",
        "pandas",
        "xarray",
        "zarr",
        "statsmodels",
    ]
    assert (found["neuroattn"], found["python"]) == (neuroattn.__version__, platform.python_version())
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["processor"]
    assert json.loads(json.dumps(found)) == found
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", found["git_commit"])


def test_the_commit_of_a_tree(tmp_path, monkeypatch):
    (tmp_path / "neuroattn").mkdir()
    file = tmp_path / "neuroattn" / "__init__.py"
    file.write_text("")
    monkeypatch.setattr(neuroattn, "__file__", str(file))
    assert git_commit() == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--no-verify", "-m", "a"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    git_commit.cache_clear()
    assert git_commit() == commit
    file.write_text("1")
    git_commit.cache_clear()
    assert git_commit() == f"{commit}-dirty"


def test_without_git(monkeypatch):
    def missing(*_args, **_kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance.subprocess, "run", missing)
    assert git_commit() == ""


@pytest.mark.parametrize("there", [True, False])
def test_the_device(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if there else "cpu")
    if there:
        assert choose_device("cuda").type == "cuda"
    else:
        with refused("device must be auto or cpu on a machine without a CUDA device, got cuda"):
            choose_device("cuda")
