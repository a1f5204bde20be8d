"""Freed memory stays with the process, whatever its environment asks for."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest
import torch

from neuroattn.compute import memory
from neuroattn.models.config import digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.training.memory import require_room_for_batch, require_room_for_weights

CODE = """
import resource, sys, threading
import numpy as np
from neuroattn.training.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(2**18) for _ in range(5)]  # 2 MiB each
        del arrays
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

def both():
    faults()
    keep_memory()
    faults()

thread = threading.Thread(target=both)  # where Dask's workers compute
thread.start()
thread.join()
"""


@pytest.mark.process
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_is_kept_though_a_dask_worker_is_told_to_give_it_back():
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
    ran = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert before > 20 * 5 * 500  # every page of every array, 512 of them
    assert after < before / 3  # those of the first round remain


@pytest.mark.parametrize("config", [digits_config(n_objects=3), scenes_config()])
def test_the_weights_of_a_network_are_counted_before_it_is_made(config):
    assert config.n_weights == sum(value.numel() for value in GatedNetwork(config).parameters())


def test_a_training_that_memory_does_not_hold(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**6)
    config, cpu = digits_config(), torch.device("cpu")
    needed = 16 * config.n_weights / 1e9
    text = f"hidden must fit in memory, got 20, 50 channels, which needs {needed:.3g} GB, and 0.001 GB are free; "
    with pytest.raises(ValueError, match=f"^{re.escape(text)}take fewer channels$"):
        require_room_for_weights(config, cpu)
    responses = 20 * 25 * 39 + 50 * 9 * 16
    needed = 4 * 11 * 2 * responses / 1e9
    text = f"batch_size must fit in memory, got 11 pictures of a step, which needs {needed:.3g} GB, and 0.001 GB are "
    with pytest.raises(ValueError, match=f"^{re.escape(text)}free; take fewer$"):
        require_room_for_batch(config, 11, 2, cpu)
    require_room_for_batch(config, 3, 2, cpu)
    with pytest.raises(ValueError, match=r"^batch_size must fit in memory, got 3 pictures"):
        require_room_for_batch(config, 3, None, cpu)
    require_room_for_weights(config, torch.device("cuda"))
    require_room_for_batch(config, 11, 2, torch.device("cuda"))
