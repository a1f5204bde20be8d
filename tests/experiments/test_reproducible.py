"""The same command gives the same bytes, whatever order a store lists its groups in, and on any number of cores."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from neuroattn.experiments import pairs
from neuroattn.experiments.activity_scaling import protocol as activity_scaling
from neuroattn.models.checkpoint import load_models
from neuroattn.subjects.adapter import subject_of

SMALL = {
    "activity_scaling": "--n_stimuli 20 --n_control_stimuli 20 --n_units 12 --strengths 0.2",
    "inhibition_of_return": "--n_stimuli 40 --n_control_stimuli 20",
    "tuning": "--n_orientations 6 --n_widths 1 --n_x 2 --n_y 2 --n_units 20",
}
EVERY = ["--n_resamples", "100", "--controls", "shuffled_gates", "untrained", "--models", "digits-0", "digits-1"]
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def relisted(tree: xr.DataTree, random: np.random.Generator) -> xr.DataTree:
    """Return a tree whose groups are listed in another order at every level below the networks."""
    children = list(tree.children)
    found = xr.DataTree(
        tree.to_dataset(inherit=False),
        children={str(name): relisted(tree[str(name)], random) for name in random.permutation(children)},
    )
    found.attrs = tree.attrs
    return found


@pytest.mark.slow
def test_the_order_in_which_a_store_lists_its_groups_does_not_matter():
    names = ("digits-0", "digits-1")
    config = activity_scaling.Config(
        models=names, n_stimuli=20, n_control_stimuli=20, n_units=30, n_resamples=100, strengths=(0.0, 0.2),
        controls=("shuffled_gates", "untrained"),
    )  # fmt: skip
    shown = pairs.pair_stimuli(config, ())
    trees = {model.name: activity_scaling.recording(config, subject_of(model), shown) for model in load_models(names)}
    tables = set()
    for repeat in range(8):
        random = np.random.default_rng(repeat)
        found = xr.DataTree(children={name: relisted(tree, random) for name, tree in trees.items()})
        analysed = activity_scaling.analysis(config, found)
        tables.add((analysed.statistics.to_csv(), analysed.units.to_csv(), analysed.text))
    assert len(tables) == 1


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores, and a system that lets a process choose")
@pytest.mark.parametrize("name", SMALL)
def test_the_same_command_gives_the_same_tables_on_one_core_and_on_two(name, tmp_path):
    command = [sys.executable, "-m", f"neuroattn.experiments.{name}", *SMALL[name].split(), *EVERY]
    # Tests give every process one thread; users' have as many as there are cores.
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    found = set()
    for repeat, cores in enumerate([CORES[:1], CORES[:2]]):
        folder = tmp_path / str(repeat)
        subprocess.run(
            [*command, "--out", folder], check=True, capture_output=True,
            env=environment, preexec_fn=lambda cores=cores: os.sched_setaffinity(0, cores),
        )  # fmt: skip
        found.add(tuple((folder / name).read_bytes() for name in ("statistics.csv", "units.parquet")))
    assert len(found) == 1
