"""Fixtures that several test modules share, and the order of tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("tests", deadline=None)  # other tests share the cores: how long one takes says nothing
settings.load_profile("tests")
if "PYTEST_XDIST_WORKER" in os.environ:  # every core has a process of its own, and torch must not take it another's
    os.environ.setdefault("OMP_NUM_THREADS", "1")

DURATIONS = Path(__file__).resolve().parents[1] / ".test_durations"
LONG = 5.0  # seconds
REFERENCE = Path(os.environ.get("NEUROATTN_REFERENCE", Path(__file__).resolve().parents[2] / "shared"))

OPTIONS_OF_TWO = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": ["shuffled_gates"]}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store-durations", action="store_true", help=f"write how long tests took to {DURATIONS.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: one that came last would leave the other cores without work."""
    known = json.loads(DURATIONS.read_text())
    seconds = {item: known.get(item.nodeid, 0.0) for item in items}
    items.sort(key=lambda item: -seconds[item] if seconds[item] > LONG else 0.0)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Write the seconds, set-up included, of tests that take one or more; those that did not run keep theirs."""
    if not config.getoption("--store-durations"):
        return
    took: dict[str, float] = {}
    for report in (one for outcome in ("passed", "", "failed") for one in terminalreporter.stats.get(outcome, [])):
        took[report.nodeid] = took.get(report.nodeid, 0.0) + report.duration
    known = json.loads(DURATIONS.read_text()) | {name: round(seconds, 1) for name, seconds in took.items()}
    kept = {name: known[name] for name in sorted(known) if known[name] >= 1}
    DURATIONS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with the published weights, the golden arrays and MNIST; without it, tests that need it skip."""
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference data at {REFERENCE}; set NEUROATTN_REFERENCE to the folder that holds them")
    return REFERENCE


@pytest.fixture(scope="session")
def mnist(reference: Path) -> Path:
    """The folder with the four IDX files of MNIST."""
    return reference / "data" / "mnist"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str):
    """Return a function that gives the folder `name`, filled by the first worker that asks; no test may change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def folder(name: str, make):
        place = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.made").exists():
                shutil.rmtree(place, ignore_errors=True)  # a worker may have died on the way
                make(place)
                (shared / f"{name}.made").touch()
        return place

    return folder


@pytest.fixture(scope="session")
def run_of_two(made_once):
    """Return the folder of a finished run of inhibition of return on two networks."""

    def make(folder: Path):
        import neuroattn

        neuroattn.run("inhibition_of_return", models=["digits-0", "digits-1"], out=folder, **OPTIONS_OF_TWO)

    return made_once("run-of-two", make)


@pytest.fixture
def disk(tmp_path: Path):
    """Mount a file system of a size (``512k``), or give the one that was mounted another size; return its folder."""
    mount, umount, place = shutil.which("mount"), shutil.which("umount"), tmp_path / "disk"

    def sized(size: str) -> Path:
        options = f"size={size}" if not place.exists() else f"remount,size={size}"
        place.mkdir(exist_ok=True)
        command = [str(mount), "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a file system can be mounted by an administrator only")
        return place

    yield sized
    if place.is_mount():
        subprocess.run([str(umount), str(place)], check=True)
