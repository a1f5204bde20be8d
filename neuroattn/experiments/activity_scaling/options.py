"""The options of the protocol."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.option import option
from neuroattn.experiments.pairs import PairOptions


@dataclass(frozen=True, kw_only=True)
class Config(PairOptions):
    """Options of the protocol."""

    strengths: tuple[float, ...] = option(
        (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "gate strengths of the dose-response curve", low=0, high=1
    )
