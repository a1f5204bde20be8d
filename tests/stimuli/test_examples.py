"""Every public name of the folder has an example, and what it shows is what comes out."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from neuroattn import stimuli

MODULES = [name for _, name, _ in pkgutil.iter_modules(stimuli.__path__) if name not in {"__main__", "config", "shown"}]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_an_example_that_is_true(name, tmp_path, monkeypatch):
    module = importlib.import_module(f"neuroattn.stimuli.{name}")
    for public, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__ and not public.startswith("_")
        if own and callable(value) and inspect.getdoc(value):
            assert ">>>" in inspect.getdoc(value), public
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert doctest.testmod(module).failed == 0
