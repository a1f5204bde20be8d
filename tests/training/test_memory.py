"""Freed memory stays with the process, whatever its environment asks for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_is_kept_though_a_dask_worker_is_told_to_give_it_back():
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
    ran = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert before > 20 * 5 * 500  # every page of every array, 512 of them
    assert after < before / 3  # those of the first round remain
