"""``neuroattn VERB``: every command in short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import neuroattn
from neuroattn.command import verbs as verbs_module
from neuroattn.command.program import program, typed
from neuroattn.command.verbs import main, verbs

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = dict(os.environ) | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def run(*arguments, module="neuroattn"):
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    loaded = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    assert not loaded & {"torch", "scipy", "pandas", "xarray", "zarr", "matplotlib"}
    said = "".join(f"{line}\n" for line in lines if not line.startswith("import time:"))
    return done.returncode, done.stdout, said


def run_here(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["neuroattn", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, *capsys.readouterr()


@pytest.mark.process
def test_help_lists_every_verb_in_a_line():
    status, text, err = run("--help")
    assert (status, err) == (0, "")
    usage, _, *lines, _, last = text.splitlines()
    assert usage == "usage: neuroattn COMMAND [options]"
    assert last == "Each has --help; --version tells the version."
    assert [line.split()[0] for line in lines] == list(verbs())
    assert all(re.fullmatch(r"  \w+ +\S.{20,}\.", line) and len(line) < 120 for line in lines)
    scaling = "Activity scaling: whether units respond more to their object when it is attended."
    assert f"  activity_scaling      {scaling}" in lines


def test_every_protocol_is_a_verb_and_every_verb_a_module():
    folders = {path.parent.name for path in (ROOT / "neuroattn" / "experiments").glob("*/__main__.py")}
    assert {"tuning", "activity_scaling", "inhibition_of_return", "reproduce"} <= folders <= verbs().keys()
    doors = {".".join(path.relative_to(ROOT).parts[:-1]) for path in (ROOT / "neuroattn").glob("*/**/__main__.py")}
    assert {verb.module for verb in verbs().values()} == doors


def test_a_new_protocol_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "experiments" / "search"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Search: how long it takes.\n\nAt length.\n"""\nimport no_such_module\n')
    (folder / "__main__.py").touch()
    monkeypatch.setattr(verbs_module, "PACKAGE", tmp_path)
    assert verbs()["search"] == ("neuroattn.experiments.search", "Search: how long it takes.")


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["activity_scaling"], ""),
        (["inhibition-of-return"], "inhibition_of_return"),
        (["reproduce"], ""),
        (["tuning"], ""),
        (["train", "digits"], ""),
        (["train", "sweep"], "train sweep RECIPE.yaml"),
        (["evaluate", "scenes-card"], ""),
        (["record", "make"], ""),
        (["record", "info"], ""),
        (["figures", "training"], "figures training RUN..."),
        (["stimuli", "scenes", "show"], ""),
    ],
)
def test_help_shows_what_was_typed(arguments, program):
    status, text, err = run(*arguments, "--help")
    assert (status, err) == (0, "")
    assert text.startswith(f"usage: neuroattn {program or ' '.join(arguments)} [")
    assert "python -m" not in text.partition("options:")[0]


@pytest.mark.process
def test_a_module_shows_its_own_name():
    assert run("--help", module="neuroattn.experiments.tuning")[1].startswith(
        "usage: python -m neuroattn.experiments.tuning ["
    )
    assert run("--help", module="neuroattn.training")[1].startswith("usage: python -m neuroattn.training digits [")


@pytest.mark.process
def test_a_command_is_run_with_its_options():
    assert run("train", "sweep") == (
        2,
        "",
        "error: a recipe must be named, as in neuroattn train sweep RECIPE.yaml\n",
    )
    status, text, err = run("evaluate", "digits", "--model", "x", "--print-config")
    assert (status, err) == (0, "")
    assert text.startswith("models:\n- x\n")


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ("tunning", "'tunning'; did you mean tuning?"),
        ("training", "'training'; did you mean train?"),
        ("--models", "'--models'"),
        ("a\x1b[1m", r"'a\x1b[1m'"),
    ],
)
def test_a_verb_that_is_none(capsys, monkeypatch, given, question):
    text = f"error: the command must be one of {', '.join(verbs())}, got {question}\n"
    assert run_here(capsys, monkeypatch, given) == (2, "", text)


def test_usage_and_version(capsys, monkeypatch):
    status, usage, err = run_here(capsys, monkeypatch)
    assert (status, usage[:16], err) == (2, "usage: neuroattn", "")
    assert run_here(capsys, monkeypatch, "-h") == (0, usage, "")
    assert run_here(capsys, monkeypatch, "--version") == (0, f"neuroattn {neuroattn.__version__}\n", "")


def test_the_installed_command_is_this_one():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"neuroattn": f"{main.__module__}:{main.__name__}"}
    assert find_spec("neuroattn.__main__") is not None


def test_a_program_is_called_as_it_was_typed():
    name = "python -m neuroattn.training digits"
    assert program(name) == name
    with typed("train", "neuroattn.training"):
        assert program(name) == "neuroattn train digits"
        assert program("python -m neuroattn.evaluation") == "python -m neuroattn.evaluation"
    assert program(name) == name
