"""From options to commands: help, recipes, errors and exit statuses."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import subprocess
import sys
import typing
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuroattn.command.line import read_options, run_command, stop, tell
from neuroattn.command.option import check_options, option
from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.training.config import DigitsConfig

ENVIRONMENT = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "COLUMNS": "200"}
COMMANDS = {
    "neuroattn.training digits": ("neuroattn.training.config", "DigitsConfig"),
    "neuroattn.evaluation digits": ("neuroattn.evaluation.config", "DigitsConfig"),
    "neuroattn.experiments.tuning": ("neuroattn.experiments.tuning.protocol", "Config"),
    "neuroattn.experiments.reproduce": ("neuroattn.experiments.reproduce.run", "Config"),
    "neuroattn.figures training": ("neuroattn.figures.__main__", "TrainingConfig"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of a command that does not exist."""

    strength: float = option(0.25, "how strong", unit="luminance", low=0, high=1)
    names: tuple[str, ...] = option(("a", "b"), "which ones")
    counts: tuple[int, ...] = option((3, 5), "how many", low=1)
    number: int | None = option(None, "perhaps a number", low=2)
    switch: bool = option(True, "on or off")
    colour: str = option("red", "a colour, 100 % of it", choices=("red", "blue"))

    def __post_init__(self):
        check_options(self)


def read(*argv):
    return read_options(Config, argv, prog="python -m test", description="Test 100 % of it.")


def refused(capsys, *argv):
    """Return what is printed on standard error by a command line that is refused."""
    with pytest.raises(SystemExit) as left:
        read(*argv)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    return err


def test_defaults_and_options():
    assert read() == Config()
    found = read("--strength", "0.5", "--names", "x", "--counts", "7", "11", "--number", "2", "--switch", "false")
    assert found == Config(strength=0.5, names=("x",), counts=(7, 11), number=2, switch=False)
    assert read("--strength=1e-3").strength == 0.001


def test_a_recipe_and_later_options(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("strength: 0.75\nnames: [x, y]\nnumber: 3\n")
    assert read("--config", str(path)) == Config(strength=0.75, names=("x", "y"), number=3)
    assert read("--config", str(path), "--strength", "0", "--names", "z").names == ("z",)
    assert read("--strength", "0", "--config", str(path)).strength == 0.75


def test_what_is_printed_can_be_read_again(capsys, tmp_path):
    options = ["--strength", "0.125", "--names", "x", "--counts", "7", "11", "--switch", "false", "--colour", "blue"]
    with pytest.raises(SystemExit) as left:
        read(*options, "--print_config")
    printed, err = capsys.readouterr()
    assert (left.value.code, err) == (0, "")
    assert "#" not in printed
    path = tmp_path / "recipe.yaml"
    path.write_text(printed)
    assert read("--config", str(path)) == read(*options) != Config()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--strength", "1.5"], "strength must be in [0, 1], got 1.5"),
        (["--strength", ".nan"], "strength must be in [0, 1], got nan"),
        (["--counts", "3", "0"], "counts must be at least 1, got 0"),
        (["--colour", "green"], "colour must be one of red, blue, got green"),
        (["--shape", "round"], "unrecognized arguments: --shape round (see --help)"),
        (["--stren", "0.5"], "unrecognized arguments: --stren 0.5; did you mean --strength? (see --help)"),
        (["--name=x"], "unrecognized arguments: --name=x; did you mean --names? (see --help)"),
        (["--print-confi"], "unrecognized arguments: --print-confi; did you mean --print_config? (see --help)"),
        (["--counts", "-" + "9" * 400], f"counts must be at least 1, got -{'9' * 37}...{'9' * 39}"),
        (
            ["--strength", "9" * 400],
            "numbers must be of a size that a computer has, got one of hundreds of digits; write a smaller one",
        ),
        (["--colour", "gr\x1b[31m\neen"], "colour must be one of red, blue, got gr\\x1b[31m een"),
        (["--colour", "x" * 10_000], f"colour must be one of red, blue, got {'x' * 53}…{'x' * 26}"),
        (["3"], "unrecognized arguments: 3 (see --help)"),
        (["--counts"], "argument --counts: expected at least one argument (see --help)"),
        (["--config", "/no/such.yaml"], "config must be a YAML file that exists, got '/no/such.yaml'; check the path"),
    ],
)
def test_errors(capsys, argv, text):
    assert refused(capsys, *argv) == f"error: {text}\n"


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """Options of a command some of which had other names before."""

    models: tuple[str, ...] = option(("a",), "networks", former="model")
    n_objects: int = option(2, "how many", former="count")
    dry_run: bool = option(False, "say what it would take")
    noise: float = option(0.5, "how much")
    name: str = option("", "a name that looks like a number")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--model x", Renamed(models=("x",))),
        ("--model=x", Renamed(models=("x",))),
        ("--model x y --model z", Renamed(models=("z",))),
        ("--count 3 --n-objects=5", Renamed(n_objects=5)),
        ("--n-objects 5 --name a-b --models x-y", Renamed(n_objects=5, name="a-b", models=("x-y",))),
        ("--dry-run", Renamed(dry_run=True)),
        ("--dry_run --n_objects 3", Renamed(dry_run=True, n_objects=3)),
        ("--dry_run true", Renamed(dry_run=True)),
        ("--dry_run=false", Renamed()),
        ("--dry_run --dry_run false", Renamed()),
    ],
)
def test_spellings_of_an_option(line, expected):
    assert read_options(Renamed, line.split(), prog="test", description="test") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("model: x", Renamed(models=("x",))),
        ("model: [x, y]\nname: '7'\nnoise: 1e-3", Renamed(models=("x", "y"), name="7", noise=0.001)),
        ("count: 3\ndry-run: true", Renamed(n_objects=3, dry_run=True)),
        ("models: [x]\nn-objects: 5", Renamed(models=("x",), n_objects=5)),
        (f"model: ['{'x ' * 99}']", Renamed(models=("x " * 99,))),
    ],
)
@pytest.mark.parametrize("option", ["--config {}", "--config={}"])
def test_spellings_of_a_recipe(tmp_path, content, expected, option):
    path = tmp_path / "r.yaml"
    path.write_text(content)
    argv = option.format(path).split()
    assert read_options(Renamed, argv, prog="test", description="test") == expected
    assert read_options(Renamed, [*argv, "--name", "z"], prog="test", description="test").name == "z"


def test_two_spellings_of_one_option_in_a_recipe(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text("model: x\nmodels: [y]\n")
    with pytest.raises(SystemExit):
        read_options(Renamed, ["--config", "r.yaml"], prog="test", description="test")
    text = "error: models must be given once in 'r.yaml', got it under two spellings; leave one out\n"
    assert capsys.readouterr() == ("", text)


NO_OPTIONS = "config must be a YAML file of options, got 'r.yaml', which holds {}; write lines of OPTION: VALUE"
DAMAGED = "config must be a whole YAML file, got 'r.yaml'"
# Billions of values in ten lines.
BOMB = "names: &a0 [x, y]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))
NO_VALUE = "{} must have a value in 'r.yaml', got nothing; give it one or leave the line out"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("names: x", "names must be a list in 'r.yaml', got 'x'; write names: [x]"),
        ("names: x, y\n", "names must be a list in 'r.yaml', got 'x, y'; write names: [x, y]"),
        ("counts: 7", "counts must be a list in 'r.yaml', got 7; write counts: [7]"),
        ("strength: 0.5\ncounts:", "counts must be a list in 'r.yaml', got nothing; write counts: [3, 5]"),
        ("names: {x: 1}", "names must be a list in 'r.yaml', got {'x': 1}; write names: [a, b]"),
        ("strength: 0.5\ncolor: red", "Option 'color' is not accepted; did you mean colour? (see --help)"),
        (f"{'x' * 500}: red", f"Option '{'x' * 37}...{'x' * 38}' is not accepted (see --help)"),
        (
            f"names: {'x' * 10_000}",
            "names must be a list in 'r.yaml', got '{}...{}'; write names: [{}…{}]".format(
                "x" * 37, "x" * 38, "x" * 53, "x" * 26
            ),
        ),
        ("names: &a [x]\ncounts: [3, *a]", f"{DAMAGED} (line 2: an alias (*) is not allowed); correct it"),
        (BOMB, f"{DAMAGED} (line 2: an alias (*) is not allowed); correct it"),
        (f"names: [{'x, ' * 40_000}]", f"{DAMAGED}, which is longer than 100,000 bytes; correct it"),
        ("config: r.yaml", "Option 'config' is not accepted (see --help)"),
        ("3: 4", "Option '3' is not accepted (see --help)"),
        ("", NO_OPTIONS.format("nothing")),
        ("# strength: 0.5\n", NO_OPTIONS.format("nothing")),
        ("- 3", NO_OPTIONS.format("a list")),
        ("strength", NO_OPTIONS.format("a single value")),
        ("strength: null\nswitch: true", NO_VALUE.format("strength")),
        ("number:", NO_VALUE.format("number")),
        ("counts: [1\n b", f"{DAMAGED} (line 2: expected ',' or ']', but got '<stream end>'); correct it"),
        ("\t", f"{DAMAGED} (line 1: found character '\\t' that cannot start any token); correct it"),
        ("strength: !!bool x", f"{DAMAGED}, which cannot be understood; correct it"),
        ("strength: !!int x", f"{DAMAGED}, which cannot be understood; correct it"),
        ("strength: \0", f"{DAMAGED}, which cannot be understood; correct it"),
        (
            "strength:\n  deep: 3",
            "Parser key \"strength\": Expected a <class 'float'>. Got value: {'deep': 3} (see --help)",
        ),
    ],
)
@pytest.mark.parametrize("option", ["--config r.yaml", "--config=r.yaml"])
def test_a_recipe_that_is_refused(capsys, tmp_path, monkeypatch, content, text, option):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(content)
    assert refused(capsys, "--strength", "0.5", *option.split(), "--colour", "red") == f"error: {text}\n"


def test_recipes_that_are_no_text(capsys, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"names: [\xff]")
    text = f"error: config must be a whole YAML file, got {str(path)!r}, which cannot be understood; correct it\n"
    assert refused(capsys, "--config", str(path)) == text
    text = f"error: config must be a YAML file that exists, got {str(tmp_path)!r}; check the path\n"
    assert refused(capsys, f"--config={tmp_path}") == text


def test_a_recipe_of_the_process_is_checked_too(capsys, tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    path.write_text("names: x")
    monkeypatch.setattr(sys, "argv", ["test", "--config", str(path)])
    with pytest.raises(SystemExit):
        read_options(Config, None, prog="test", description="test")
    assert capsys.readouterr().err == f"error: names must be a list in {str(path)!r}, got 'x'; write names: [x]\n"


@pytest.mark.parametrize("argv", [["--config"], ["--config", "--strength", "0.5"]])
def test_a_recipe_without_a_file(capsys, argv):
    assert refused(capsys, *argv) == "error: argument --config: expected one argument (see --help)\n"


NO_MEMORY = "error: memory does not hold what was asked for{}; lower the options that say how many or how large"
KEPT = f"{NO_MEMORY}; half is kept\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("a must be b,\n  got c"), 2, "error: a must be b, got c\n"),
        (
            FileNotFoundError(2, "No such file or directory", "x"),
            2,
            "error: [Errno 2] No such file or directory: 'x'\n",
        ),
        (FloatingPointError("the loss is not finite"), 2, "error: the loss is not finite\n"),
        (ConnectionError("no mirror"), 2, "error: no mirror\n"),
        (MemoryError("Unable to allocate 745. GiB"), 2, KEPT.format(" (Unable to allocate 745. GiB)")),
        (MemoryError(), 2, KEPT.format("")),
        (
            RuntimeError("[enforce fail]: can't allocate memory"),
            2,
            KEPT.format(" ([enforce fail]: can't allocate memory)"),
        ),
        (
            RuntimeError("Zstd compression error: b'Allocation error : not enough memory'"),
            2,
            KEPT.format(" (Zstd compression error: b'Allocation error : not enough memory')"),
        ),
        (RuntimeError("CUDA out of memory. Tried"), 2, KEPT.format(" (CUDA out of memory. Tried)")),
        (ValueError("Maximum allowed dimension"), 2, f"{NO_MEMORY.format(' (Maximum allowed dimension)')}\n"),
        (ValueError("a\x1b[2Jb\u202e"), 2, "error: a\\x1b[2Jb\\u202e\n"),
        (ValueError("x" * 10**7), 2, f"error: {'x' * 1333}…{'x' * 666}\n"),
        (KeyboardInterrupt(), 130, "interrupted: half is kept\n"),
        (None, 0, ""),
    ],
)
def test_exit_statuses(capsys, error, status, text):
    def command():
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as left:
        run_command(command, interrupted=lambda: "half is kept")
    assert left.value.code == status
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize("error", [KeyError("ours"), RuntimeError("ours")])
def test_a_mistake_of_ours_is_not_hidden(error):
    def command():
        raise error

    with pytest.raises(type(error), match="ours"):
        run_command(command, interrupted=str)


def test_what_is_told_cannot_drive_the_terminal(capsys):
    tell("a\x1b]0;title\x07\n\tb\r\u202e é ≥ 1")
    assert capsys.readouterr() == ("a\\x1b]0;title\\x07\n\tb\\r\\u202e é ≥ 1\n", "")


TALKATIVE = """
from pathlib import Path
from neuroattn.command.line import run_command, tell

def command():
    Path("kept").touch()
    for number in range(100_000):
        tell(f"line {number}")

run_command(command, interrupted=str)
"""


@pytest.mark.process
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough(tmp_path, unbuffered):
    command = [sys.executable, "-c", TALKATIVE]
    environment = ENVIRONMENT | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    assert (tmp_path / "kept").exists()


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["digits", "--help"], ["digits", "--print_config"], ["--help"]])
def test_help_that_nobody_reads(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "neuroattn.evaluation", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode in {0, 141}  # the parser may not tell that its help went nowhere
    assert done.stderr == ""


@pytest.mark.process
def test_no_figure_needs_the_backend_that_jupyter_exports():
    draw = "from matplotlib.figure import Figure; Figure().savefig('/dev/null', format='png')"
    command = f"import neuroattn.command.line as c; c.run_command(lambda: exec({draw!r}), interrupted=str)"
    environment = ENVIRONMENT | {"MPLBACKEND": "module://not.installed.backend"}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_is_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        stop("a\n  b")
    assert left.value.code == 2
    assert capsys.readouterr() == ("", "error: a b\n")


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_large_library_and_lists_every_option(command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command.split(), "--help"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stderr.splitlines()
    assert all(line.startswith("import time:") for line in lines)
    loaded = {line.split("|")[-1].strip() for line in lines}
    assert "jsonargparse" in loaded
    assert not loaded & {"torch", "scipy", "pandas", "xarray", "zarr", "matplotlib"}
    text = " ".join(done.stdout.split())
    module, name = COMMANDS[command]
    for field in dataclasses.fields(getattr(importlib.import_module(module), name)):
        entry = text[text.index(f" --{field.name} ", text.index("options:")) :]
        entry = entry[: entry.find(" --", 1)] if " --" in entry[1:] else entry
        assert " ".join(field.metadata["description"].split())[:60] in entry
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert entry.endswith(f"default: {'null' if default is None else default})"), field.name
        if field.metadata["unit"]:
            assert f"[{field.metadata['unit']}" in entry


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS)
def test_the_recipe_of_a_command_is_its_defaults(command, tmp_path):
    printed = subprocess.run(
        [sys.executable, "-m", *command.split(), "--print_config"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    path = tmp_path / "recipe.yaml"
    path.write_text(printed)
    module, name = COMMANDS[command]
    config = getattr(importlib.import_module(module), name)
    assert read_options(config, ["--config", str(path)], prog="test", description="test") == config()


HUGE = "1" + "0" * 11
# Every option of a number that has no upper limit, and why it can do without one.
UNLIMITED = {
    "epochs": "takes time alone",
    "sample": "at most the units that there are",
    "composites": "held against the memory that is free",
    "n_units": "at most the units that there are",
    "n_control_stimuli": "at most n_stimuli",
    "tuning_networks": "at most the networks that there are",
    "gradient_steps": "at most the steps that there are",
    "n_objects": "scenes of so many are counted, and there are none",
    "steps": "at most the steps that there are",
    "channels": "at most the channels that there are",
    "y": "at most the rows that there are",
    "x": "at most the columns that there are",
}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "experiments.tuning.protocol.Config",
            "experiments.activity_scaling.protocol.Config",
            "experiments.inhibition_of_return.protocol.Config",
        ),
        *("experiments.reproduce.run.Config", "evaluation.config.DigitsConfig", "evaluation.config.ScenesConfig"),
        *("training.config.DigitsConfig", "training.config.ScenesConfig", "training.config.SweepConfig"),
        *("recording.make.MakeConfig", "stimuli.config.ShowConfig", "stimuli.config.IndexConfig"),
        "figures.__main__.TrainingConfig",
    ],
)
def test_no_whole_number_is_without_a_limit(name):
    module, _, config = f"neuroattn.{name}".rpartition(".")
    config = getattr(importlib.import_module(module), config)
    hints = typing.get_type_hints(config)
    numbers = {
        field.name: field.metadata["high"]
        for field in dataclasses.fields(config)
        if re.search(r"\bint\b", str(hints[field.name]))
    }
    assert {name for name, high in numbers.items() if high is None} <= UNLIMITED.keys()


@pytest.mark.parametrize(
    ("config", "options", "text"),
    [
        (tuning.Config, ["--n_resamples", HUGE], f"n_resamples must be in [100, 100000], got {HUGE}"),
        (tuning.Config, ["--n_x", "100000"], "n_x must be in [2, 1000], got 100000"),
        (tuning.Config, ["--batch_size", "100000000"], "batch_size must be in [2, 10000], got 100000000"),
        (DigitsConfig, ["--hidden", HUGE, "5"], f"hidden must be in [1, 10000], got {HUGE}"),
        (DigitsConfig, ["--batch_size", HUGE], f"batch_size must be in [1, 10000], got {HUGE}"),
    ],
)
def test_numbers_that_are_a_slip(capsys, config, options, text):
    with pytest.raises(SystemExit):
        read_options(config, options, prog="test", description="test")
    assert capsys.readouterr() == ("", f"error: {text}\n")
