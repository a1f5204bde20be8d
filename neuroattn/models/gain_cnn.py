"""A plain convolutional network whose units a gain can multiply: feed-forward, without any mechanism of attention.

    a[l] = relu(conv[l](x[l]))·gain[l],   x[l + 1] = pool(a[l]),   h = relu(dense(x[L + 1]))

Convolutions are 3 × 3 with padding 1; the first stage is not pooled, the others are, by 2 × 2. ``readout`` names the
class of a digit from h; each of ten ``detectors`` says from h alone whether its class is there. ``tuning{l}`` holds the
tuning of every channel to every class, which a gain may go by (`neuroattn.subjects.gain`).

The attention after Lindsay & Miller 2018, eLife 7:e38105, who take VGG-16; sizes here are ours.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from neuroattn.models.about import About
from neuroattn.runs.plain_text import shown

KIND = "gain-cnn"
KINDS = ("feature", "place")
MOST_CHANNELS = 1024
N_STAGES = 4


@dataclass(frozen=True, kw_only=True)
class GainConfig:
    """Sizes of a network that a gain can act on.

    Attributes
    ----------
    size
        Channels, height and width (px) of the image.
    channels
        Feature channels of the four stages, bottom up.
    dense
        Units of the dense layer.
    classes
        Of the read-out.

    Examples
    --------
    >>> GainConfig().weight_shapes["dense.weight"]
    (64, 960)
    """

    size: tuple[int, int, int] = (1, 28, 42)
    channels: tuple[int, int, int, int] = (8, 16, 32, 64)
    dense: int = 64
    classes: int = 10

    def __post_init__(self) -> None:
        """Check that every size can be had."""
        for name in ("size", "channels", "dense", "classes"):
            value = getattr(self, name)
            parts = value if isinstance(value, tuple) else (value,)
            if not all(1 <= part <= MOST_CHANNELS for part in parts):
                raise ValueError(f"{name} must be from 1 to {MOST_CHANNELS}, got {shown(value)}")
        if min(self._pooled) < 1:
            raise ValueError(f"size must be at least 8 × 8 px for {N_STAGES} stages, got {shown(self.size)}")

    @property
    def _pooled(self) -> tuple[int, int]:
        factor = 2 ** (N_STAGES - 1)
        return self.size[1] // factor, self.size[2] // factor

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a network's weights and tuning, by their names in its state dict."""
        shapes: dict[str, tuple[int, ...]] = {}
        below = self.size[0]
        for index, channels in enumerate(self.channels):
            shapes[f"stages.{index}.conv.weight"] = (channels, below, 3, 3)
            shapes[f"stages.{index}.conv.bias"] = (channels,)
            shapes[f"tuning{index + 1}"] = (self.classes, channels)
            below = channels
        shapes |= {"dense.weight": (self.dense, self._units), "dense.bias": (self.dense,)}
        for head in ("readout", "detectors"):
            shapes |= {f"{head}.weight": (self.classes, self.dense), f"{head}.bias": (self.classes,)}
        return shapes

    @property
    def _units(self) -> int:
        return self.channels[-1] * self._pooled[0] * self._pooled[1]

    def to_json(self) -> str:
        """Return the sizes as a JSON object."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_values(cls, values: object) -> GainConfig:
        """Return the sizes of what `to_json` wrote, decoded, or raise ValueError."""
        return msgspec.convert(values, cls)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """How attention acts on a network: what the gain goes by, at which stages, how strongly.

    Attributes
    ----------
    kind
        ``feature``: the tuning of a channel to the class of the attended object, alike at all places. ``place``: the
        side of the attended object, alike for all channels.
    layer
        Stage, from 1; 0: all of them, each at a tenth of the strength, as Lindsay & Miller do.
    strength
        β, from 0.
    positive_only
        Whether units are never turned down.

    Examples
    --------
    >>> Attention.from_text("place,layer=1,strength=0.4")
    Attention(kind='place', layer=1, strength=0.4, positive_only=False)
    """

    kind: str = "feature"
    layer: int = N_STAGES
    strength: float = 0.5
    positive_only: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        if self.kind not in KINDS:
            raise ValueError(f"kind of attention must be one of {', '.join(KINDS)}, got {shown(self.kind)}")
        if self.layer not in range(N_STAGES + 1):
            raise ValueError(f"layer must be a stage, 1 to {N_STAGES}, or 0 for all, got {shown(self.layer)}")
        if not 0 <= self.strength <= 100:  # not NaN either
            raise ValueError(f"strength must be in [0, 100], got {shown(self.strength)}")

    @classmethod
    def from_text(cls, text: str) -> Attention:
        """Return what stands behind the colon of a name: ``place,layer=1,strength=0.4,positive_only``.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        kind, *parts = text.split(",")
        if kind not in KINDS:
            raise ValueError(f"kind of attention must be one of {', '.join(KINDS)}, got {shown(kind)}")
        # A stage of its own where none is named: place gain acts where fields are small enough to tell places apart.
        given: dict[str, Any] = {"layer": 1} if kind == "place" else {}
        for part in parts:
            match = re.fullmatch(r"layer=([0-9])|strength=([0-9]{1,3}(?:\.[0-9]{1,6})?)|(positive_only)", part)
            if match is None:
                raise ValueError(
                    f"options of attention must be layer=0 to {N_STAGES}, strength=NUMBER or positive_only, got "
                    f"{shown(part)}; write NAME:place,layer=1,strength=0.4"
                )
            if match[1]:
                given["layer"] = int(match[1])
            elif match[2]:
                given["strength"] = float(match[2])
            else:
                given["positive_only"] = True
        return cls(kind=kind, **given)


class Stage(nn.Module):
    """A convolution and its rectified response.

    Examples
    --------
    >>> Stage(1, 8)(torch.zeros(3, 1, 28, 42)).shape
    torch.Size([3, 8, 28, 42])
    """

    def __init__(self, below: int, channels: int) -> None:
        super().__init__()
        self.conv, self.response = nn.Conv2d(below, channels, 3, padding=1), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the response (batch, channel, y, x)."""
        response: torch.Tensor = self.response(self.conv(x))
        return response


class GainCNN(nn.Module):
    """A plain convolutional network; see the module's text.

    Parameters
    ----------
    config
        Sizes.
    name, seed
        What recordings call it, and the seed it was trained from.

    Attributes
    ----------
    attention
        How attention acts where one is directed to an object.
    about
        What its file says of its training.

    Examples
    --------
    >>> network = GainCNN(GainConfig())
    >>> network(torch.zeros(3, 1, 28, 42)).shape
    torch.Size([3, 10])
    """

    def __init__(self, config: GainConfig, *, name: str = "network", seed: int | None = None) -> None:
        super().__init__()
        self.config, self.name, self.seed = config, name, seed
        self.attention, self.about = Attention(), About()
        below = (config.size[0], *config.channels[:-1])
        self.stages = nn.ModuleList([Stage(*pair) for pair in zip(below, config.channels, strict=True)])
        _, units = config.weight_shapes["dense.weight"]
        self.dense = nn.Linear(units, config.dense)
        self.readout = nn.Linear(config.dense, config.classes)
        self.detectors = nn.Linear(config.dense, config.classes)
        for number, channels in enumerate(config.channels, 1):
            self.register_buffer(f"tuning{number}", torch.zeros(config.classes, channels))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.dense.weight.device

    def tuning(self, number: int) -> torch.Tensor:
        """Return the tuning (class, channel) of the channels of stage `number`, from 1, in -1 to 1."""
        found: torch.Tensor = getattr(self, f"tuning{number}")
        return found

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the responses (batch, unit) of the dense layer."""
        x = images
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index:
                x = nn.functional.max_pool2d(x, 2)
        return torch.relu(self.dense(x.flatten(1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, class) of the class of a digit."""
        logits: torch.Tensor = self.readout(self.features(images))
        return logits

    def detect(self, images: torch.Tensor) -> torch.Tensor:
        """Return for every class the logit (batch, class) that it is there, each from a read-out of its own."""
        logits: torch.Tensor = self.detectors(self.features(images))
        return logits
