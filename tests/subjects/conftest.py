"""The small network of the recorder's tests, and what stops it."""

from recording.conftest import images, network, stimuli, stopped

__all__ = ["images", "network", "stimuli", "stopped"]
