"""``python -m neuroattn.stimuli scenes index|cache|show|download``: scenes made ready, and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuroattn.command.line import read_options, run_command, stop, tell
from neuroattn.command.program import program
from neuroattn.runs.output_file import replacing, require_new, require_picture, write_csv
from neuroattn.stimuli.coco_download import SETS, download
from neuroattn.stimuli.config import CacheConfig, DownloadConfig, IndexConfig, ShowConfig

if TYPE_CHECKING:
    from neuroattn.stimuli.scenes import Scenes

PROG = program("python -m neuroattn.stimuli scenes")
INDEX = """Choose scenes from COCO's instance annotations by the paper's rule, and keep the choice: how many there are,
how many objects of each class, and what was left out."""
CACHE = """Decode the photographs of the scenes once, as networks take them, and keep them as 8-bit arrays."""
SHOW = """Draw a sheet of scenes: photographs and their objects, as networks see them."""
DOWNLOAD = f"""Fetch a set of COCO 2017 ({" or ".join(SETS)}) and its annotations: an archive that was cut off goes on
where it stopped."""
USAGE = f"""usage: {PROG} index --annotations FILE [options]
       {PROG} cache --images DIR --annotations FILE [options]
       {PROG} show --images DIR --annotations FILE [options]
       {PROG} download {"|".join(SETS)} [options]

  index     {INDEX}
  cache     {CACHE}
  show      {SHOW}
  download  {DOWNLOAD}

Each has --help."""


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []) or argv[1:2] in (["-h"], ["--help"]):
        tell(USAGE)
        raise SystemExit(0 if argv else 2)
    if argv[0] != "scenes":
        stop(f"what to make ready must be scenes, got {argv[0]!r}")
    what, rest = (argv[1:2] or [""])[0], argv[2:]
    again = "what is done is kept; the same command goes on"
    if what == "index":
        index = read_options(IndexConfig, rest, prog=f"{PROG} index", description=INDEX)
        run_command(lambda: _index(index), interrupted=lambda: "nothing was kept")
    if what == "cache":
        cache = read_options(CacheConfig, rest, prog=f"{PROG} cache", description=CACHE)
        run_command(lambda: _cache(cache), interrupted=lambda: again)
    if what == "show":
        show = read_options(ShowConfig, rest, prog=f"{PROG} show", description=SHOW)
        run_command(lambda: _show(show), interrupted=lambda: again)
    if what == "download":
        if not rest or (rest[0].startswith("-") and rest[0] not in {"-h", "--help"}):
            stop(f"a set must be named, as in {PROG} download {SETS[0]}")
        named = [] if rest[0].startswith("-") else rest[:1]
        config = read_options(DownloadConfig, rest[len(named) :], prog=f"{PROG} download SET", description=DOWNLOAD)
        run_command(lambda: _download(named[0], config), interrupted=lambda: again)
    stop(f"what to do with scenes must be index, cache, show or download, got {what!r}")


def _index(config: IndexConfig) -> None:
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


def _cache(config: CacheConfig) -> None:
    from neuroattn.stimuli.scenes import class_counts, tell_notes

    scenes = _scenes(config)
    tell_notes(scenes, tell)
    tell(f"{len(scenes):,} scenes of {scenes.size[0]} × {scenes.size[1]} px, {scenes.n_objects} objects each:")
    tell(class_counts(scenes.labels, scenes.classes).to_string())


def _show(config: ShowConfig) -> None:
    import numpy as np

    from neuroattn.figures.scenes import scenes_sheet
    from neuroattn.stimuli.scenes import tell_notes

    require_new("out", config.out)
    require_picture("out", config.out)
    scenes = _scenes(config)
    tell_notes(scenes, tell)
    number = min(config.number, len(scenes))
    chosen = np.sort(np.random.default_rng(config.seed).choice(len(scenes), number, replace=False))
    part = scenes.select(chosen)
    names = [[part.classes[label] for label in labels] for labels in part.labels]
    titles = [Path(name).stem.lstrip("0") or "0" for name in part.table["file_name"]]
    sheet = scenes_sheet(part.images[part.rows], part.objects[part.rows], names, titles)
    with replacing(Path(config.out)) as file:
        sheet.savefig(file, dpi=300)
    tell(f"{number} of {len(scenes):,} scenes in {config.out}")


def _scenes(config: CacheConfig) -> Scenes:
    from neuroattn.stimuli.scenes import load_scenes

    size = (config.size[0], config.size[1])
    return load_scenes(
        config.images,
        config.annotations,
        size=size,
        n_objects=config.n_objects,
        labels=config.labels,
        cache=config.cache,
    )


def _download(which: str, config: DownloadConfig) -> None:
    images, annotations = download(which, Path(config.out))
    tell(f"--images {images} --annotations {annotations}")


if __name__ == "__main__":
    main(sys.argv[1:])
