"""Rates of what scenes need before a network sees them.

    python benchmarks/scenes.py index INSTANCES.json [--images N]

``index`` repeats the images and objects of an annotation file, with ids of their own, until there are N images (118,287
in COCO's train2017), writes that to a temporary file, and times its index from the file on, in a process of its own
whose peak memory is told.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

_INDEX = """
import resource, sys, time
from pathlib import Path
from neuroattn.stimuli.coco import Rule, read_annotations, select_scenes
start = time.perf_counter()
annotations = read_annotations(Path(sys.argv[1]))
read = time.perf_counter() - start
index = select_scenes(annotations, Rule())
taken = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{index.n_scenes:,} scenes in {taken:.0f} s (reading {read:.0f} s), peak memory {peak:.2f} GiB")
"""


def index(file: Path, n_images: int) -> None:
    """Time the index of an annotation file of `n_images` images."""
    given = json.loads(file.read_text())
    n_copies = -(-n_images // len(given["images"]))
    step = 1 + max(entry["id"] for name in ("images", "annotations") for entry in given[name])
    whole = {"categories": given["categories"]}
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "instances.json"
        for name in ("images", "annotations"):
            entries = []
            for copy in range(n_copies):
                for entry in given[name]:
                    other = {"image_id": entry["image_id"] + copy * step} if name == "annotations" else {}
                    entries.append(entry | {"id": entry["id"] + copy * step} | other)
            whole[name] = entries[:n_images] if name == "images" else entries
        large.write_text(json.dumps(whole))
        n_annotations = len(whole["annotations"])
        print(f"{n_images:,} images, {n_annotations:,} annotations, {large.stat().st_size / 2**20:.0f} MiB", flush=True)
        del whole, entries
        subprocess.run([sys.executable, "-c", _INDEX, str(large)], check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["index"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--images", type=int, default=118_287)
    options = parser.parse_args()
    index(options.file, options.images)


if __name__ == "__main__":
    main()
