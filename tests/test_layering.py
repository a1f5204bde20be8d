"""Who imports whom, read from the syntax trees: every import counts, wherever in a file it stands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "neuroattn"
ROOT = {
    *("labels", "options", "provenance", "device", "command_line", "run_folder", "output_file", "dask_client"),
    *("local_path", "memory", "yaml_file"),
}
# What each folder may import beside itself and the modules of the root.
ALLOWED = {
    "stimuli": set(),
    "models": set(),
    "statistics": set(),
    "figures": {"statistics"},
    "recording": {"stimuli", "models"},
    "training": {"stimuli", "models"},
    "evaluation": {"stimuli", "models", "statistics"},
    "experiments": {"stimuli", "models", "statistics", "figures", "recording", "training", "evaluation"},
}
# The command that draws runs shows what their networks do, and those for scenes draw a sheet of them and a confusion
# matrix; the figures themselves know only tables and arrays.
ALLOWED_IN_MODULE = {
    ("figures", "__main__"): {"stimuli", "models"},
    ("stimuli", "__main__"): {"figures"},
    ("evaluation", "scenes_run"): {"figures"},
}
# The root imports nothing of ours, but for these.
ALLOWED_IN_ROOT = {
    "provenance": {"neuroattn"},
    "command_line": {"neuroattn.options", "neuroattn.output_file", "neuroattn.yaml_file"},
    "options": {"neuroattn.local_path"},
    "run_folder": {"neuroattn.local_path", "neuroattn.output_file"},
    "output_file": {"neuroattn.options"},
}


def imported(source, package="neuroattn"):
    """Return the modules of the package that a source text imports, ``from neuroattn import a`` as neuroattn.a."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{package}.{alias.name}" for alias in node.names] if node.module == package else [node.module]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] == package)
    return found


def violations(module, names):
    """Return the imports that a module (its parts below the package) may not make."""
    where = module[0]
    if len(module) == 1:
        return names - ALLOWED_IN_ROOT.get(where, set())
    within = ROOT | ALLOWED[where] | ALLOWED_IN_MODULE.get(module, set()) | {where}
    return {name for name in names if name == "neuroattn" or name.split(".")[1] not in within}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield pytest.param(path, parts, id=".".join(parts))


@pytest.mark.parametrize(("path", "parts"), list(modules()))
def test_a_module_imports_only_what_lies_below_it(path, parts):
    assert violations(parts, imported(path.read_text())) == set()


def test_every_folder_and_module_of_the_root_has_its_place():
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert folders <= ALLOWED.keys()
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT | {"__init__"}


def test_no_protocol_imports_another():
    folder = PACKAGE / "experiments"
    for path in folder.glob("*.py"):
        others = {name for name in imported(path.read_text()) if name.startswith("neuroattn.experiments")}
        known = ("protocol", "report", "run_file", "scene_stimuli", "comparability")
        parts = {f"neuroattn.experiments.{part}" for part in known}
        assert others <= parts, path.name


def test_no_module_is_named_after_nothing():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"util", "utils", "helper", "helpers", "common", "misc"}


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("models.gated", "from neuroattn.statistics.tuning import fit", {"neuroattn.statistics.tuning"}),
        ("models.gated", "def f():\n    import neuroattn.recording.tap as t", {"neuroattn.recording.tap"}),
        ("statistics.a", "if X:\n    from neuroattn.stimuli import digits", {"neuroattn.stimuli"}),
        ("stimuli.a", "from neuroattn import models", {"neuroattn.models"}),
        ("figures.a", "import neuroattn", {"neuroattn"}),
        ("labels", "from neuroattn.options import option", {"neuroattn.options"}),
        ("recording.a", "from neuroattn.experiments import tuning", {"neuroattn.experiments"}),
        ("recording.a", "from neuroattn import labels\nfrom neuroattn.stimuli.digits import x\nimport numpy", set()),
        ("provenance", "import neuroattn", set()),
    ],
)
def test_that_a_violation_would_be_seen(module, source, expected):
    assert violations(tuple(module.split(".")), imported(source)) == expected
