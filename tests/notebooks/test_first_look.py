"""The notebook runs from its first cell to its last, and its number by hand is the protocol's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "first-look.py"


@pytest.mark.slow
def test_every_cell_runs(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(NOTEBOOK.parents[1])}
    command = [sys.executable, "-W", "ignore", str(NOTEBOOK)]
    # Once with a run to make, and once with the one that is there.
    for _ in range(2):
        shown = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[-2].startswith("by hand: median index ")
    assert lines[-1].startswith("statistics.csv: ")
    assert (tmp_path / "runs" / "first-look" / "report.html").is_file()
