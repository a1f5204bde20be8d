"""The README: short, its commands where CI looks for them, its links alive, its examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("name", ["run", "tests"])
def test_the_commands_of_the_quick_start_stand_below_their_markers(name):
    found = re.search(rf"^<!-- quick start: {name} -->\n```bash\n(python3 -m venv .+)\n```$", README, re.MULTILINE)
    assert found is not None


def test_files_that_it_links_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.slow
def test_examples_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    examples = re.findall(r"^```python\n(.+?)^```$", README, re.MULTILINE | re.DOTALL)
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert len(examples) == 2
    assert names["tree"]["stage1/response"]["activation"].dims == ("presentation", "time_step", "neuroid")
    assert capsys.readouterr().out.startswith("SUPPORTED")
