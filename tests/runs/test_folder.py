"""The folder of a run has one process at a time, and leaves no trace of one that was refused."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from refused import refused

from neuroattn.runs.folder import LOCK, alone, is_free

HOLDS = (
    "import sys; from pathlib import Path; from neuroattn.runs.folder import alone\nwith alone(Path(sys.argv[1])):\n"
)


@pytest.mark.process
def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path):
    folder = tmp_path / "new" / "run"
    code = HOLDS + "    print('in', flush=True); sys.stdin.readline()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "in\n"
        text = (
            f"out must be a folder that no other process works in, got {str(folder)!r}; let that one finish, or choose "
            "another folder"
        )
        with refused(text), alone(folder):
            pass
        assert [path.name for path in folder.iterdir()] == [LOCK]
        assert is_free(folder)
        process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert [*tmp_path.iterdir()] == []


@pytest.mark.process
def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path):
    code = HOLDS + "    Path(sys.argv[1], '.part-0123.csv').touch(); import os; os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert {path.name for path in tmp_path.iterdir()} == {LOCK, ".part-0123.csv"}
    assert is_free(tmp_path)
    with alone(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        (tmp_path / "result").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_folder_that_was_there_stays_and_one_that_was_made_goes_if_nothing_is_in_it(tmp_path):
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "mine", tmp_path / "new" / "deep"):
        with pytest.raises(ZeroDivisionError), alone(folder):
            raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_the_lock_follows_no_link(tmp_path):
    precious, folder = tmp_path / "precious", tmp_path / "run"
    precious.write_text("precious")
    folder.mkdir()
    (folder / LOCK).symlink_to(precious)
    text = f"out must be a folder that can be written, got {str(folder)!r} ("
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"), alone(folder):
        pass
    assert precious.read_text() == "precious"
