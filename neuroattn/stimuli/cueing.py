"""Trials of a cued detection task: is one of two noisy lines tilted, where a cue says where that is likelier.

After Srivastava & Eckstein (2021), 10.1167/jov.21.9.2885, and their abstract of article 2792354 of the same journal: a
tilted line at one of two places, a central cue that is 80 % valid, eight contrasts, white noise. Sizes, the noise and
neutral trials are not in the abstracts and are ours.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from neuroattn.stimuli.bars import bars
from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRASTS = tuple(np.arange(1, 9) / 8)
D_PRIME = 5.0  # of an ideal observer of one place, at contrast 1
HEIGHT, WIDTH = 24, 40
_Y, _X = 12.0, (10.0, 30.0)
_VERTICAL, _TILTED = 90.0, 70.0
_CUE_ROWS, _CUE_COLUMNS = slice(11, 13), (slice(16, 19), slice(22, 25))
_BOTH = 2
_UNIT = 0.1  # luminance of one unit of contrast: beside a full line, six standard deviations of the noise fit in


def line_templates() -> NDArray[np.float32]:
    """Return the two lines, vertical and tilted, at both places, at contrast 1.

    Returns
    -------
    templates
        (place, tilt, y, x) contrast from 0 to 1; place 0 is the left one, tilt 0 the vertical line.

    Examples
    --------
    >>> line_templates().shape
    (2, 2, 24, 40)
    """
    x, orientation = np.repeat(_X, 2), np.tile([_VERTICAL, _TILTED], 2)
    drawn = bars(orientation, np.full(4, 0.8), x, np.full(4, _Y), height=HEIGHT, width=WIDTH, length=12.0)
    return drawn.reshape(2, 2, HEIGHT, WIDTH)


def cued_trials(
    n: int, generator: np.random.Generator, *, validity: float = 0.8, neutral: float = 0.2, present: float = 0.5
) -> StimulusSet:
    """Draw trials of the cued detection task.

    A picture is ``1/2 + (c · lines + cue + noise) / 10``: two lines of contrast c, and a cue of contrast 1 beside the
    centre. The noise is white, so strong that the two lines of one place are 5 c standard deviations apart.

    Parameters
    ----------
    n
        Number of trials.
    generator
        Draws the trials and the noise.
    validity
        Probability that a cue of one side is on the side of the target, where there is a target.
    neutral
        Probability of a cue on both sides.
    present
        Probability of a target.

    Returns
    -------
    StimulusSet
        Pictures of 24 × 40 px. The table has ``contrast``; ``target``, the side of the tilted line, 0 left, 1 right,
        −1 none; ``cue``, 0 left, 1 right, 2 both; and ``validity``: ``valid``, ``invalid``, ``neutral`` (a cue on both
        sides, with a target or without), ``no_target`` (a cue of one side without a target).

    Raises
    ------
    ValueError
        If `n` is below 1 or a probability is outside [0, 1].

    Examples
    --------
    >>> trials = cued_trials(3, np.random.default_rng(0))
    >>> trials.table[["target", "cue", "validity"]]
       target  cue   validity
    0       1    1      valid
    1       1    0    invalid
    2      -1    0  no_target
    """
    if operator.index(n) < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    for name, value in {"validity": validity, "neutral": neutral, "present": present}.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")
    table = _table(n, generator, (validity, neutral, present))
    lines = line_templates()
    tilted = table["target"].to_numpy()[:, None] == np.arange(2)
    shown = lines[np.arange(2), tilted.astype(int)].sum(axis=1)
    picture = table["contrast"].to_numpy()[:, None, None] * shown
    for side, columns in enumerate(_CUE_COLUMNS):
        cued = np.isin(table["cue"], (side, _BOTH))
        picture[cued, _CUE_ROWS, columns] += 1
    noise = np.linalg.norm(lines[0, 1] - lines[0, 0]) / D_PRIME
    picture += noise * generator.standard_normal(picture.shape)
    return StimulusSet(np.clip(0.5 + _UNIT * picture, 0, 1)[:, None].astype(np.float32), None, table)


def _table(n: int, generator: np.random.Generator, probabilities: tuple[float, float, float]) -> pd.DataFrame:
    validity, neutral, present = probabilities
    side = generator.integers(2, size=n)
    has_target = generator.random(n) < present
    both = generator.random(n) < neutral
    points_there = generator.random(n) < validity
    # Without a target no side is right, and the cue is on either side equally often.
    cue = np.where(both, _BOTH, np.where(points_there, side, 1 - side))
    kind = np.select([both, ~has_target, points_there], ["neutral", "no_target", "valid"], "invalid")
    contrast = generator.choice(CONTRASTS, n)
    return pd.DataFrame({"contrast": contrast, "target": np.where(has_target, side, -1), "cue": cue, "validity": kind})
