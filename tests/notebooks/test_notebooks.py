"""Every notebook runs from its first cell to its last, and says what its numbers are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return where all notebooks run, so that the second to need a run finds that of the first."""
    return tmp_path_factory.mktemp("notebooks")


def test_every_notebook_runs_and_says_what_its_numbers_are(folder):
    """One test, for one worker: a second one would run them all again, or wait."""
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(NOTEBOOKS[0].parents[1])}
    shown = {}
    for file in NOTEBOOKS:
        command = [sys.executable, "-W", "ignore", str(file)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{file.name}: {done.stderr}"
        shown[file.stem] = (done.stdout.splitlines() or [""])[-1]
    require_a_table_and_a_figure_of_pictures(shown, folder)
    require_a_number_by_hand_is_that_of_the_run(shown, folder)
    require_a_silent_gate_weakens_the_preference_for_the_cued_digit(shown)
    require_every_network_inhibits_the_other_digit_more(shown)
    require_a_module_stands_beside_a_shipped_network(shown)


def require_a_table_and_a_figure_of_pictures(shown, folder):
    table = pd.read_csv(folder / "first-look.csv")
    assert table.groupby("file_name").size().to_dict() == {"disc.png": 10, "none.png": 10, "two.png": 10}
    assert (folder / "first-look.png").is_file()
    assert shown["first-look"] == ""


def require_a_number_by_hand_is_that_of_the_run(shown, folder):
    assert shown["one-unit"].startswith("statistics.csv: ")
    assert (folder / "runs" / "small-tuning" / "report.html").is_file()
    median = re.search(r"stage1/response (-?[\d.]+)", shown["units-table"])
    assert median is not None
    assert median[1] == shown["one-unit"].split()[1]


def require_a_silent_gate_weakens_the_preference_for_the_cued_digit(shown):
    numbers = r"last step, silenced less intact: (\S+) \[\S+, (\S+)\] logits, 30 stimuli"
    assert (found := re.fullmatch(numbers, shown["silence-a-gate"])) is not None
    assert float(found[2]) < 0


def require_every_network_inhibits_the_other_digit_more(shown):
    networks = re.findall(r"digits-\d (\S+?)(?:,|$)", shown["compare-networks"])
    assert len(networks) == 3
    assert all(float(value) > 0.5 for value in networks)


def require_a_module_stands_beside_a_shipped_network(shown):
    assert shown["own-module"].startswith("correlations of 120 pairs: the networks 0.")
