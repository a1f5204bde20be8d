"""Rates of the network, beside the same network with its top-down convolution in the textbook order.

    python benchmarks/network.py [--threads N] [--seconds S] [--yardstick COMMAND]

Prints trials per second of the digits network without gradients, as a ratio to the textbook order, run in turn in the
same minute; `benchmarks/training.py` is about training. A yardstick is any command that prints one JSON line with
``items_per_second``; it is run in between, and the ratio to it printed too.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.top_down import TopDown
from neuroattn.models.trial import free_trial
from neuroattn.stimuli.digits import composites
from neuroattn.stimuli.mnist import embedded

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 64


class Textbook(TopDown):
    """The transposed convolution of both maps after their resize."""

    def forward(self, top_down: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Resize, concatenate, convolve."""
        height, width = (len(side) - self.kernel + 1 for side in (self.rows, self.columns))
        both = [F.interpolate(maps, size=(height, width)) for maps in (top_down, pooled)]
        result: torch.Tensor = self.deconv(torch.cat(both, 1))
        return result


def network(kind: type[TopDown]) -> GatedNetwork:
    """Return a fresh digits network whose top-down path is of a kind."""
    made = GatedNetwork(digits_config(), torch.Generator().manual_seed(0))
    for stage in made.stages:
        stage.top_down.__class__ = kind  # the same weights and buffers, another order of the same sums
    return made


def rate(work: Callable[[], None], seconds: float) -> float:
    """Return items per second of work on batches, after a warm-up."""
    work()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        done += BATCH
    return done / (time.perf_counter() - start)


def evaluating(model: GatedNetwork, images: torch.Tensor) -> Callable[[], None]:
    """Return one batch of free trials of two phases."""

    @torch.no_grad()
    def work() -> None:
        for _ in free_trial(model, images, 2):
            pass

    return work


def main() -> None:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--yardstick", help="command that prints a JSON line with items_per_second")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batch = composites(embedded(), torch.arange(0, 5000, 5000 // BATCH)[:BATCH], generator=torch.Generator())
    works: dict[str, Callable[[], None]] = {}
    for name, kind in (("ours", TopDown), ("textbook", Textbook)):
        model = network(kind)
        works[f"trials, {name}"] = evaluating(model, batch.images)
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            rates[name].append(rate(work, options.seconds))
        if options.yardstick:
            line = subprocess.run(shlex.split(options.yardstick), capture_output=True, text=True, check=True).stdout
            rates.setdefault("yardstick", []).append(json.loads(line)["items_per_second"])
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in medians.items():
        other = medians.get("yardstick", medians[name.partition(",")[0] + ", textbook"] if "," in name else value)
        print(f"{name:20s} {value:8.0f} /s   {value / other:5.2f} ×")
    print(f"{options.threads} threads, torch {torch.__version__}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
