"""Rates of the protocols, statistics included.

    python benchmarks/protocols.py [--threads N] [--gating COMMAND] [--tuning COMMAND]

Times the gating contrast over 10,000 composites (making them, running them, intervals), the tuning protocol over its
14,520 bars (recording, fits and statistics, without controls) and its trials alone, a hierarchical bootstrap of ten
networks with 20,000 units each, and the fits of 100,000 tuning curves in two states, of which a sample is compared with
scipy's. A yardstick is any command that prints one JSON line with ``items_per_second``; it is run before and after, and
the ratio to its mean printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from scipy.optimize import curve_fit

from neuroattn.evaluation.trials import evaluate
from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.models.checkpoint import load_model
from neuroattn.models.trial import free_trial
from neuroattn.statistics.resampling import hierarchical_bootstrap
from neuroattn.statistics.tuning_curve import fit_tuning
from neuroattn.stimuli.digits import sample_composites
from neuroattn.stimuli.mnist import embedded

if TYPE_CHECKING:
    from collections.abc import Callable

N_COMPOSITES, N_CURVES, N_CHECKED = 10_000, 100_000, 500


def gating() -> int:
    """Take the gating contrast of digits-0; return of how many composites."""
    generator = torch.Generator().manual_seed(0)
    shown = sample_composites(embedded(), N_COMPOSITES, n_objects=2, noise=0.3, generator=generator)
    evaluate(load_model("digits-0"), shown)
    return N_COMPOSITES


def tuning_protocol(design: str) -> int:
    """Run the tuning protocol on digits-0; return on how many bars."""
    config = tuning.Config(design=design, controls=("none",))
    stimuli = tuning.stimuli(config, ())
    tree = tuning.recording(config, load_model("digits-0"), stimuli)
    tuning.analysis(config, xr.DataTree.from_dict({"/digits-0": tree}))
    return len(stimuli)


@torch.no_grad()
def trials(images: torch.Tensor) -> int:
    """Run the free trials of the tuning protocol with nothing kept: no protocol can be faster."""
    model = load_model("digits-0")
    for batch in images.split(256):
        for _ in free_trial(model, batch, 2):
            pass
    return len(images)


def bootstrap() -> int:
    """Bootstrap the mean over ten networks of 20,000 units; return how many resamples."""
    random = np.random.default_rng(0)
    values = random.normal(size=200_000)
    hierarchical_bootstrap(values, [np.repeat(np.arange(10), 20_000)], "mean", 2_000, random, expanded=True)
    return 2_000


def curves() -> tuple[np.ndarray, np.ndarray]:
    """Return orientations and noisy von Mises curves (state, unit, orientation)."""
    random, orientation = np.random.default_rng(0), np.arange(0, 180, 9.0)
    baseline, amplitude = random.uniform(0.2, 1, (N_CURVES, 1)), random.uniform(1, 4, (N_CURVES, 1))
    kappa, preferred = random.uniform(0.8, 4, (N_CURVES, 1)), random.uniform(0, 180, (N_CURVES, 1))
    curve = np.exp(kappa * (np.cos(np.deg2rad(2 * (orientation - preferred))) - 1))
    noise = random.normal(0, 0.05, (2, N_CURVES, len(orientation)))
    return orientation, np.stack([baseline + 1.3 * amplitude * curve, baseline + amplitude * curve]) + noise


def of_scipy(orientation: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Return baseline, amplitude, κ and preferred orientation that scipy fits to a curve."""

    def model(angle: np.ndarray, base: float, height: float, kappa: float, peak: float) -> np.ndarray:
        return base + height * np.exp(kappa * (np.cos(np.deg2rad(2 * (angle - peak))) - 1))

    start = [response.min(), np.ptp(response), 2.0, orientation[response.argmax()]]
    found: np.ndarray = curve_fit(model, orientation, response, start, maxfev=5000)[0]
    return found


def fits() -> str:
    """Time the fits, and compare a sample with scipy's."""
    orientation, responses = curves()
    start = time.perf_counter()
    tables = [fit_tuning(orientation, state) for state in responses]
    seconds = time.perf_counter() - start
    names, worst = ["baseline", "amplitude", "kappa"], 0.0
    for table, state in zip(tables, responses, strict=True):
        for unit in range(N_CHECKED):
            expected = of_scipy(orientation, state[unit])
            found = table.loc[unit, names].to_numpy(float)
            worst = max(worst, float(np.abs(found / expected[:3] - 1).max()))
    checked = f"{2 * N_CHECKED} of them at most {100 * worst:.4f} % from scipy's"
    return f"fits of {N_CURVES:,} curves in two states: {seconds:.1f} s; {checked}"


def yardstick(command: str) -> float:
    """Return the rate that a command measures."""
    shown = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True)
    rate: float = json.loads(shown.stdout.strip().splitlines()[-1])["items_per_second"]
    return rate


def timed(name: str, work: Callable[[], int], command: str | None) -> None:
    """Print a rate, and its ratio to a yardstick that is run before and after."""
    rates = [yardstick(command)] if command else []
    start = time.perf_counter()
    number = work()
    seconds = time.perf_counter() - start
    rates += [yardstick(command)] if command else []
    ratio = f", {number / seconds / np.mean(rates):.1f} times the yardstick" if rates else ""
    print(f"{name}: {number:,} in {seconds:.1f} s, {number / seconds:.0f} a second{ratio}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gating")
    parser.add_argument("--tuning")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timed("gating contrast", gating, options.gating)
    # The free order takes two phases a bar, the cued design four, of which two make the cues.
    timed("tuning protocol, free order", lambda: tuning_protocol("free"), options.tuning)
    timed("tuning protocol, cued", lambda: tuning_protocol("cued"), options.tuning)
    images = torch.from_numpy(np.ascontiguousarray(tuning.stimuli(tuning.Config(), ()).images))
    timed("its free trials alone", lambda: trials(images), options.tuning)
    timed("hierarchical bootstrap", bootstrap, None)
    print(fits(), flush=True)


if __name__ == "__main__":
    main()
