"""Options of evaluation, and of model cards."""

from __future__ import annotations

from dataclasses import dataclass

from neuroattn.command.groups import Compute, Digits, Mnist, Models, NamedPhotographs, Noise, SceneKind, Seed
from neuroattn.command.option import option, varied


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Compute, Models):
    """Which networks are evaluated."""

    strength: float | None = option(None, "gate strength s in place of the checkpoint's", low=0, high=1)
    out: str | None = option(None, "CSV file for the table, which must not exist", path=True)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        if not self.models:
            raise ValueError("models must name at least one network, got none")
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models must name different networks, got {', '.join(self.models)}")


@dataclass(frozen=True, kw_only=True)
class DigitsConfig(Seed, Noise, Digits, EvaluationConfig):
    """Which networks are evaluated on which composites of digits."""

    n_objects: int | None = option(
        None, "digits of a composite, which must be what the networks take (default: that)", low=2, high=10
    )
    composites: int | None = option(None, "number of composites (default: one for every digit)", low=2)


@dataclass(frozen=True, kw_only=True)
class ScenesConfig(SceneKind, NamedPhotographs, EvaluationConfig):
    """Which networks are evaluated on which scenes."""

    models: tuple[str, ...] = varied(Models, "models", default=())
    held_out_of: str | None = option(
        None, "a network: only the scenes that its training held out, for all networks (default: all scenes)", path=True
    )
    figure: str | None = option(
        None, "PNG or SVG file for the confusion matrix of one network, which must not exist", path=True
    )
    export_coco: str | None = option(
        None, "JSON file for the gates of one network as results in COCO's format, which must not exist", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        for name in ("figure", "export_coco"):
            if getattr(self, name) is not None and len(self.models) > 1:
                raise ValueError(f"{name} must be for one network, got {len(self.models)}; name one with --models")


@dataclass(frozen=True, kw_only=True)
class CardOptions(Compute, Models):
    """Which networks a model card is about."""

    models: tuple[str, ...] = varied(
        Models,
        "models",
        default=(),
        description="networks: shipped names or .safetensors files (default: all of their kind that are shipped)",
    )
    out: str | None = option(None, "Markdown file, written anew (default: standard output)", path=True)


@dataclass(frozen=True, kw_only=True)
class CardConfig(Seed, Noise, Mnist, CardOptions):
    """Which networks of digits a model card is about, and the composites that they are evaluated on."""


@dataclass(frozen=True, kw_only=True)
class ScenesCardConfig(NamedPhotographs, CardOptions):
    """Which networks of scenes a model card is about, and the scenes that they were trained with."""

    beside: tuple[str, ...] = option(
        (),
        "networks to stand beside, on the same scenes: shipped names, .safetensors or published .pt files",
        path=True,
    )
