"""Bars on the left, beside digits or objects cut out of photographs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from neuroattn.experiments.scene_stimuli import SCENES, require_digit_networks, scene_stimuli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuroattn.experiments.tuning.options import Config
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject


def stimuli(config: Config, subjects: Sequence[Subject]) -> StimulusSet:
    """Return the bars beside the distractors, and last what is seen without a bar.

    Columns of the table: ``bar`` (whether there is one), ``half``, ``for_controls`` (a sparse part of the bars).
    """
    import torch

    from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
    from neuroattn.stimuli.beside import in_one, shared_out
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE, embedded

    if config.stimuli == SCENES:
        return _beside_objects(config, subjects)
    require_digit_networks(config, subjects, 2)
    _require_room(config, SIDE * (SIDE + SHIFT))
    digits = embedded()
    generator = torch.Generator().manual_seed(config.seed)
    grids = shared_out(tuning_grid(*config.grid), len(config.distractors), noise=config.noise > 0)
    parts = [
        bar_and_digit(grid, digits.images[digits.labels == label][0], label, noise=config.noise, generator=generator)
        for label, grid in zip(config.distractors, grids, strict=True)
    ]
    return in_one(parts)


def _beside_objects(config: Config, subjects: Sequence[Subject]) -> StimulusSet:
    """Return the bars beside the larger objects of scenes that are drawn at random."""
    from neuroattn.stimuli.beside import in_one, shared_out
    from neuroattn.stimuli.scene_bars import bar_and_object, on_the_right, scene_tuning_grid

    height, width = config.size
    _require_room(config, 3 * height * width)
    drawn, parts = scene_stimuli(config, subjects, len(config.distractors), 2), []
    if len(drawn) < len(config.distractors):
        raise ValueError(
            f"distractors must be no more than there are scenes, {len(drawn)}, got {len(config.distractors)}; "
            "name fewer, or take more scenes"
        )
    grids = shared_out(scene_tuning_grid((height, width), *config.grid), len(config.distractors))
    for number, grid in enumerate(grids):
        scene = drawn.table.iloc[number]
        larger = int(scene["area_1"] > scene["area_0"])
        alone = np.round(np.asarray(drawn.objects)[number, larger] * 255).astype(np.uint8)
        part = bar_and_object(grid, on_the_right(alone))
        part.table["distractor"] = str(scene[f"category_{larger}"])
        parts.append(part)
    return in_one(parts, drawn.notes)


def _require_room(config: Config, n_values: int) -> None:
    """Raise unless memory holds the pictures, of so many values each, with both objects of each."""
    from neuroattn.compute.memory import free_memory

    # Twice, while the pictures beside several distractors are put together.
    needed = math.prod(config.grid) * 3 * n_values * 4 * min(2, len(config.distractors))
    free = free_memory() // 2
    if needed > free:
        raise ValueError(
            f"n_orientations × n_widths × n_x × n_y must fit in memory, got {math.prod(config.grid):,} pictures of "
            f"{needed / 1e9:.1f} GB with their objects, and {free / 1e9:.1f} GB are free for them; show fewer"
        )
