"""Who imports whom, read from the syntax trees: every import counts, wherever in a file it stands."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "neuroattn"
# What each folder may import beside itself and what lies below all: names of dims, files of a run, options, where to
# compute. Doors (`__main__`) stand on top of everything, and nobody imports them.
BELOW = ("dims", "runs", "command", "compute")
ALLOWED = {
    "runs": set(),
    "command": {"runs"},
    "compute": set(),
    "stimuli": {*BELOW},
    "models": {*BELOW},
    "statistics": {*BELOW},
    "figures": {*BELOW, "statistics"},
    "subjects": {*BELOW, "stimuli", "models"},
    "recording": {*BELOW, "stimuli", "models", "subjects"},
    "explorer": {*BELOW, "stimuli", "models", "subjects", "recording"},
    "training": {*BELOW, "stimuli", "models"},
    "evaluation": {*BELOW, "stimuli", "models", "statistics", "figures", "subjects"},
    "experiments": {
        *BELOW, "stimuli", "models", "statistics", "figures", "subjects", "recording", "explorer", "training",
        "evaluation",
    },
}  # fmt: skip
VERBS = ("command", "verbs")  # runs doors by their names, and so stands on top like them
PROTOCOLS = {path.parent.name for path in PACKAGE.glob("experiments/*/__main__.py")}


def imported(source, package="neuroattn"):
    """Return the modules of the package that a source text imports, ``from neuroattn.a import b`` as neuroattn.a.b."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [
                f"{node.module}.{alias.name}"
                if node.module == package or _is_module(node.module, alias.name)
                else node.module
                for alias in node.names
            ]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] == package)
    return found


def _is_module(package, name):
    path = PACKAGE.parent.joinpath(*package.split("."), name)
    return path.is_dir() or path.with_suffix(".py").is_file()


def violations(module, names):
    """Return the imports that a module (its parts below the package) may not make."""
    where = module[0]
    if module[-1] == "__main__":
        return {name for name in names if name.endswith("__main__")}
    if len(module) == 1:
        return names
    if module in {("runs", "provenance"), VERBS}:
        names = names - {"neuroattn"}  # for its version
    within = ALLOWED[where] | {where}
    return {
        name
        for name in names
        if name == "neuroattn"
        or name.split(".")[1] not in within
        or name.endswith((".__main__", ".".join(("", *VERBS))))
    }


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
    assert folders == ALLOWED.keys()
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "dims"}


def test_no_import_hides_behind_a_name():
    """What is imported or run by its name is no import statement: verbs and protocols alone may be."""
    by_name = {
        path.relative_to(PACKAGE).with_suffix("").parts
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
        and re.search(r"import_module|__import__|\brunpy\b|lazy_loader|pkgutil", path.read_text())
    }
    optional = {("recording", "export", "rsatoolbox_dataset"), ("explorer", "widget")}  # a library that may be missing
    assert by_name == {VERBS, ("experiments", "run"), *optional}
    packages = {
        ast.dump(ast.Module(ast.parse(path.read_text()).body[1:], []))
        for path in PACKAGE.rglob("*/__init__.py")
        if not path.with_suffix(".pyi").exists()  # which lists names of functions, too
    }
    assert len(packages) == 1  # each lists its own modules, and differs from the others in its docstring alone


def test_folders_form_no_circle():
    order = list(ALLOWED)
    for folder, below in ALLOWED.items():
        assert all(order.index(name) < order.index(folder) for name in below - {"dims"}), folder


def test_modules_form_no_circle():
    """Imports for types alone count, too: two modules that name each other are one idea, or three."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py":
            name = ".".join(("neuroattn", *path.relative_to(PACKAGE).with_suffix("").parts))
            graph[name] = imported(path.read_text())
    known = {name: {below for below in names if below in graph} for name, names in graph.items()}
    assert tuple(graphlib.TopologicalSorter(known).static_order())  # raises CycleError, naming the circle


def test_no_protocol_imports_another():
    folder = PACKAGE / "experiments"
    for path in folder.rglob("*.py"):
        imports = {
            name.split(".")[2] for name in imported(path.read_text()) if name.startswith("neuroattn.experiments.")
        }
        assert not (imports & PROTOCOLS) - {path.parent.name}, path.name


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_knows_public_names_alone(path):
    """Neither imports them nor patches them by name; the linter looks at attributes."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neuroattn"):
            found |= {*node.module.split("."), *(alias.name for alias in node.names)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"setattr", "object"}:
            texts = [part.value for part in node.args[:2] if isinstance(part, ast.Constant)]
            found |= {name for text in texts if isinstance(text, str) for name in text.split(".")}
    assert not {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_no_module_is_named_after_nothing():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"util", "utils", "helper", "helpers", "common", "misc"}


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("models.gated", "from neuroattn.statistics.tuning_curve import fit", {"neuroattn.statistics.tuning_curve"}),
        ("models.gated", "def f():\n    import neuroattn.subjects.tap as t", {"neuroattn.subjects.tap"}),
        ("statistics.a", "if X:\n    from neuroattn.stimuli import digits", {"neuroattn.stimuli.digits"}),
        ("stimuli.a", "from neuroattn import models", {"neuroattn.models"}),
        ("figures.a", "import neuroattn", {"neuroattn"}),
        ("dims", "from neuroattn.command.option import option", {"neuroattn.command.option"}),
        ("recording.a", "from neuroattn.experiments import tuning", {"neuroattn.experiments.tuning"}),
        ("recording.a", "from neuroattn import dims\nfrom neuroattn.stimuli.digits import x\nimport numpy", set()),
        ("runs.provenance", "import neuroattn", set()),
        ("stimuli.__main__", "from neuroattn.figures import scenes", set()),
        ("training.a", "from neuroattn.training.__main__ import main", {"neuroattn.training.__main__"}),
        ("training.a", "from neuroattn.command.verbs import main", {"neuroattn.command.verbs"}),
        ("command.line", "from neuroattn.command import verbs", {"neuroattn.command.verbs"}),
        ("__main__", "from neuroattn.command.verbs import main", set()),
        ("__main__", "from neuroattn.training.__main__ import main", {"neuroattn.training.__main__"}),
    ],
)
def test_that_a_violation_would_be_seen(module, source, expected):
    assert violations(tuple(module.split(".")), imported(source)) == expected
