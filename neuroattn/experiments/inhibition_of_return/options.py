"""The options of the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Noise
from neuroattn.command.option import option
from neuroattn.experiments.contrast import ControlOptions, require_few


@dataclass(frozen=True, kw_only=True)
class Config(Noise, ControlOptions):
    """Options of the protocol."""

    n_objects: int = option(2, "objects of a picture; with three some are never attended", low=2, high=10)
    n_stimuli: int = option(1000, "composites of embedded digits, or scenes at most", low=20, high=5000)
    n_control_stimuli: int = option(200, "stimuli of the controls", low=20)
    bound: float = option(
        0.1, "avoidance (difference of fractions) within ± this counts as none", low=0.01, high=0.5, analysis=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_few(self.n_control_stimuli, self.n_stimuli)
