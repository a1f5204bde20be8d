"""What fixes a gated network but for its weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

RESIZE_MODES = ("nearest", "bicubic")


@dataclass(frozen=True, kw_only=True)
class GatedConfig:
    """Architecture of a gated network.

    Attributes
    ----------
    size
        Channels, height and width (px) of the image.
    channels
        Feature channels of each stage, bottom up.
    classes
        Number of classes of the read-out.
    kernel
        Side of every convolution's kernel (px); stride 1, no padding.
    resize
        How the top-down path resizes maps: ``nearest`` or ``bicubic`` (without aligned corners).
    strength
        Gate strength s in [0, 1]: a gate of 1 removes this fraction of a unit's input.
    steps
        Time steps T of a phase, at least 1.
    """

    size: tuple[int, int, int]
    channels: tuple[int, ...]
    classes: int
    kernel: int = 4
    resize: str = "nearest"
    strength: float = 0.2
    steps: int = 5

    def __post_init__(self) -> None:
        """Check every value and that the image is large enough for the stages."""
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"size must be (channels, height, width), each at least 1, got {self.size}")
        if not self.channels or min(self.channels) < 1:
            raise ValueError(
                f"channels must name at least one stage, each with at least 1 channel, got {self.channels}"
            )
        for name, least in (("classes", 1), ("kernel", 1), ("steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.resize not in RESIZE_MODES:
            raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}, got {self.resize!r}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be in [0, 1], got {self.strength:g}")
        if min(self.pooled_sizes[-1][1:]) < 1:
            raise ValueError(
                f"size {self.size} is too small for {len(self.channels)} stages with kernel {self.kernel}; "
                "use larger images, fewer stages or a smaller kernel"
            )

    @property
    def response_sizes(self) -> list[tuple[int, int, int]]:
        """(channel, y, x) of every stage's response a[l]."""
        sizes, (_, height, width) = [], self.size
        for channels in self.channels:
            height, width = height - self.kernel + 1, width - self.kernel + 1
            sizes.append((channels, height, width))
            height, width = height // 2, width // 2
        return sizes

    @property
    def pooled_sizes(self) -> list[tuple[int, int, int]]:
        """(channel, y, x) of every stage's pooled response x[l+1]."""
        return [(channels, height // 2, width // 2) for channels, height, width in self.response_sizes]

    @property
    def input_sizes(self) -> list[tuple[int, int, int]]:
        """(channel, y, x) of every stage's input x[l], which its gate shares."""
        return [self.size, *self.pooled_sizes[:-1]]

    def to_json(self) -> str:
        """Return the configuration as a JSON object."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> GatedConfig:
        """Return the configuration that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**given)


def digits_config(*, n_objects: int = 2, strength: float = 0.2, channels: tuple[int, ...] = (20, 50)) -> GatedConfig:
    """Return the paper's network for composites of `n_objects` digits (28 × (28 + 14·(n − 1)) px)."""
    if n_objects < 2:
        raise ValueError(f"n_objects must be at least 2, got {n_objects}")
    size = (1, 28, 28 + 14 * (n_objects - 1))
    return GatedConfig(size=size, channels=channels, classes=10, resize="nearest", strength=strength)


def scenes_config(*, strength: float = 0.3) -> GatedConfig:
    """Return the paper's network for 100 × 100 px colour photographs and 12 supercategories."""
    return GatedConfig(size=(3, 100, 100), channels=(30, 60, 100, 20), classes=12, resize="bicubic", strength=strength)


def n_digits(config: GatedConfig, name: str) -> int:
    """Return how many digits the images of a network hold.

    Parameters
    ----------
    config, name
        Of the network.

    Raises
    ------
    ValueError
        If the images are not those of composites of digits.
    """
    channels, height, width = config.size
    n_objects, rest = divmod(width - 14, 14)
    if (channels, height) != (1, 28) or rest or n_objects < 2 or config.classes != 10:
        raise ValueError(
            f"model {name!r} must take composites of digits, (1, 28, 28 + 14·(n - 1)) px and 10 classes, "
            f"got {config.size} px and {config.classes} classes"
        )
    return n_objects
