"""Files that are written whole or not at all, whatever the disk does and whatever lies in the way."""

from __future__ import annotations

import errno
import os
import re

import pandas as pd
import pytest
import torch
from refused import refused
from safetensors.torch import save_file

from neuroattn.runs.output_file import UNFINISHED, WriteError, replacing, require_folder, require_new, write_csv


def with_torch(path):
    with path.open("wb") as file:
        torch.save({"a": torch.zeros(10**6)}, file)


WRITERS = {
    "text": lambda path: path.write_text("x" * 4_000_000),
    "safetensors": lambda path: save_file({"a": torch.zeros(10**6)}, path),
    "torch": with_torch,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_the_former_file(disk, writer):
    tiny = disk("512k")
    goal = tiny / f"goal.{writer}"
    goal.write_text("former")
    text = f"{str(goal)!r} could not be written (No space left on device) and is as it was before"
    with pytest.raises(WriteError, match=f"^{re.escape(text)}$"), replacing(goal) as file:
        WRITERS[writer](file)
    assert goal.read_text() == "former"
    assert [path.name for path in tiny.iterdir()] == [goal.name]


def test_the_new_file_has_the_users_permissions_and_a_name_that_is_not_the_goals(tmp_path):
    goal = tmp_path / "table.csv.gz"
    mask = os.umask(0o027)
    try:
        with replacing(goal) as file:
            assert file.parent == tmp_path
            assert re.fullmatch(re.escape(UNFINISHED) + r"[0-9a-f]{16}\.csv\.gz", file.name)
            assert not goal.exists()
            file.write_text("new")
    finally:
        os.umask(mask)
    assert goal.read_text() == "new"
    assert goal.stat().st_mode & 0o777 == 0o640


def test_links_are_replaced_and_not_followed(tmp_path):
    precious, goal = tmp_path / "precious", tmp_path / "run.json"
    precious.write_text("precious")
    goal.symlink_to(precious)
    (tmp_path / "run.json.part").symlink_to(precious)
    with replacing(goal) as file:
        file.write_text("new")
    assert (precious.read_text(), goal.read_text()) == ("precious", "new")
    assert not goal.is_symlink()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a column is missing")])
def test_an_error_that_is_not_the_systems_stays_what_it_is(tmp_path, error):
    goal = tmp_path / "goal"

    def fail():
        with replacing(goal) as file:
            file.write_text("half")
            raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error
    assert [*tmp_path.iterdir()] == []


def test_what_was_given_is_not_taken_for_the_disk(tmp_path):
    def fail():
        try:
            (tmp_path / "missing").read_text()
        except OSError:
            raise ValueError("a column is missing")  # noqa: B904 -- as libraries do

    with pytest.raises(ValueError, match=r"^a column is missing$"), replacing(tmp_path / "goal"):
        fail()


def test_a_number_of_the_system_in_a_text_is_understood(tmp_path):
    goal = tmp_path / "goal"
    text = f"{str(goal)!r} could not be written (Disk quota exceeded) and is as it was before"
    with pytest.raises(WriteError, match=f"^{re.escape(text)}$"), replacing(goal):
        raise RuntimeError(f"codec failed (os error {errno.EDQUOT})")


def test_files_to_write_are_neither_links_nor_devices(tmp_path):
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(fifo)
    for path in (link, fifo):
        text = f"out must be a file, got {str(path)!r}, which is a link or a device; name a new file"
        with refused(text):
            require_folder("out", str(path))
        text = f"out must be a file that does not exist, got {str(path)!r}"
        with refused(text):
            require_new("out", str(path))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\r=1", "\\r=1"),
        ("a=b", "a=b"),
        ("", None),
    ],
)
@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_texts_that_a_spreadsheet_would_take_for_formulas(tmp_path, text, written, dtype):
    table = pd.DataFrame({"text": pd.Series([text, "plain", None], dtype=dtype), "number": [-1.5, 2, float("nan")]})
    write_csv(table, tmp_path / "table.csv")
    read = pd.read_csv(tmp_path / "table.csv")
    assert read["text"].replace({float("nan"): None}).tolist() == [written, "plain", None]
    assert read["number"].tolist()[:2] == [-1.5, 2]
    assert table["text"].iloc[0] == text
