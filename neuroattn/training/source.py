"""Where the pictures of a training come from: the one thing that differs between digits and scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.stimuli.cutouts import load_cutouts, paste
from neuroattn.stimuli.digits import composites
from neuroattn.stimuli.labelled import Labelled
from neuroattn.stimuli.mnist import load, without_embedded
from neuroattn.stimuli.scenes import tell_notes
from neuroattn.stimuli.shown import scenes_for
from neuroattn.training.config import DigitsConfig, ScenesConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from neuroattn.models.about import About
    from neuroattn.stimuli.cutouts import Cutouts
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.stimuli.scenes import Scenes
    from neuroattn.stimuli.shown import Pictures
    from neuroattn.training.config import TrainingConfig


class Split(NamedTuple):
    """Which items (item,) of a source are held out and which are kept for training.

    Classes have weights (class,) in the loss (None: all the same); `about` is what the network's file says of it.
    """

    held_out: torch.Tensor
    kept: torch.Tensor
    class_weight: torch.Tensor | None
    about: dict[str, Any]


class Source(Protocol):
    """Pictures to train on."""

    @property
    def network_config(self) -> GatedConfig:
        """Of the network that takes them."""

    def split(self, validation: float, order: torch.Generator) -> Split:
        """Hold out a fraction of the items."""

    def held_out(self, split: Split, generator: torch.Generator, device: torch.device) -> Pictures:
        """Return the pictures of validation, the same at every call with the generator in the same state."""

    def draw(self, items: torch.Tensor, generator: torch.Generator, device: torch.device) -> Labelled:
        """Return a picture for each item."""


class Seen(NamedTuple):
    """The source of a training's pictures, their identity, and what the weights say of them."""

    source: Source
    identity: str
    about: dict[str, Any]


def see(config: TrainingConfig, tell: Callable[[str], None], start: About | None) -> Seen:
    """Return the pictures of a training on digits or on scenes, and tell what is left out.

    `start` is what the file of the network to begin with says of its training; None: there is no such network.

    Raises
    ------
    ValueError
        If the pictures cannot be had.
    """
    if isinstance(config, ScenesConfig):
        return _see_scenes(config, tell, start)
    if not isinstance(config, DigitsConfig):
        raise TypeError("a training is on digits or on scenes")
    digits = load(config.data, "train")
    for note in digits.notes:
        tell(f"note: {note}")
    what = "training set" if digits.is_mnist else "training set, not MNIST's own,"
    digits = without_embedded(digits)
    chosen, part = _some(config, len(digits))
    digits = digits.select(chosen)
    # Whose folder the digits came from is nobody's business; which digits they were is.
    identity = digits.identity()
    about = {"what": f"{part}{what} without the embedded digits", "n": len(digits), "sha256": identity}
    return Seen(DigitsSource(config, digits), identity, {"digits": about})


def _some(config: TrainingConfig, number: int) -> tuple[NDArray[np.int64] | slice, str]:
    """Return which of so many pictures are trained on, in their order, and how to begin to say so."""
    n_train = config.n_train
    if n_train is None:
        return slice(None), ""
    if n_train > number:
        raise ValueError(f"n_train must be at most {number:,}, the pictures that there are, got {n_train:,}")
    chosen = np.random.default_rng(config.seed).choice(number, n_train, replace=False)
    return np.sort(chosen), f"{n_train:,} (seed {config.seed}) of the "


def _see_scenes(config: ScenesConfig, tell: Callable[[str], None], start: About | None) -> Seen:
    scenes = scenes_for([], config, n_objects=config.n_objects, labels=config.labels, size=config.size)
    tell_notes(scenes, tell)
    if len(scenes) < 2:
        raise ValueError(f"annotations must have at least 2 scenes, one to hold out, got {len(scenes)}")
    chosen, part = _some(config, len(scenes))
    whole, scenes = scenes.identity, scenes.select(chosen)
    cutouts = None
    if config.composites:
        cutouts = load_cutouts(
            config.images,
            config.annotations,
            size=scenes.size,
            labels=config.labels,
            cache=config.cache,
            least_area=config.least_cutout,
        )
    what = f"{len(scenes):,} scenes of {Path(config.annotations).name}"
    about = {"what": what, "n": len(scenes), "sha256": whole}
    identity = whole + part + (cutouts.identity if cutouts is not None else "")
    new = None if start is None else start.held_out_images or ()
    source = ScenesSource(config, scenes, cutouts, tell, new_images=new)
    return Seen(source, identity, {"scenes": about, "classes": list(scenes.classes)})


class DigitsSource:
    """Composites of digits; each digit opens one composite an epoch."""

    def __init__(self, config: DigitsConfig, digits: Digits) -> None:
        self._config, self._digits = config, digits

    @property
    def network_config(self) -> GatedConfig:
        """Of the network that takes them."""
        config = self._config
        return digits_config(n_objects=config.n_objects, strength=config.strength, channels=config.hidden)

    def split(self, validation: float, order: torch.Generator) -> Split:
        """Hold out a fraction of the digits."""
        shuffled = torch.randperm(len(self._digits.labels), generator=order)
        held_out, kept = shuffled.tensor_split([round(validation * len(shuffled))])
        return Split(held_out, kept, None, {})

    def held_out(self, split: Split, generator: torch.Generator, device: torch.device) -> Labelled:
        """Return a composite for each digit that is held out."""
        return self.draw(split.held_out, generator, device)

    def draw(self, items: torch.Tensor, generator: torch.Generator, device: torch.device) -> Labelled:
        """Return a composite for each digit."""
        return composites(
            self._digits,
            items,
            n_objects=self._config.n_objects,
            noise=self._config.noise,
            resample=self._config.resample,
            generator=generator,
            device=device,
        )


class ScenesSource:
    """Scenes, and copy–paste composites of their annotations' objects.

    Items are the scenes, and after them as many composites as an epoch has; a composite is another one every time.
    Composites show nothing of an image that is held out.

    Parameters
    ----------
    config
        Of the training.
    scenes
        Of the annotations.
    cutouts
        Of the same annotations; None where no composites are asked for.
    tell
        Told of classes without an example, and of what was left out of the cutouts but not of the scenes.
    new_images
        Ids of the images that a network to begin with has not seen, as far as it tells; None: there is none to begin
        with. Others are not held out.
    """

    def __init__(
        self,
        config: ScenesConfig,
        scenes: Scenes,
        cutouts: Cutouts | None,
        tell: Callable[[str], None],
        new_images: Sequence[int] | None = None,
    ) -> None:
        self._config, self.scenes, self._tell = config, scenes, tell
        self._cutouts, self._new_images = cutouts, new_images
        self.shown_cutouts: Cutouts | None = None  # those of the split
        for note in () if cutouts is None else cutouts.notes:
            if note not in scenes.notes:  # which are told by whoever loads them
                tell(f"note: for cutouts, {note}")

    @property
    def network_config(self) -> GatedConfig:
        """Of the network that takes them."""
        return GatedConfig(
            size=(3, *self.scenes.size),
            channels=self._config.hidden,
            classes=len(self.scenes.classes),
            resize="bicubic",
            strength=self._config.strength,
            steps=self._config.steps,
        )

    def split(self, validation: float, order: torch.Generator) -> Split:
        """Hold out a fraction of the scenes; classes weigh the more, the rarer they are among the others.

        Raises
        ------
        ValueError
            If the network to begin with has seen all that would be held out.
        """
        number = len(self.scenes)
        shuffled = torch.randperm(number, generator=order)
        held_out, kept = shuffled.tensor_split([min(number - 1, max(1, round(validation * number)))])
        if self._new_images is not None:
            seen = ~np.isin(self.scenes.table["image_id"].to_numpy()[held_out.numpy()], self._new_images)
            held_out, kept = held_out[~seen], torch.cat([kept, held_out[seen]])
            if not len(held_out):
                raise ValueError(
                    "start must be a network that says which scenes it held out, some of those held out here among "
                    f"them, got {self._config.start!r}; take the same seed and validation as its training"
                )
        counts = torch.bincount(torch.from_numpy(self.scenes.labels)[kept].ravel(), minlength=len(self.scenes.classes))
        n_composites = self._config.composites
        shown = counts.double()
        images = np.sort(self.scenes.table["image_id"].to_numpy()[held_out.numpy()])
        about = {"held_out_images": images.tolist(), "n_cutouts": 0}
        if self._cutouts is not None:
            self.shown_cutouts = self._cutouts.without(images)
            about["n_cutouts"] = len(self.shown_cutouts)
            there = np.unique(self.shown_cutouts.labels)
            shown[there] += n_composites * self._config.n_objects / len(there)
        if none := [name for name, n in zip(self.scenes.classes, shown.tolist(), strict=True) if n == 0]:
            self._tell(f"warning: no training picture has an object of {', '.join(none)}; they are not learnt")
        weight = torch.where(shown > 0, shown.sum() / shown.clamp(min=1), 0.0)
        items = torch.cat([kept, torch.arange(number, number + n_composites)])
        return Split(held_out, items, (weight / weight.sum()).float(), about)

    def held_out(self, split: Split, generator: torch.Generator, device: torch.device) -> Pictures:
        """Return the scenes that are held out."""
        del generator, device  # they are as they are, and go to the device in parts
        return self.scenes.select(split.held_out.numpy())

    def draw(self, items: torch.Tensor, generator: torch.Generator, device: torch.device) -> Labelled:
        """Return a scene or a composite for each item."""
        real = items[items < len(self.scenes)]
        parts = [self.scenes.batch(real.numpy(), device)] if len(real) else []
        if self.shown_cutouts is not None and len(real) < len(items):
            n_objects, number = self._config.n_objects, len(items) - len(real)
            parts.append(paste(self.shown_cutouts, number, n_objects=n_objects, generator=generator, device=device))
        return Labelled(
            images=torch.cat([part.images for part in parts]),
            objects=torch.cat([part.objects for part in parts]),
            labels=torch.cat([part.labels for part in parts]),
        )
