"""Options of the training of a plain network that a gain can act on."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Compute, Mnist, Noise, Seed
from neuroattn.command.option import MOST_AT_ONCE, option, varied
from neuroattn.models.name import require_name


@dataclass(frozen=True, kw_only=True)
class GainTrainingConfig(Noise, Mnist, Compute, Seed):
    """How a plain network is trained; every field is an option of ``neuroattn.training gain``."""

    name: str = option("gaincnn", "name of the network: of its file, and in recordings and tables")
    pictures: str = option(
        "single",
        "what it learns to name: one digit, left or right on the canvas of a composite, or both digits of composites",
        choices=("single", "composites"),
    )
    steps: int = option(2000, "steps of the optimiser", low=1, high=10**7)
    batch_size: int = option(64, "pictures of a step", low=1, high=MOST_AT_ONCE)
    learning_rate: float = option(1e-3, "learning rate of Adam", low=0, high=1)
    validation: float = option(
        0.1, "fraction of the digits held out, for accuracy and for the tuning of channels", low=0.01, high=0.9
    )
    seed: int = varied(Seed, "seed", description="seed of the weights, the split and the pictures")
    out: str | None = option(
        None, "folder of the run, which must not exist (default: runs/training-NAME-DATE-TIME)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        require_name(self.name)
