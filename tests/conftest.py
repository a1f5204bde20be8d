"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
