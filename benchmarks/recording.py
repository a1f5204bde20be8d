"""What recording costs: rates beside a yardstick, streaming beside memory, hooks beside none, memory beside stimuli.

    python benchmarks/recording.py [--threads N] [--rounds R] [--yardstick COMMAND] [--folder DIR]

Runs the digits network on composites, in turn and round by round on the same machine, and prints medians and ratios:

- recording all gates and responses of the last step in memory, beside the yardstick (any command that prints one JSON
  line with ``items_per_second``);
- the same streamed to disk, beside the same run without writing (into room that every batch uses again); and all five
  steps of it; each with the time that the store's files take when they are written plainly, the disk's own share;
- trials with hooks on every variable of which nothing is kept, beside trials without hooks;
- peak memory (anonymous: what is not backed by a file) of streaming 10 × the stimuli, in a process of its own. The
  stimuli are files that are mapped, because they are not the recording's.

Measured on 2026-11-25, two cores of a shared virtual AMD EPYC whose first-touched memory takes up to 2.7 s/GB, two
threads, a tmpfs, medians of five rounds (lowest and highest): in memory 3.72 times the yardstick (3.48 to 3.77; 3.0 if
the memory was not touched before); streaming the last step 0.86 of the same run without writing (0.82 to 0.92); all
steps 0.51 (0.42 to 0.52), where the disk is the limit: these are 1.1 GB/s of values, and writing the compressed files
plainly takes longer than computing them. Hooks 0.94 (0.91 to 1.28), 0.98 in 54 pairs. Memory for ten times the stimuli:
410 and 423 MB, 1.03 times.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch

from neuroattn.models.checkpoint import load_model
from neuroattn.models.probe import probes
from neuroattn.models.trial import free_trial
from neuroattn.recording.record import record
from neuroattn.stimuli.digits import sample_composites, stimulus_set
from neuroattn.stimuli.mnist import embedded
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.clock import Clock
from neuroattn.subjects.gated import GatedSubject
from neuroattn.subjects.tap import tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.recording.run import Batch

VARIABLES = ["stage1/gate", "stage1/response", "stage2/gate", "stage2/response"]
STORE = "streamed.zarr"
BATCH = 64
TOUCHED_BYTES = 3 * 2**29


def rate(work: Callable[[], int]) -> float:
    """Return items per second of one call."""
    start = time.perf_counter()
    return work() / (time.perf_counter() - start)


def touch_memory() -> None:
    """Have the machine hand out memory and take it back: a virtual one may be slow the first time."""
    np.ones(TOUCHED_BYTES, np.uint8)


def in_memory(model: GatedNetwork, stimuli: StimulusSet, steps: list[int] | None) -> int:
    """Record and keep everything."""
    record(model, stimuli, VARIABLES, steps)
    return len(stimuli)


class Forgotten:
    """A sink that keeps nothing."""

    kept: ClassVar[dict[str, Any]] = {}

    def begin(self) -> None:
        """Forget nothing."""

    def take(self, batch: Batch) -> None:
        """Let the batch go."""

    def result(self) -> tuple[tuple[str, ...], pd.DataFrame, dict[str, dict[str, Any]]]:
        """Return a single zero a variable."""
        return ("condition",), pd.DataFrame({"of": ["all"]}), {name: {"nothing": np.zeros(1)} for name in VARIABLES}


def not_written(model: GatedNetwork, stimuli: StimulusSet, steps: list[int] | None) -> int:
    """Record, and keep nothing."""
    record(model, stimuli, VARIABLES, steps, sink=Forgotten())
    return len(stimuli)


def streamed(model: GatedNetwork, stimuli: StimulusSet, steps: list[int] | None, folder: Path) -> int:
    """Record into a store that must not be there."""
    record(model, stimuli, VARIABLES, steps, store=folder / STORE).close()
    return len(stimuli)


def write_again(folder: Path) -> float:
    """Write the files of a store beside it, plainly, and return how long that takes per GB: the disk's own share."""
    files = [path.read_bytes() for path in (folder / STORE).rglob("*") if path.is_file()]
    copy = folder / "copy"
    copy.mkdir()
    start = time.perf_counter()
    for number, content in enumerate(files):
        (copy / str(number)).write_bytes(content)
    taken = time.perf_counter() - start
    shutil.rmtree(copy)
    return taken * 1e9 / sum(map(len, files))


@torch.no_grad()
def trials(model: GatedNetwork, images: torch.Tensor) -> int:
    """Run free trials without a recorder."""
    for start in range(0, len(images), BATCH):
        for _ in free_trial(model, images[start : start + BATCH], 2, last_gates=True):
            pass
    return len(images)


def hooked(model: GatedNetwork, images: torch.Tensor) -> int:
    """Run the same trials with a hook on every variable, none of whose values are kept."""
    clock = Clock()
    tapped = GatedSubject(module=model, design="free", phases=2, last_gates=True).tapped(list(probes(model)))
    with tap(tapped, clock, lambda *_: None), clock.run(np.arange(len(images)), len(images)):
        clock.announce(0, 0)
        return trials(model, images)


def yardstick(command: str) -> float:
    """Return the items per second that a command prints."""
    line = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True).stdout
    found: float = json.loads(line)["items_per_second"]
    return found


def peak_memory(folder: Path, n_stimuli: int) -> float:
    """Return the peak anonymous memory in MB of a process that streams so many stimuli."""
    command = [sys.executable, __file__, "--peak", str(n_stimuli), "--folder", str(folder)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def stream_and_watch(folder: Path, n_stimuli: int) -> float:
    """Stream stimuli from mapped files, and return the most anonymous memory that was seen meanwhile, in MB."""
    images, objects = (np.load(folder / f"{name}.npy", mmap_mode="r")[:n_stimuli] for name in ("images", "objects"))
    shutil.rmtree(folder / STORE, ignore_errors=True)
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("RssAnon"))
            peak[0] = max(peak[0], int(line.split()[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        streamed(load_model("digits-0"), StimulusSet(images, objects), None, folder)
    finally:
        over.set()
        watcher.join()
    return peak[0] / 1e3


def main() -> None:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stimuli", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--yardstick", help="command that prints a JSON line with items_per_second")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(stream_and_watch(options.folder, options.peak))
        return
    model = load_model("digits-0")
    made = sample_composites(embedded(), options.stimuli, n_objects=2, noise=0.3, generator=torch.Generator())
    stimuli, last = stimulus_set(made), [model.config.steps - 1]
    more = sample_composites(embedded(), 4 * options.stimuli, n_objects=2, noise=0.3, generator=torch.Generator())
    many = stimulus_set(more)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    works: dict[str, Callable[[], int]] = {
        "memory, last step": lambda: in_memory(model, stimuli, last),
        "not written, last step": lambda: not_written(model, many, last),
        "disk, last step": lambda: streamed(model, many, last, folder),
        "not written, all steps": lambda: not_written(model, many, None),
        "disk, all steps": lambda: streamed(model, many, None, folder),
        "trials": lambda: trials(model, made.images),
        "trials, hooks on": lambda: hooked(model, made.images),
    }
    pairs = [("disk, last step", "not written, last step"), ("disk, all steps", "not written, all steps")]
    pairs += [("trials, hooks on", "trials")]
    if options.yardstick:
        works["yardstick"] = lambda: 0
        pairs = [("memory, last step", "yardstick"), *pairs]
    for pair in pairs:
        rates: dict[str, list[float]] = {name: [] for name in pair}
        plainly = []
        for round_ in range(-2, options.rounds):
            for name in pair:
                # Untimed: deleting a large store takes as long as filling a third of it.
                shutil.rmtree(folder / STORE, ignore_errors=True)
                touch_memory()
                found = yardstick(options.yardstick) if name == "yardstick" else rate(works[name])
                if round_ >= 0:  # the first two warm up
                    rates[name].append(found)
                    if name.startswith("disk"):
                        plainly.append(write_again(folder))
        for name, values in rates.items():
            print(f"{name:22s} {statistics.median(values):7.0f} /s   ({min(values):.0f} to {max(values):.0f})")
        if plainly:
            print(f"the store's files, written plainly: {statistics.median(plainly):.2f} s/GB")
        ratios = [x / y for x, y in zip(*rates.values(), strict=True)]
        print(f"{' / '.join(pair)}: {statistics.median(ratios):.3f}   ({min(ratios):.3f} to {max(ratios):.3f})\n")
    np.save(folder / "images.npy", np.concatenate([many.images, stimuli.images]))
    np.save(folder / "objects.npy", np.concatenate([more.objects, made.objects]))
    n = options.stimuli // 2
    peaks = [[peak_memory(folder, k * n) for _ in range(options.rounds)] for k in (1, 10)]
    few, tenfold = map(statistics.median, peaks)
    print(
        f"peak memory, all steps to disk: {few:.0f} MB for {n} stimuli, {tenfold:.0f} MB for ten times as many", end=" "
    )
    print(f"({tenfold / few:.3f} ×, medians)")
    print(f"{options.threads} threads, torch {torch.__version__}, Python {sys.version.split()[0]}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
