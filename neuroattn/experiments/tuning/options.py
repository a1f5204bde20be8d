"""The options of the protocol; the defaults are the paper's grid and a cued design."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuroattn.command.groups import Noise
from neuroattn.command.option import MOST_AT_ONCE, option, varied
from neuroattn.experiments.contrast import ContrastOptions
from neuroattn.experiments.scene_stimuli import DIGITS, SCENES


@dataclass(frozen=True, kw_only=True)
class Config(ContrastOptions):
    """Options of the protocol."""

    stimuli: str = option(
        DIGITS, "the distractor: an embedded digit, or an object of a scene of COCO", choices=(DIGITS, SCENES)
    )

    n_orientations: int = option(20, "orientations of the bar, equally spaced on [0°, 180°)", low=6, high=360)
    n_widths: int | None = option(None, "widths of the bar (default: 6; with scenes 3)", low=1, high=100)
    n_x: int | None = option(
        None, "horizontal places of the bar's centre (default: 11; with scenes 5)", low=2, high=1000
    )
    n_y: int | None = option(None, "vertical places of the bar's centre (default: 11; with scenes 5)", low=2, high=1000)
    distractors: tuple[int, ...] = option(
        (7, 2, 5),
        "classes of the digits on the right (the first embedded ones): the first for selection, the others for "
        "measurement, or one for both; with scenes as many objects",
        low=0,
        high=9,
    )
    noise: float = varied(Noise, "noise", default=0.0)
    n_units: int = option(20_000, "units a layer and network, drawn at random where there are more", low=1)
    driven: float = option(
        0.1,
        "a driven unit's ungated curve peaks by more than this above the response without the bar",
        unit="1",
        low=0,
        analysis=True,
    )
    tuned: float = option(
        0.5, "R² a tuned unit's ungated curve needs, on the other half of the bars", low=0, high=1, analysis=True
    )
    fitted: float = option(0.5, "R² that each state's fit needs for fit-based measures", low=0, high=1, analysis=True)
    shift_bound: float = option(
        5.0, "equivalence bound of the preferred orientation's shift", unit="degree", low=0.01, analysis=True
    )
    bandwidth_bound: float = option(
        5.0, "equivalence bound of the change in half width at half height", unit="degree", low=0.01, analysis=True
    )
    batch_size: int = option(256, "stimuli at once", low=2, high=MOST_AT_ONCE)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if not self.distractors or len(set(self.distractors)) < len(self.distractors):
            given = ", ".join(map(str, self.distractors)) or "none"
            raise ValueError(f"distractors must be different classes of digits, at least one, got {given}")
        to_share = math.prod(self.grid[1:]) // 2
        if len(self.distractors) - 1 > to_share:
            raise ValueError(
                f"distractors must be at most {to_share + 1} for {math.prod(self.grid[1:])} bars an orientation, "
                f"got {len(self.distractors)}; name fewer, or show more bars"
            )

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """Numbers of orientations, widths, and places along x and y."""
        defaults = (3, 5, 5) if self.stimuli == SCENES else (6, 11, 11)
        given = (self.n_widths, self.n_x, self.n_y)
        n_widths, n_x, n_y = (n or default for n, default in zip(given, defaults, strict=True))
        return (self.n_orientations, n_widths, n_x, n_y)
