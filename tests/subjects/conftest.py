"""The small network of the recorder's tests, and what stops it."""

from recording.conftest import network, stopped

__all__ = ["network", "stopped"]
