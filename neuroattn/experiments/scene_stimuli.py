"""Scenes as a protocol's stimuli: the user's COCO, or synthetic ones where there is none."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.command.groups import Labels, Photographs, Size, require_both
from neuroattn.command.option import option, varied
from neuroattn.experiments.protocol import ProtocolConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuroattn.stimuli.scenes import Scenes
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

DIGITS, SCENES = "digits", "scenes"
SYNTHETIC = (
    "NOTE: these scenes are SYNTHETIC (objects cut from a few photographs, and drawn ones, on textures); they try the "
    "protocol out and say nothing of photographs. Name COCO's with --images DIR --annotations FILE."
)


@dataclass(frozen=True, kw_only=True)
class SceneOptions(Labels, Size, Photographs, ProtocolConfig):
    """Options of protocols that show composites of digits or scenes."""

    stimuli: str = option(DIGITS, "composites of embedded digits, or scenes of COCO", choices=(DIGITS, SCENES))
    images: str | None = varied(
        Photographs, "images", description="scenes: folder of COCO images (default: synthetic scenes made for the run)"
    )

    @property
    def synthetic(self) -> bool:
        """Whether the scenes are made for the run."""
        return self.stimuli == SCENES and self.images is None


def check_scene_options(config: SceneOptions) -> None:
    """Raise unless the options of scenes go together.

    Raises
    ------
    ValueError
        If images are named without annotations or the other way round.
    """
    require_both(config)
    if config.images is not None and config.stimuli != SCENES:
        raise ValueError(f"stimuli must be {SCENES} where images are named, got {config.stimuli!r}")


def require_digit_networks(config: SceneOptions, subjects: Sequence[Subject], n_objects: int) -> None:
    """Raise unless every network takes composites of so many digits, before any is made.

    Raises
    ------
    ValueError
        With what to name instead, or besides.
    """
    from neuroattn.models.config import digits_config
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE

    for subject in subjects:
        size = subject.size
        if size in {None, digits_config(n_objects=n_objects).size}:
            continue
        if size[0] == 3:
            others = "" if size[1:] == config.size else f" --size {size[1]} {size[2]}"
            raise ValueError(
                f"stimuli must be {SCENES} for {subject.name}, which takes pictures of (channel, y, x) = {size}, got "
                f"{config.stimuli!r}; add --stimuli {SCENES}{others}"
            )
        shipped = {2: "take digits-0", 3: "take digits3-0"}
        instead = shipped.get(n_objects, f"train one (python -m neuroattn.training digits --n_objects {n_objects})")
        if hasattr(config, "n_objects") and size[:2] == (1, SIDE):
            instead += f", or --n_objects {size[2] // SHIFT - 1}"
        raise ValueError(
            f"models must take composites of {n_objects} digits, (channel, y, x) = "
            f"{digits_config(n_objects=n_objects).size}, got {subject.name}, which takes {size}; {instead}"
        )


def scene_notes(config: SceneOptions) -> tuple[str, ...]:
    """Return what must stand on top of findings: that scenes are synthetic."""
    return (SYNTHETIC,) if config.synthetic else ()


def scene_stimuli(config: SceneOptions, subjects: Sequence[Subject], number: int, n_objects: int) -> StimulusSet:
    """Return scenes, drawn at random, each with its objects in the order of their places from the left.

    Parameters
    ----------
    config
        Where from; its seed decides which.
    subjects
        Who they are shown to.
    number
        How many, at most.
    n_objects
        Objects of each.

    Raises
    ------
    ValueError
        If a network takes no such pictures or has other classes, or scenes cannot be had.
    """
    _require_size(config, subjects)  # before scenes are made, which takes its time
    if config.images is not None and config.annotations is not None:
        return _from_left(_drawn(config, subjects, config.images, config.annotations, number, n_objects))
    if n_objects != 2:
        raise ValueError(f"n_objects must be 2 for synthetic scenes, got {n_objects}; name scenes of your own")
    from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes

    with tempfile.TemporaryDirectory() as folder:
        images, annotations = write_synthetic_scenes(Path(folder), number, config.seed)
        scenes = _drawn(config, subjects, str(images), str(annotations), number, n_objects, cache=folder)
        return _from_left(scenes)


def _require_size(config: SceneOptions, subjects: Sequence[Subject]) -> None:
    """Raise unless all networks take pictures of the size that was asked for."""
    needed = (3, *config.size)
    for subject in subjects:
        name, size = subject.name, subject.size
        if size not in {None, needed}:
            fit = f"--size {size[1]} {size[2]}" if size[0] == needed[0] else "a network of scenes"
            raise ValueError(f"size must be that of {name}, (channel, y, x) = {size}, got {needed}; take {fit}")


def _drawn(
    config: SceneOptions,
    subjects: Sequence[Subject],
    images: str,
    annotations: str,
    number: int,
    n_objects: int,
    cache: str | None = None,
) -> Scenes:
    from neuroattn.stimuli.shown import scenes_for

    files = Photographs(images=images, annotations=annotations, cache=cache or config.cache)
    with_classes: list[Any] = [subject.module for subject in subjects if subject.n_classes is not None]
    scenes = scenes_for(with_classes, files, n_objects=n_objects, labels=config.labels, size=config.size)
    if not config.synthetic:
        scenes = alike_for_all(scenes, subjects)
    if len(scenes) < min(number, 2):
        raise ValueError(f"annotations must have 2 scenes of {n_objects} objects or more, got {len(scenes)}; take more")
    return scenes.select(np.random.default_rng(config.seed).permutation(len(scenes))[:number])


def alike_for_all(scenes: Scenes, subjects: Sequence[Subject]) -> Scenes:
    """Return the scenes that are to every network what they are to the others: trained on, or held out.

    What a network shows on scenes that it was trained on is never averaged with what another one shows on scenes that
    it has not seen. Of both kinds the one with more scenes is shown, and the notes say which, and what was left out. Of
    a network whose file does not tell, or that was trained on scenes that were made otherwise, the notes say that.
    """
    identities = {subject.name: subject.about.scenes for subject in subjects}
    held_out = {subject.name: subject.about.held_out_images or () for subject in subjects}
    told = [name for name, identity in identities.items() if identity == scenes.identity]
    notes = [
        f"{name} was trained on other scenes, or on these made otherwise: it may have seen some of them"
        for name, identity in identities.items()
        if identity not in {None, scenes.identity}
    ]
    notes += [
        f"nobody tells whether {name} has seen these scenes"
        for name, identity in identities.items()
        if identity is None
    ]
    if not told:
        return dataclasses.replace(scenes, notes=(*scenes.notes, *notes))
    seen = ~np.stack([np.isin(scenes.table["image_id"], held_out[name]) for name in told])
    kinds = {"was trained on": seen.all(0), "held out": ~seen.any(0)} if len(told) > 1 else {}
    if kinds:
        kind, chosen = max(kinds.items(), key=lambda item: int(item[1].sum()))
        notes.append(
            f"{chosen.sum():,} scenes that each of {', '.join(told)} {kind} are shown; {(~chosen).sum():,} are left "
            "out, which are to some of them what they are not to others"
        )
        scenes = scenes.select(np.flatnonzero(chosen))
    elif seen.any():
        notes.append(f"{told[0]} was trained on {seen.sum():,} of these {len(scenes):,} scenes")
    return dataclasses.replace(scenes, notes=(*scenes.notes, *notes))


def _from_left(scenes: Scenes) -> StimulusSet:
    """Return scenes as stimuli whose object k is the k-th from the left."""
    from neuroattn.stimuli.stimulus_set import StimulusSet

    given = scenes.stimulus_set()
    if given.objects is None:
        raise TypeError("scenes have objects")
    n_objects, table = scenes.n_objects, given.table
    order = np.stack([table[f"location_{k}"] for k in range(n_objects)], 1).argsort(1)
    rows = np.arange(len(given))
    columns: dict[str, Any] = {}
    for name in ("label", "category", "supercategory", "area", "annotation_id", "category_id"):
        values = np.stack([table[f"{name}_{k}"] for k in range(n_objects)], 1)
        columns |= {f"{name}_{k}": values[rows, order[:, k]] for k in range(n_objects)}
    columns |= {f"location_{k}": k for k in range(n_objects)}
    return StimulusSet(given.images, given.objects[rows[:, None], order], table.assign(**columns), scenes.notes)
