"""The one line that refuses wrong input."""

from __future__ import annotations

import re

import pytest


def refused(text, error=ValueError):
    """Expect an error of which `text` is the whole text; a star leaves its end open."""
    return pytest.raises(error, match=f"^{re.escape(text.removesuffix('*'))}" + ("" if text.endswith("*") else "$"))
