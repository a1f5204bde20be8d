"""The options of the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuroattn.command.groups import Photographs, require_both
from neuroattn.command.option import check_options, option, varied
from neuroattn.experiments.protocol import CommandConfig
from neuroattn.runs.plain_text import shown


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig, Photographs):
    """Options of the command."""

    models: tuple[str, ...] = option(
        tuple(f"digits-{seed}" for seed in range(10)),
        "our networks: shipped names, or paths of .safetensors files",
        path=True,
    )
    published: str | None = option(
        None, "the weights published with the paper (a .pt file); none: ours alone", path=True
    )
    data: str | None = option(
        None,
        "folder with MNIST's test files, or 'download', for the official test digits; none: the embedded digits",
        path=True,
    )
    composites: int = option(10_000, "composites of the evaluation", low=2)
    n_bars: int = option(11, "places of the tuning protocol's bar along each axis", low=2, high=11)
    tuning_networks: int = option(3, "how many of our networks go through the tuning protocol", low=0)
    published_scenes: str | None = option(
        None, "the scenes weights published with the paper (a .pt file); none: ours alone", path=True
    )
    scenes_models: tuple[str, ...] = option(
        (), "our networks of scenes: shipped names, or paths (none: all that are shipped)", path=True
    )
    images: str | None = varied(
        Photographs, "images", description="folder of COCO images, for the numbers of scenes; none: they are not run"
    )
    sweep: str | None = option(
        None, "table of a penalty sweep (none: the one that travels with the package)", path=True
    )

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        for name in ("published", "published_scenes"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise ValueError(f"{name} must be a file that exists, got {shown(file)}; check the path")
        if self.published and not self.data:
            raise ValueError(
                "data must be named with published: those weights were trained on digits that are embedded here, and "
                "their numbers are of test digits"
            )
        require_both(self)
        if len(set(self.scenes_models)) < len(self.scenes_models):
            raise ValueError(f"scenes_models must name different networks, got {', '.join(self.scenes_models)}")
        if self.published_scenes and not self.images:
            raise ValueError("images must be named with published_scenes, got none; name the folder of COCO's images")
