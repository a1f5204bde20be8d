"""Where a bar shows."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from neuroattn.compute import progress as progress_module
from neuroattn.compute.progress import progress


@pytest.mark.parametrize("notebook", [True, False])
def test_a_bar_shows_in_jupyter_and_not_in_a_file(notebook, monkeypatch, capsys):
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    else:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress("recording digits-0", "stimulus", total=7) as bar:
        bar.update(3)
        bar.refresh()
    assert ("recording digits-0:  43%" in capsys.readouterr().err) == notebook


def test_every_bar_is_this_one():
    package = Path(progress_module.__file__).parents[1]
    bars = {path.name for path in package.rglob("*.py") if re.search(r"\btqdm\(", path.read_text())}
    assert bars == {"progress.py"}
