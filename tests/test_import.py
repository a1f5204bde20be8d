"""What ``import neuroattn`` gives, and that it costs next to nothing."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import neuroattn

PACKAGE = Path(neuroattn.__file__).parent
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
ENVIRONMENT = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def python(code):
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.process
def test_it_is_quick_and_loads_no_library_and_every_module_on_demand():
    code = """
import sys, time
start = time.perf_counter()
import neuroattn
taken = time.perf_counter() - start
heavy = {'torch', 'numpy', 'scipy', 'pandas', 'xarray', 'zarr', 'matplotlib', 'jsonargparse'}
print(taken, *(heavy & set(sys.modules)))
assert neuroattn.statistics.curves.KAPPA_MAXIMUM == 50
assert 'torch' not in sys.modules
"""
    answers = [python(code).split() for _ in range(3)]
    assert [answer[1:] for answer in answers] == [[], [], []]
    assert min(float(answer[0]) for answer in answers) < 0.3


@pytest.mark.parametrize("name", neuroattn.__all__)
def test_every_public_name_resolves(name):
    value = getattr(neuroattn, name)
    assert inspect.getdoc(value)
    if inspect.ismodule(value):
        assert value.__name__ == f"neuroattn.{name}"
    else:
        assert value.__name__ == name
        assert getattr(importlib.import_module(value.__module__), name) is value


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: ".".join(path.relative_to(PACKAGE.parent).parts))
def test_the_modules_of_every_package_can_be_completed(path):
    package = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).parts))
    modules = {entry.stem for entry in path.glob("*.py")} | {entry.parent.name for entry in path.glob("*/__init__.py")}
    assert modules - {"__init__", "__main__"} <= set(dir(package))


def test_the_version_is_that_of_the_project():
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
    assert f'\nversion = "{neuroattn.__version__}"\n' in text


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"^No neuroattn attribute no_such_name$"):
        _ = neuroattn.no_such_name


def documented():
    """Yield every module of the package with its public functions and classes."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] != "__main__":
            module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
            own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
            yield (
                module,
                {
                    name: value
                    for name, value in own.items()
                    if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
                },
            )


def test_documents_of_every_public_function_and_class():
    """Every module, and every public class and function in one, says what it is."""
    for module, names in documented():
        assert module.__doc__, module.__name__
        assert [name for name, value in names.items() if not inspect.getdoc(value)] == [], module.__name__


def has_example(value):
    """Return whether there is an example that is run and shows its output."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")
    return any((example.want or example.exc_msg) and doctest.SKIP not in example.options for example in examples)


def is_record(value):
    """Return whether a class only holds values: the functions that return it show it."""
    return inspect.isclass(value) and (dataclasses.is_dataclass(value) or issubclass(value, tuple | msgspec.Struct))


@pytest.mark.parametrize(
    "name", [name for name in neuroattn.__all__ if not (PACKAGE / name).is_dir() and name != "dims"]
)
def test_every_public_name_has_an_example(name):
    assert has_example(getattr(neuroattn, name))


def test_every_statistic_and_every_part_of_a_model_has_an_example():
    without = [
        f"{module.__name__}.{name}"
        for module, names in documented()
        for name, value in names.items()
        if module.__name__.startswith(("neuroattn.statistics.", "neuroattn.models."))
        and not (is_record(value) or has_example(value))
    ]
    assert without == []
