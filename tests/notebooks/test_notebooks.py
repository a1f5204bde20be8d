"""Every notebook runs from its first cell to its last, and says what its numbers are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))


@pytest.fixture(scope="session")
def folder(made_once):
    """Return where all notebooks ran, so that the second to need a run found that of the first."""
    return made_once("notebooks", _run_all)


def _run_all(folder):
    folder.mkdir()
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(NOTEBOOKS[0].parents[1])}
    lines = {}
    for file in NOTEBOOKS:
        command = [sys.executable, "-W", "ignore", str(file)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{file.name}: {done.stderr}"
        lines[file.stem] = (done.stdout.splitlines() or [""])[-1]
    (folder / "shown.json").write_text(json.dumps(lines))


@pytest.fixture
def shown(folder):
    """Return the last line of what each notebook prints."""
    return json.loads((folder / "shown.json").read_text())


def test_a_table_and_a_figure_of_pictures(shown, folder):
    table = pd.read_csv(folder / "first-look.csv")
    assert table.groupby("file_name").size().to_dict() == {"disc.png": 10, "none.png": 10, "two.png": 10}
    assert (folder / "first-look.png").is_file()
    assert shown["first-look"] == ""


def test_a_number_by_hand_is_that_of_the_run(shown, folder):
    assert shown["one-unit"].startswith("statistics.csv: ")
    assert (folder / "runs" / "small-tuning" / "report.html").is_file()
    median = re.search(r"stage1/response (-?[\d.]+)", shown["units-table"])
    assert median is not None
    assert median[1] == shown["one-unit"].split()[1]


def test_a_silent_gate_weakens_the_preference_for_the_cued_digit(shown):
    numbers = r"last step, silenced less intact: (\S+) \[\S+, (\S+)\] logits, 30 stimuli"
    assert (found := re.fullmatch(numbers, shown["silence-a-gate"])) is not None
    assert float(found[2]) < 0


def test_every_network_inhibits_the_other_digit_more(shown):
    networks = re.findall(r"digits-\d (\S+?)(?:,|$)", shown["compare-networks"])
    assert len(networks) == 3
    assert all(float(value) > 0.5 for value in networks)


def test_a_module_stands_beside_a_shipped_network(shown):
    assert shown["own-module"].startswith("correlations of 120 pairs: the networks 0.")
