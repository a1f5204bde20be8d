"""How much memory there is, and what is said where it does not suffice."""

from __future__ import annotations

from types import SimpleNamespace

from refused import refused

from neuroattn.compute import memory
from neuroattn.compute.memory import require_room


def test_memory_is_that_of_the_container(monkeypatch, tmp_path):
    limit, used, stat = (tmp_path / f"memory.{name}" for name in ("max", "current", "stat"))
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    assert memory.free_memory() == 10**9  # no container
    used.write_text("300\n")
    stat.write_text("anon 7\ninactive_file 40\nactive_file 10\n")
    limit.write_text("max\n")
    assert memory.free_memory() == 10**9
    limit.write_text("1000\n")
    assert memory.free_memory() == 750
    limit.write_text("200\n")
    assert memory.free_memory() == 0
    limit.write_text("1000\n")
    stat.unlink()
    assert memory.free_memory() == 10**9


def test_what_does_not_fit_is_refused_with_numbers(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 7 * 10**9)
    require_room("composites", 11, 7 * 10**9)
    text = "composites must fit in memory, got 11, which needs 7.01 GB, and 7 GB are free; give fewer"
    with refused(text):
        require_room("composites", 11, 7_010_000_000, "give fewer")
