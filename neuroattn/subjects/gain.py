"""Attention as a gain on units, for any module: by the place of the attended object, or by what channels prefer.

    response·max(0, 1 + β·f)

f is 1 at the attended place and -1 at the others (`place_gain`), or the tuning of a channel to the class of the
attended object, from -1 to 1 (`feature_gain`); positive only, f below 0 is 0. Lindsay & Miller 2018, eLife 7:e38105.

A module becomes a subject whose states are ``neutral`` (no gain) and an attended object by a cue alone. Here is what a
user writes for the networks of torchvision or timm, whose layers are modules with maps as outputs::

    layers = ["layer1", "layer2", "layer3", "layer4"]
    model = neuroattn.TimedModule(
        torchvision.models.resnet18(weights="DEFAULT").eval(),
        variables={f"{name}/response": name for name in layers},
        mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], name="resnet18",
        cue=place_gain(["layer3"], strength=0.5),
    )

and for a recurrent network that goes over its areas at every time step, as CORnet does: an area that is called several
times in a pass has as many time steps, and the gain acts at each::

    model = neuroattn.TimedModule(
        cornet.cornet_rt(pretrained=True).module.eval(),
        variables={f"{area}/response": f"{area}.output" for area in ("V1", "V2", "V4", "IT")},
        mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], name="cornet-rt",
        cue=place_gain(["V4.output"], strength=0.5),
    )

For transformers see `neuroattn.subjects.token_maps`. Then ``neuroattn.run("activity_scaling", models=[model])``, or
`neuroattn.record` with ``design="cued"``.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from neuroattn.models.class_tuning import named_layers
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.tap import element, with_element
from neuroattn.subjects.timed_module import one_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from neuroattn.subjects.timed_module import Run, Target

MOST_STRENGTH = 100.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Gain:
    """A gain as a cue of `neuroattn.TimedModule`; `place_gain` and `feature_gain` make it.

    Attributes
    ----------
    layers
        Names of the modules whose outputs it multiplies.
    strength
        β.
    positive_only
        Whether units are never turned down.
    tuning
        Layer → (class, channel) f; None: the gain goes by the place.
    places
        Rows and columns of the places.
    run
        How the module runs.
    """

    layers: tuple[str, ...]
    strength: float
    positive_only: bool = False
    tuning: Mapping[str, torch.Tensor] | None = None
    places: tuple[int, int] = (1, 2)
    run: Run = one_pass

    def __post_init__(self) -> None:
        """Check strength and places."""
        if not 0 <= self.strength <= MOST_STRENGTH:  # not NaN either
            raise ValueError(f"strength must be in [0, {MOST_STRENGTH:g}], got {shown(self.strength)}")
        if min(self.places) < 1 or max(self.places) == 1:
            raise ValueError(f"places must be (rows, columns) of at least two places, got {shown(self.places)}")

    def require(self, module: nn.Module) -> None:
        """Raise ValueError unless the module has the layers."""
        named_layers(module, self.layers)

    def with_strength(self, strength: float) -> Gain:
        """Return the gain with another strength."""
        return dataclasses.replace(self, strength=strength)

    def __call__(self, module: nn.Module, images: torch.Tensor, target: Target) -> Iterator[tuple[int, int]]:
        """Run the module with the gain in force; see `neuroattn.TimedModule`."""
        of_layer = self._by_place(target) if self.tuning is None else self._by_class(target)
        with ExitStack() as stack:
            for name, part in named_layers(module, self.layers).items():
                # Before the recorder's hook, which is to see the response with its gain.
                handle = part.register_forward_hook(self._multiplying(name, of_layer), prepend=True)
                stack.callback(handle.remove)
            yield from self.run(module, images)

    def _multiplying(
        self, name: str, of_layer: Callable[[str, torch.Tensor], torch.Tensor]
    ) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            value = element(output, name, None)
            f = of_layer(name, value)
            gain = (1 + self.strength * (f.clamp(min=0) if self.positive_only else f)).clamp(min=0)
            return with_element(output, 0, value * gain.to(value.dtype))

        return hook

    def _by_place(self, target: Target) -> Callable[[str, torch.Tensor], torch.Tensor]:
        """Return what gives f of a map (batch, channel, y, x): 1 where the attended object has its centre, else -1.

        A row or a column that the edge of a place divides has what lies between, by its parts.
        """
        cells = _centre(target.picture, self.places)

        def of_layer(name: str, value: torch.Tensor) -> torch.Tensor:
            if value.ndim != 4:
                raise ValueError(
                    f"layers must be maps (batch, channel, y, x) for place gain, got {name!r} of shape "
                    f"{tuple(value.shape[1:])} a picture; for tokens see neuroattn.subjects.token_maps"
                )
            rows, columns = (
                _parts(length, number).to(value)[cell.to(value.device)]
                for length, number, cell in zip(value.shape[2:], self.places, cells, strict=True)
            )
            f: torch.Tensor = 2 * rows[:, None, :, None] * columns[:, None, None, :] - 1
            return f

        return of_layer

    def _by_class(self, target: Target) -> Callable[[str, torch.Tensor], torch.Tensor]:
        """Return what gives f of a layer (batch, channel, …): the tuning to the class of the attended object."""
        label, tuning = target.label, self.tuning or {}
        if label is None:
            raise ValueError(
                "stimuli must tell the class of every object for feature gain, got none; add label_0 and label_1, or "
                "take place gain (NAME:place)"
            )
        if label.is_floating_point() or int(label.min()) < 0 or int(label.max()) >= min(map(len, tuning.values())):
            raise ValueError(
                f"labels must be in 0–{min(map(len, tuning.values())) - 1}, the classes that the tuning is of, got "
                f"{label.min()} to {label.max()}"
            )

        def of_layer(name: str, value: torch.Tensor) -> torch.Tensor:
            f = tuning[name].to(value.device)[label.to(value.device)]
            if value.ndim < 2 or f.shape[1] != value.shape[1]:
                raise ValueError(
                    f"tuning must be (class, channel) with the channels of {name!r}, got {f.shape[1]} for an output of "
                    f"shape {tuple(value.shape[1:])} a picture"
                )
            return f.reshape(*f.shape, *[1] * (value.ndim - 2))

        return of_layer


def _parts(length: int, number: int) -> torch.Tensor:
    """Return (place, cell) which part of each of `length` cells lies in each of `number` equal places."""
    edges, ends = torch.arange(length + 1).double() / length, torch.arange(number + 1).double() / number
    within = torch.minimum(edges[1:], ends[1:, None]) - torch.maximum(edges[:-1], ends[:-1, None])
    return (within * length).clamp(0, 1)


def _centre(picture: torch.Tensor, places: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the row and the column of the place in which the centre of mass of each object lies."""
    ink = picture.abs().sum(1).double()
    total = ink.sum((1, 2))
    if (total == 0).any():
        raise ValueError("objects must be brighter than black somewhere for place gain, got one that is black")
    found = []
    for axis, number in enumerate(places):
        length = ink.shape[1 + axis]
        centre = (ink.sum(2 - axis) * (torch.arange(length, device=ink.device) + 0.5)).sum(1) / total
        found.append((centre * number / length).long().clamp(max=number - 1))
    return found[0], found[1]


def place_gain(
    layers: Sequence[str],
    strength: float = 0.5,
    *,
    positive_only: bool = False,
    places: tuple[int, int] = (1, 2),
    run: Run = one_pass,
) -> Gain:
    """Return attention to a place as a gain: 1 + β there, and 1 - β (positive only: 1) elsewhere, for all channels.

    Parameters
    ----------
    layers
        Names of modules whose outputs are maps (batch, channel, y, x), or tuples that begin with one.
    strength
        β, from 0.
    positive_only
        Whether units are never turned down.
    places
        Rows and columns of equal places that a map is divided into; the attended one is that in which the attended
        object has its centre of mass.
    run
        How the module runs, where not by one call; that of `neuroattn.TimedModule`.

    Raises
    ------
    ValueError
        If an argument is outside its range; and, once it is used, if stimuli or layers are none that it can act on.

    Examples
    --------
    >>> import neuroattn
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3)).eval()
    >>> neuroattn.TimedModule(module, variables={"V1/response": "1"}, cue=place_gain(["1"]))
    TimedModule 'sequential' of Sequential, 1 variables, can be cued
    """
    return Gain(layers=_several(layers), strength=strength, positive_only=positive_only, places=places, run=run)


def feature_gain(
    tuning: Mapping[str, torch.Tensor], strength: float = 0.5, *, positive_only: bool = False, run: Run = one_pass
) -> Gain:
    """Return attention to a class as a gain: 1 + β·f for every channel, at all places.

    Parameters
    ----------
    tuning
        Layer → (class, channel) f, as `neuroattn.models.class_tuning.class_tuning` measures it; a stimulus's
        ``label_k`` is the row.
    strength, positive_only, run
        As for `place_gain`.

    Raises
    ------
    ValueError
        As for `place_gain`.

    Examples
    --------
    >>> import neuroattn
    >>> from neuroattn.models.class_tuning import class_tuning
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU()).eval()
    >>> tuning = class_tuning(module, ["1"], torch.rand(30, 1, 7, 7), torch.arange(30) % 10)
    >>> neuroattn.TimedModule(module, cue=feature_gain(tuning))
    TimedModule 'sequential' of Sequential, 2 variables, can be cued
    """
    return Gain(layers=_several([*tuning]), strength=strength, positive_only=positive_only, tuning=tuning, run=run)


def _several(layers: Sequence[str]) -> tuple[str, ...]:
    if isinstance(layers, str) or not layers:
        raise ValueError(f"layers must be a list of at least one module's name, got {shown(layers)}")
    return tuple(layers)
