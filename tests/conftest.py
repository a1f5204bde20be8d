"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tests", deadline=None)  # other tests share the cores: how long one takes says nothing
settings.load_profile("tests")
if "PYTEST_XDIST_WORKER" in os.environ:  # every core has a process of its own, and torch must not take it another's
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REFERENCE = Path(os.environ.get("NEUROATTN_REFERENCE", Path(__file__).resolve().parents[2] / "shared"))


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
