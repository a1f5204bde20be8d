"""The small network of the recorder's tests, what it is shown, and what stops it."""

from recording.conftest import by_hand, images, network, stimuli, stopped

__all__ = ["by_hand", "images", "network", "stimuli", "stopped"]
