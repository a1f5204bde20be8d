"""Options of training. The defaults are our recipes; experiments/ has the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Cluster, Compute, Mnist, NamedPhotographs, Noise, SceneKind, Seed, Size
from neuroattn.command.option import MOST_AT_ONCE, option, varied
from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.models.name import require_name

MOST_CHANNELS = 10_000


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Compute, Seed):
    """How a network is trained, whatever it is shown."""

    name: str = option("network", "name of the network: of its file, and in recordings and tables")
    n_objects: int = option(2, "objects of a picture, and phases of a trial", low=2, high=10)
    strength: float = option(0.2, "gate strength s", low=0, high=1)
    n_train: int | None = option(
        None, "digits or scenes to take, drawn at random: a few for a first try (default: all)", low=20, high=10**8
    )
    epochs: int = option(15, "passes through the training pictures", low=1)
    batch_size: int = option(64, "pictures of a step", low=1, high=MOST_AT_ONCE)
    learning_rate: float = option(3e-3, "learning rate of Adam, the highest of a schedule", low=0, high=1)
    schedule: str = option(
        "one-cycle", "how the learning rate runs over the training", choices=("constant", "one-cycle", "cosine")
    )
    initial: str = option(
        "uniform",
        "initial weights: torch's own, or He's, which keep the spread of responses from stage to stage",
        choices=("uniform", "he"),
    )
    start: str | None = option(
        None,
        "network to begin with, of the same sizes, whatever its steps and strength: a shipped name or a file (default: "
        "weights that are drawn)",
        path=True,
    )
    gradient_steps: int | None = option(
        2,
        "last time steps of a phase that gradients flow through (null: all of them); with one they would not reach the "
        "gates",
        low=2,
    )
    clip: float | None = option(
        1.0, "largest norm of a step's gradients; longer ones are shortened to it (null: none is)", low=1e-9
    )
    averaging: float = option(
        0.0, "decay a step of the running mean of the weights that is kept (0: the weights themselves)", low=0, high=1
    )
    attended: str = option(
        "error",
        "which object a phase is trained to attend, of those left: that of least error, or that with the most ink "
        "(which leaves no side a preference)",
        choices=("error", "ink"),
    )
    phi: float = option(1000.0, "weight φ of the attention loss beside the classification loss", low=0)
    validation: float = option(0.1, "fraction of the pictures held out for validation", low=0.01, high=0.9)
    seed: int = varied(Seed, "seed", description="seed of the weights, the split, the order and the pictures")
    precision: str = option(
        "auto",
        "of what networks compute in: 32 bits, bfloat16, or (auto) bfloat16 where the processor has it",
        choices=("auto", "32", "bf16"),
    )
    hidden: tuple[int, ...] = option((20, 50), "feature channels of each stage, bottom up", low=1, high=MOST_CHANNELS)
    out: str | None = option(
        None, "folder of the run, which must not exist (default: runs/training-NAME-DATE-TIME)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if self.averaging == 1:
            raise ValueError("averaging must be below 1, got 1.0; the mean would stay at the first weights")
        require_name(self.name)


@dataclass(frozen=True, kw_only=True)
class DigitsConfig(Noise, Mnist, TrainingConfig):
    """How a network is trained on composites of digits; every field is an option of ``neuroattn.training digits``."""

    name: str = varied(TrainingConfig, "name", default="digits")
    resample: bool = option(True, "labels of a composite may repeat (false: all differ)")

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        digits_config(n_objects=self.n_objects, channels=self.hidden)


@dataclass(frozen=True, kw_only=True)
class ScenesConfig(TrainingConfig, SceneKind, Size, NamedPhotographs):
    """How a network is trained on scenes of COCO; every field is an option of ``neuroattn.training scenes``."""

    name: str = varied(TrainingConfig, "name", default="scenes")
    composites: int = option(
        2000, "copy-paste composites an epoch, of objects and photographs of the same annotations", low=0, high=10**6
    )
    least_cutout: float = option(
        0.01, "objects larger than this fraction of their image are cut out for composites", low=0, high=1
    )
    hidden: tuple[int, ...] = varied(TrainingConfig, "hidden", default=(30, 60, 100, 20))
    steps: int = option(5, "time steps T of a phase; with one there is no feedback", low=1, high=1000)
    strength: float = varied(TrainingConfig, "strength", default=0.3)
    initial: str = varied(TrainingConfig, "initial", default="he")
    batch_size: int = varied(TrainingConfig, "batch_size", default=16)
    learning_rate: float = varied(TrainingConfig, "learning_rate", default=1e-4)
    phi: float = varied(TrainingConfig, "phi", default=500.0)
    validation: float = varied(
        TrainingConfig,
        "validation",
        default=0.2,
        description="fraction of the scenes held out for validation, by image",
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        # The classes are not known yet, and do not bear on the sizes.
        GatedConfig(size=(3, self.size[0], self.size[1]), channels=self.hidden, classes=1, steps=self.steps)


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Mnist, Cluster):
    """Where a sweep runs; what it runs is its recipe's business."""

    workers: int = varied(
        Cluster, "workers", default=1, description="processes of a local Dask cluster, of one thread each", low=1
    )
    out: str | None = option(
        None, "folder of the sweep; the same recipe goes on in it (default: runs/sweep-NAME)", path=True
    )
