"""Rates of what scenes need before a network sees them, and of the network that sees them.

    python benchmarks/scenes.py index INSTANCES.json [--number N]
    python benchmarks/scenes.py epoch INSTANCES.json --images DIR [--number N] [--threads N]
    python benchmarks/scenes.py evaluate INSTANCES.json --images DIR [--number N] [--threads N] [--yardstick COMMAND]

``index`` repeats the images and objects of an annotation file, with ids of their own, until there are N images (118,287
in COCO's train2017), writes that to a temporary file, and times its index from the file on, in a process of its own
whose peak memory is told. ``epoch`` loads the file's scenes, decoded once, in batches of 32 until N have been loaded.
``evaluate`` evaluates an untrained network of the paper's architecture on them, scores included, until N have
been seen. A yardstick is any command that prints one JSON line with ``items_per_second``, run before and after.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

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


def epoch(file: Path, images: Path, number: int, threads: int) -> None:
    """Time batches of scenes, shuffled, as a training loads them."""
    import torch

    from neuroattn.stimuli.scenes import load_scenes
    from neuroattn.training.memory import keep_memory

    torch.set_num_threads(threads)
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        scenes = load_scenes(images, file, cache=folder)
        generator = np.random.default_rng(0)
        order = [generator.permutation(len(scenes)) for _ in range(-(-number // len(scenes)))]
        batches = np.array_split(np.concatenate(order)[:number], number // 32)
        scenes.batch(batches[0])
        start = time.perf_counter()
        for batch in batches:
            scenes.batch(batch)
        taken = time.perf_counter() - start
    print(f"{number:,} scenes loaded in {taken:.1f} s, {number / taken:,.0f} a second ({threads} threads)")


def evaluate(file: Path, images: Path, number: int, threads: int, yardstick: str | None) -> None:
    """Time the evaluation of a network on scenes."""
    import torch

    from neuroattn.evaluation.scenes import evaluate_scenes
    from neuroattn.models.config import scenes_config
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import load_scenes

    def measure_yardstick() -> list[float]:
        if yardstick is None:
            return []
        line = subprocess.run(shlex.split(yardstick), capture_output=True, text=True, check=True).stdout
        return [json.loads(line)["items_per_second"]]

    torch.set_num_threads(threads)
    model = GatedNetwork(scenes_config(), torch.Generator().manual_seed(0), initial="he").eval()
    with tempfile.TemporaryDirectory() as folder:
        scenes = load_scenes(images, file, cache=folder)
        repeated = scenes.select(np.arange(number) % len(scenes))
        evaluate_scenes(model, scenes)
        plain = measure_yardstick()
        start = time.perf_counter()
        evaluate_scenes(model, repeated)
        rate = number / (time.perf_counter() - start)
        plain += measure_yardstick()
    ratio = f", {rate / np.mean(plain):.1f} × the yardstick ({np.mean(plain):.1f} a second)" if plain else ""
    print(f"{number:,} scenes evaluated, {rate:.0f} a second ({threads} threads){ratio}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["index", "epoch", "evaluate"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--number", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--yardstick", help="command that prints a JSON line with items_per_second")
    options = parser.parse_args()
    if options.what == "index":
        index(options.file, options.number or 118_287)
    elif options.what == "evaluate":
        evaluate(options.file, options.images, options.number or 500, options.threads, options.yardstick)
    else:
        epoch(options.file, options.images, options.number or 10_000, options.threads)


if __name__ == "__main__":
    main()
