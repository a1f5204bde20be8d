"""The configuration of a gated network: all that fixes it but its weights."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from numbers import Integral, Real

import msgspec

from neuroattn.runs.plain_text import shown

MOST_STEPS = 10_000
MOST_PLACEMENT = 2**29  # bytes; these matrices have no weights in a file, so a small file could ask for any size
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
        Time steps T of a phase, from 1 to 10,000.

    Examples
    --------
    >>> config = GatedConfig(size=(1, 28, 42), channels=(20, 50), classes=10)
    >>> config.layers
    {'stage1/response': (20, 25, 39), 'stage2/response': (50, 9, 16)}
    >>> config.n_weights
    82661
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
        for name in ("size", "channels", "classes", "kernel", "steps"):
            _require_whole(name, getattr(self, name))
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"size must be (channels, height, width), each at least 1, got {shown(self.size)}")
        if not self.channels or min(self.channels) < 1:
            raise ValueError(
                f"channels must name at least one stage, each with at least 1 channel, got {shown(self.channels)}"
            )
        for name in ("classes", "kernel", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {shown(getattr(self, name))}")
        if self.steps > MOST_STEPS:
            raise ValueError(f"steps must be at most {MOST_STEPS:,}, got {shown(self.steps)}")
        if self.resize not in RESIZE_MODES:
            raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}, got {shown(self.resize)}")
        if not _is_number(self.strength) or not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be in [0, 1], got {shown(self.strength)}")
        self._require_size()

    def _require_size(self) -> None:
        if min(self.pooled_sizes[-1][1:]) < 1:
            raise ValueError(
                f"size {shown(self.size)} is too small for {len(self.channels)} stages with kernel "
                f"{shown(self.kernel)}; use larger images, fewer stages or a smaller kernel"
            )
        if self.placement_bytes > MOST_PLACEMENT:
            raise ValueError(
                f"size {shown(self.size)} is too large with kernel {shown(self.kernel)}: the matrices that place maps "
                f"must take at most {MOST_PLACEMENT:,} bytes; use smaller images or a smaller kernel"
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
    def layers(self) -> dict[str, tuple[int, int, int]]:
        """(channel, y, x) of every stage's response, by the name of its variable, bottom up."""
        return {f"stage{number}/response": size for number, size in enumerate(self.response_sizes, 1)}

    @property
    def pooled_sizes(self) -> list[tuple[int, int, int]]:
        """(channel, y, x) of every stage's pooled response x[l+1]."""
        return [(channels, height // 2, width // 2) for channels, height, width in self.response_sizes]

    @property
    def input_sizes(self) -> list[tuple[int, int, int]]:
        """(channel, y, x) of every stage's input x[l], which its gate shares."""
        return [self.size, *self.pooled_sizes[:-1]]

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a network's weights, by their names in its state dict."""
        shapes: dict[str, tuple[int, ...]] = {}
        sides = (self.kernel, self.kernel)
        for index, (channels, (below, _, _)) in enumerate(zip(self.channels, self.input_sizes, strict=True)):
            gates = 1 if index == 0 else below
            shapes[f"stages.{index}.conv.weight"] = (channels, below, *sides)
            shapes[f"stages.{index}.conv.bias"] = (channels,)
            shapes[f"stages.{index}.top_down.deconv.weight"] = (2 * channels, gates, *sides)
            shapes[f"stages.{index}.top_down.deconv.bias"] = (gates,)
        units = math.prod(self.pooled_sizes[-1])
        readout = {"readout.weight": (self.classes, units), "readout.bias": (self.classes,)}
        return shapes | readout | {"feedback.weight": (units, self.classes), "feedback.bias": (units,)}

    @property
    def placement_bytes(self) -> int:
        """Bytes of the matrices that place maps on their way down (`neuroattn.models.top_down`)."""
        return 4 * sum(
            (target + self.kernel - 1) * source * self.kernel
            for response, pooled in zip(self.response_sizes, self.pooled_sizes, strict=True)
            for target, source in zip(response[1:], pooled[1:], strict=True)
        )

    @property
    def n_weights(self) -> int:
        """Number of weights, biases among them."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())

    def to_json(self) -> str:
        """Return the configuration as a JSON object."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> GatedConfig:
        """Return the configuration that `to_json` wrote; see `from_values`."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: object) -> GatedConfig:
        """Return the configuration of what `to_json` wrote, decoded.

        Raises
        ------
        ValueError
            If anything is missing, unknown, of the wrong type, or not allowed.
        """
        if isinstance(values, dict) and (unknown := values.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ValueError(f"unknown: {shown(min(unknown))}")
        return msgspec.convert(values, cls)


def _require_whole(name: str, value: object) -> None:
    parts = value if isinstance(value, tuple | list) else [value]
    if any(isinstance(part, bool) or not isinstance(part, Integral) for part in parts):
        allowed = "whole numbers" if parts is value else "a whole number"
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real)


def digits_config(*, n_objects: int = 2, strength: float = 0.2, channels: tuple[int, ...] = (20, 50)) -> GatedConfig:
    """Return the paper's network for composites of `n_objects` digits, 28 × (28 + 14·(n − 1)) px.

    >>> digits_config(n_objects=3).size
    (1, 28, 56)
    """
    if n_objects < 2:
        raise ValueError(f"n_objects must be at least 2, got {n_objects}")
    size = (1, 28, 28 + 14 * (n_objects - 1))
    return GatedConfig(size=size, channels=channels, classes=10, resize="nearest", strength=strength)


def scenes_config(*, strength: float = 0.3) -> GatedConfig:
    """Return the paper's network for 100 × 100 px colour photographs and 12 supercategories.

    >>> scenes_config().pooled_sizes
    [(30, 48, 48), (60, 22, 22), (100, 9, 9), (20, 3, 3)]
    """
    return GatedConfig(size=(3, 100, 100), channels=(30, 60, 100, 20), classes=12, resize="bicubic", strength=strength)
