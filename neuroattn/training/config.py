"""Options of training. The defaults are our recipes; experiments/ has the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.option import MOST_AT_ONCE, MOST_PIXELS, check_options, option
from neuroattn.models.config import GatedConfig, digits_config
from neuroattn.models.name import require_name

MOST_CHANNELS = 10_000


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained, whatever it is shown."""

    name: str = option("network", "name of the network: of its file, and in recordings and tables")
    n_objects: int = option(2, "objects of a picture, and phases of a trial", low=2, high=10)
    strength: float = option(0.2, "gate strength s", low=0, high=1)
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
    seed: int = option(0, "seed of the weights, the split, the order and the pictures", low=0, high=2**32 - 1)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    precision: str = option(
        "auto",
        "of what networks compute in: 32 bits, bfloat16, or (auto) bfloat16 where the processor has it",
        choices=("auto", "32", "bf16"),
    )
    out: str | None = option(
        None, "folder of the run, which must not exist (default: runs/training-NAME-DATE-TIME)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        if self.averaging == 1:
            raise ValueError("averaging must be below 1, got 1.0; the mean would stay at the first weights")
        require_name(self.name)


@dataclass(frozen=True, kw_only=True)
class DigitsConfig(TrainingConfig):
    """How a network is trained on composites of digits; every field is an option of ``neuroattn.training digits``."""

    name: str = option("digits", "name of the network: of its file, and in recordings and tables")
    noise: float = option(0.3, "upper bound of the uniform background noise", unit="luminance", low=0, high=1)
    resample: bool = option(True, "labels of a composite may repeat (false: all differ)")
    hidden: tuple[int, ...] = option((20, 50), "feature channels of each stage, bottom up", low=1, high=MOST_CHANNELS)
    data: str | None = option(
        None, "folder with MNIST's four IDX files, or 'download'; without it, the folder in NEUROATTN_DATA", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        digits_config(n_objects=self.n_objects, channels=self.hidden)


@dataclass(frozen=True, kw_only=True)
class ScenesConfig(TrainingConfig):
    """How a network is trained on scenes of COCO; every field is an option of ``neuroattn.training scenes``."""

    name: str = option("scenes", "name of the network: of its file, and in recordings and tables")
    images: str = option("", "folder of COCO images", path=True)
    annotations: str = option("", "COCO's instance annotations for them, a JSON file", path=True)
    labels: str = option("supercategory", "what an object's class is", choices=("supercategory", "category"))
    size: tuple[int, ...] = option((100, 100), "height and width of the pictures", unit="px", low=1, high=MOST_PIXELS)
    cache: str | None = option(
        None, "folder for what is kept of the scenes (default: in the user's cache folder)", path=True
    )
    composites: int = option(
        2000, "copy-paste composites an epoch, of objects and photographs of the same annotations", low=0, high=10**6
    )
    least_cutout: float = option(
        0.01, "objects larger than this fraction of their image are cut out for composites", low=0, high=1
    )
    hidden: tuple[int, ...] = option(
        (30, 60, 100, 20), "feature channels of each stage, bottom up", low=1, high=MOST_CHANNELS
    )
    steps: int = option(5, "time steps T of a phase; with one there is no feedback", low=1, high=1000)
    strength: float = option(0.3, "gate strength s", low=0, high=1)
    initial: str = option(
        "he",
        "initial weights: torch's own, or He's, which keep the spread of responses from stage to stage",
        choices=("uniform", "he"),
    )
    batch_size: int = option(16, "pictures of a step", low=1, high=MOST_AT_ONCE)
    learning_rate: float = option(1e-4, "learning rate of Adam, the highest of a schedule", low=0, high=1)
    phi: float = option(500.0, "weight φ of the attention loss beside the classification loss", low=0)
    validation: float = option(0.2, "fraction of the scenes held out for validation, by image", low=0.01, high=0.9)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        for name in ("images", "annotations"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be named, as in --{name} PATH")
        if len(self.size) != 2:
            raise ValueError(f"size must be two numbers, height and width, got {len(self.size)}")
        # The classes are not known yet, and do not bear on the sizes.
        GatedConfig(size=(3, self.size[0], self.size[1]), channels=self.hidden, classes=1, steps=self.steps)
