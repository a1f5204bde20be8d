"""``python -m neuroattn.stimuli scenes index|cache|show|download``: scenes made ready, and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.command.actions import Action, Names, run_action
from neuroattn.command.line import stop, tell
from neuroattn.runs.output_file import replacing, require_new, require_picture, write_csv
from neuroattn.stimuli.coco_download import SETS, download
from neuroattn.stimuli.config import CacheConfig, DownloadConfig, IndexConfig, ShowConfig

if TYPE_CHECKING:
    from neuroattn.stimuli.scenes import Scenes


def _index(config: IndexConfig, _: list[str]) -> None:
    from neuroattn.stimuli.coco import Rule
    from neuroattn.stimuli.scenes import load_index, tell_notes

    require_new("out", config.out)
    rule = Rule(least_area=config.least_area, most_overlap=config.most_overlap, n_objects=config.n_objects)
    index = load_index(config.annotations, config.cache, rule)
    if config.out is not None:
        write_csv(index.objects, config.out)
    tell_notes(index, tell)
    tell(f"{index.n_scenes:,} scenes in {index.annotations} (SHA-256 {index.sha256[:12]}), objects by supercategory:")
    tell(index.objects["supercategory"].value_counts().to_string())


def _cache(config: CacheConfig, _: list[str]) -> None:
    from neuroattn.stimuli.scenes import class_counts

    scenes = _scenes(config)
    tell(f"{len(scenes):,} scenes of {scenes.size[0]} × {scenes.size[1]} px, {scenes.n_objects} objects each:")
    tell(class_counts(scenes.labels, scenes.classes).to_string())


def _show(config: ShowConfig, _: list[str]) -> None:
    import numpy as np

    from neuroattn.figures.scenes import scenes_sheet
    from neuroattn.figures.style import save

    require_new("out", config.out)
    require_picture("out", config.out)
    scenes = _scenes(config)
    number = min(config.number, len(scenes))
    chosen = np.sort(np.random.default_rng(config.seed).choice(len(scenes), number, replace=False))
    part = scenes.select(chosen)
    names = [[part.classes[label] for label in labels] for labels in part.labels]
    titles = [Path(name).stem.lstrip("0") or "0" for name in part.table["file_name"]]
    sheet = scenes_sheet(part.images[part.rows], part.objects[part.rows], names, titles)
    with replacing(Path(config.out)) as file:
        save(sheet, file)
    tell(f"{number} of {len(scenes):,} scenes in {config.out}")


def _scenes(config: CacheConfig) -> Scenes:
    """Return the scenes, and tell what was left out."""
    from neuroattn.stimuli.scenes import tell_notes
    from neuroattn.stimuli.shown import scenes_for

    scenes = scenes_for([], config, n_objects=config.n_objects, labels=config.labels, size=config.size)
    tell_notes(scenes, tell)
    return scenes


def _download(config: DownloadConfig, sets: list[str]) -> None:
    images, annotations = download(sets[0], Path(config.out))
    tell(f"--images {images} --annotations {annotations}")


def _again(*_: object) -> str:
    return "what is done is kept; the same command goes on"


ACTIONS = {
    "index": Action(
        config=IndexConfig,
        description=(
            "Choose scenes from COCO's instance annotations by the paper's rule, and keep the choice: how many "
            "there are, how many objects of each class, and what was left out."
        ),
        usage="--annotations FILE [options]",
        run=_index,
    ),
    "cache": Action(
        config=CacheConfig,
        description="Decode the photographs of the scenes once, as networks take them, and keep them as 8-bit arrays.",
        usage="--images DIR --annotations FILE [options]",
        run=_cache,
        interrupted=_again,
    ),
    "show": Action(
        config=ShowConfig,
        description="Draw a sheet of scenes: photographs and their objects, as networks see them.",
        usage="--images DIR --annotations FILE [options]",
        run=_show,
        interrupted=_again,
    ),
    "download": Action(
        config=DownloadConfig,
        description=(
            f"Fetch a set of COCO 2017 ({' or '.join(SETS)}) and its annotations: an archive that was cut off goes "
            "on where it stopped."
        ),
        usage=f"{'|'.join(SETS)} [options]",
        run=_download,
        interrupted=_again,
        names=Names("SET", "a set", SETS[0]),
    ),
}


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv and argv[0] not in {"scenes", "-h", "--help"}:
        stop(f"what to make ready must be scenes, got {argv[0]!r}")
    rest = argv[1:] or [""] if argv[:1] == ["scenes"] else argv
    run_action("python -m neuroattn.stimuli scenes", "what to do with scenes", ACTIONS, rest)


if __name__ == "__main__":
    main(sys.argv[1:])
