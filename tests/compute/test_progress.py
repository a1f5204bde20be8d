"""Where a bar shows."""

from __future__ import annotations

import sys
import types

import pytest

from neuroattn.compute.progress import progress


@pytest.mark.parametrize("notebook", [True, False])
def test_a_bar_shows_in_jupyter_and_not_in_a_file(notebook, monkeypatch, capsys):
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    else:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress(7, "recording digits-0", "stimulus") as bar:
        bar.update(3)
        bar.refresh()
    assert ("recording digits-0:  43%" in capsys.readouterr().err) == notebook
