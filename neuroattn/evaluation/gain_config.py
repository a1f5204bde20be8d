"""Options of the evaluation of plain networks with a gain."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Compute, Digits, Models, Noise, Seed
from neuroattn.command.option import option, varied


@dataclass(frozen=True, kw_only=True)
class GainEvaluationConfig(Seed, Noise, Digits, Compute, Models):
    """Which networks detect a class in composites, with a gain and without."""

    models: tuple[str, ...] = varied(
        Models,
        "models",
        default=(),
        description="plain networks: shipped names or .safetensors files (default: all that are shipped)",
    )
    composites: int = option(
        75, "composites with a class, and as many without, for every class; one half chooses β", low=10, high=10_000
    )
    strengths: tuple[float, ...] = option((0.5, 1.0), "strengths β to choose from", low=0.01, high=100)
    out: str | None = option(None, "CSV file for the table, which must not exist", path=True)
    card: str | None = option(None, "Markdown file for the networks' card, written anew", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if not self.strengths or len(set(self.strengths)) < len(self.strengths):
            raise ValueError(f"strengths must be different numbers, at least one, got {self.strengths}")
