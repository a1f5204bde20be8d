"""Errors whose whole text is matched."""

from __future__ import annotations

import re

import pytest


def refused(text, error=ValueError):
    """Return the context in which an error with exactly this text is raised; a star leaves its end open."""
    return pytest.raises(error, match=f"^{re.escape(text.removesuffix('*'))}" + ("" if text.endswith("*") else "$"))
