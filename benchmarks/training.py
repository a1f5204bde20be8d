"""How many composites a second training takes, by recipe, precision, batch and processes.

    python benchmarks/training.py [--rounds R] [--seconds S] [--threads N] [--digits COMMAND] [--scenes COMMAND]

Each case is a process of its own (or several, under torchrun, that share the threads), run in turn, round by round,
on the same machine; printed are medians, lowest and highest, and ratios to the yardsticks: any commands that print one
JSON line with ``items_per_second``, for digits and for scenes. Composites of digits are drawn as in a training; scenes
are random pictures of the scenes' size, since what is on them costs nothing.

Measured on 2026-11-25, two cores of a virtual AMD EPYC (Zen 5, with bfloat16), two threads, torch 2.13.0, medians of
two rounds in composites a second, beside textbook networks in eager float32 whose composites are made one by one
(digits 166.5, scenes 5.3):

    digits, batch 64    the paper's recipe 599 (3.6 times), in bfloat16 712 (4.3), with gradients of 2 steps 1,069
                        (6.4), our recipe 1,263 (7.6), in 2 processes 1,014 (6.1)
    our recipe          batch 128: 1,322 (7.9), in 2 processes 1,187 (7.1); batch 256: 1,343 (8.1)
    scenes, batch 32    the paper's recipe 24.5 (4.7), in bfloat16 34.6 (6.6), with gradients of 2 steps 62.0 (11.8),
                        in 2 processes 63.4 (12.0)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from neuroattn.models.config import digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli.digits import Composites, composites
from neuroattn.stimuli.mnist import embedded
from neuroattn.training.config import DigitsConfig
from neuroattn.training.launch import launched
from neuroattn.training.loop import train_trial
from neuroattn.training.optimisation import Optimisation

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 3  # batches


class Case(NamedTuple):
    """What is timed: stimuli, composites a batch, options of the training, processes."""

    name: str
    stimuli: str
    batch: int
    options: dict[str, Any]
    processes: int = 1


# Whatever the defaults, which are our recipe.
PAPER: dict[str, Any] = {"precision": "32", "gradient_steps": None, "clip": None, "schedule": "constant"}
OURS: dict[str, Any] = {"precision": "bf16", "gradient_steps": 2, "clip": 1.0, "schedule": "one-cycle"}
SCENES = {"phi": 5000.0}
CASES = (
    Case("digits, the paper's recipe", "digits", 64, PAPER),
    Case("digits, bfloat16", "digits", 64, {**PAPER, "precision": "bf16"}),
    Case("digits, gradients of 2 steps", "digits", 64, {**PAPER, "gradient_steps": 2}),
    Case("digits, our recipe", "digits", 64, OURS),
    Case("digits, our recipe, batch 128", "digits", 128, OURS),
    Case("digits, our recipe, batch 256", "digits", 256, OURS),
    Case("digits, our recipe, 2 processes", "digits", 64, OURS, 2),
    Case("digits, our recipe, batch 128, 2 processes", "digits", 128, OURS, 2),
    Case("scenes, the paper's recipe", "scenes", 32, {**PAPER, **SCENES}),
    Case("scenes, bfloat16", "scenes", 32, {**PAPER, **SCENES, "precision": "bf16"}),
    Case("scenes, bfloat16, gradients of 2 steps", "scenes", 32, {**OURS, **SCENES}),
    Case("scenes, bfloat16, gradients of 2 steps, 2 processes", "scenes", 32, {**OURS, **SCENES}, 2),
)


def work(case: Case, seconds: float, threads: int) -> float:
    """Train for some seconds and return composites per second."""
    torch.set_num_threads(threads)
    config = DigitsConfig(batch_size=case.batch, **case.options)
    fabric = launched("auto", config.precision)
    architecture = digits_config() if case.stimuli == "digits" else scenes_config()
    network = GatedNetwork(architecture, torch.Generator().manual_seed(0))
    optimisation = Optimisation(fabric, network, config, 1_000_000)
    draw = digits(case.batch, fabric.device) if case.stimuli == "digits" else scenes(case.batch, fabric.device)
    for _ in range(WARM_UP):
        train_trial(optimisation, draw(), config, fabric)
    start, done = time.perf_counter(), 0
    over = False
    while not over:
        train_trial(optimisation, draw(), config, fabric)
        done += case.batch
        over = bool(fabric.broadcast(time.perf_counter() - start > seconds))  # all stop after the same batch
    return done / (time.perf_counter() - start)


def digits(batch: int, device: torch.device) -> Callable[[], Composites]:
    """Return what draws a batch of composites of digits."""
    every, generator = embedded(), torch.Generator().manual_seed(0)

    def draw() -> Composites:
        first = torch.randint(len(every), (batch,), generator=generator)
        return composites(every, first, generator=generator, device=device)

    return draw


def scenes(batch: int, device: torch.device) -> Callable[[], Composites]:
    """Return what gives a batch of pictures of the scenes' size."""
    generator = torch.Generator().manual_seed(0)
    pictures = Composites(
        images=torch.rand(batch, 3, 100, 100, generator=generator).to(device),
        objects=torch.rand(batch, 2, 3, 100, 100, generator=generator).to(device),
        labels=torch.randint(12, (batch, 2), generator=generator).to(device),
        digit=torch.zeros(batch, 2, dtype=torch.long),
    )
    return lambda: pictures


def measured(case: Case, seconds: float, threads: int) -> float:
    """Run a case in processes of its own."""
    own = [__file__, "--case", case.name, "--seconds", str(seconds), "--threads", str(threads // case.processes)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(case.processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads // case.processes)}
    return rate([sys.executable, *(launcher if case.processes > 1 else []), *own], environment)


def rate(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Return what a command says in its last line."""
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{ran.stderr}")
    return float(json.loads(ran.stdout.splitlines()[-1])["items_per_second"])


def main() -> None:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--digits", help="yardstick for digits: a command that prints a line with items_per_second")
    parser.add_argument("--scenes", help="the same for scenes")
    parser.add_argument("--only", default="", help="cases whose names hold this text")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        (case,) = (case for case in CASES if case.name == options.case)
        found = work(case, options.seconds, options.threads)
        if int(os.environ.get("RANK", "0")) == 0:
            print(json.dumps({"items_per_second": found}))
        return
    yardsticks = {
        name: shlex.split(command)
        for name, command in (("digits", options.digits), ("scenes", options.scenes))
        if command
    }
    cases = [case for case in CASES if options.only in case.name]
    rates: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, command in yardsticks.items():
            rates.setdefault(name, []).append(rate(command))
        for case in cases:
            rates.setdefault(case.name, []).append(measured(case, options.seconds, options.threads))
    for name, values in rates.items():
        stimuli = name.partition(",")[0]
        ratio = f"{statistics.median(values) / statistics.median(rates[stimuli]):6.2f} ×" if stimuli in rates else ""
        print(f"{name:52s} {statistics.median(values):8.1f} /s  ({min(values):.1f}-{max(values):.1f}) {ratio}")
    print(f"{options.threads} threads, {platform.processor() or platform.machine()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
