"""A campaign against protocols: kills at random moments, full disks, memory that runs out, many networks.

Each run that was disturbed goes on with the same command to the very bytes of one that was not. `N_KILLS`, `N_DISKS`
and `N_NETWORKS` are small so that the campaign is always run; raise them to look for what is rare.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch

from neuroattn.experiments.inhibition_of_return.protocol import PROTOCOL
from neuroattn.experiments.line import main
from neuroattn.models.checkpoint import load_model, save_model

N_KILLS = 3
N_DISKS = 3
N_NETWORKS = 12
COMMANDS = {
    "tuning": ["--n_orientations", "6", "--n_widths", "1", "--n_x", "2", "--n_y", "2", "--n_units", "20"],
    "inhibition_of_return": ["--n_stimuli", "20", "--n_control_stimuli", "20"],
}
EVERY = ["--n_resamples", "100", "--controls", "none"]
TABLES = ("units.parquet", "statistics.csv")
# Everything is imported once, and each run is a fork: it can be killed after milliseconds of its own.
FORKS = """
import importlib, os, random, signal, sys, time
import matplotlib, statsmodels.api, scipy.stats, pyarrow, torch, xarray, zarr, seaborn, pandas
matplotlib.use("agg")
name, out, killed, n_kills, *options = sys.argv[1:]
protocol = importlib.import_module(f"neuroattn.experiments.{name}.protocol")
from neuroattn.experiments.line import main

def started(folder):
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        main(protocol.PROTOCOL, ["--out", folder, *options])
    except SystemExit as left:
        os._exit(left.code or 0)
    os._exit(70)

def seconds(folder):
    begun = time.monotonic()
    assert os.waitpid(started(folder), 0)[1] == 0
    return time.monotonic() - begun

whole, chance, deaths = seconds(out), random.Random(1), 0
for _ in range(int(n_kills)):
    child = started(killed)
    time.sleep(chance.uniform(0.02, 0.9) * whole)
    os.kill(child, signal.SIGKILL)
    deaths += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
seconds(killed)
print(deaths)
"""


def same_tables(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_protocol_survives_kills_at_random_moments(name, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = [name, str(whole), str(killed), str(N_KILLS), *COMMANDS[name], *EVERY]
    done = subprocess.run([sys.executable, "-c", FORKS, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 0  # a run that was done before its kill came is none
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}
    assert json.loads((killed / "run.json").read_text())["state"] == "done"
    assert same_tables(whole, killed)


def status(out, *options):
    """Return the exit status of a run of the protocol whose analysis is the quickest."""
    with pytest.raises(SystemExit) as left:
        main(PROTOCOL, ["--out", str(out), *options, *COMMANDS[PROTOCOL.name], *EVERY])
    return left.value.code


@pytest.mark.slow
def test_a_protocol_goes_on_after_a_disk_that_filled_up_at_any_point(disk, tmp_path, capsys):
    whole = tmp_path / "whole"
    assert status(whole) == 0
    used = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    out = disk("8k") / "run"
    for k in range(N_DISKS):
        disk(str(int(used * k / N_DISKS) + 8192))
        capsys.readouterr()
        assert status(out) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert line.startswith(f"error: '{out}")
        assert "could not be written (No space left on device) and is as it was before; " in line
        assert not [path.name for path in out.rglob("*") if ".part" in path.name]
    disk("64m")
    assert status(out) == 0
    assert same_tables(out, whole)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1, 40])
def test_memory_that_runs_out_is_one_line(megabytes, tmp_path):
    """In no more address space than that beyond what is taken after the imports."""
    code = (
        "import resource, sys, matplotlib, scipy.stats, statsmodels.api, torch, zarr, seaborn\n"
        "from neuroattn.experiments.inhibition_of_return import protocol\n"
        "from neuroattn.experiments.line import main\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)\n"
        "main(protocol.PROTOCOL, sys.argv[2:])"
    )
    arguments = [str(megabytes * 10**6), "--out", str(tmp_path / "run"), *COMMANDS[PROTOCOL.name], *EVERY]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: memory does not hold what was asked for")


@pytest.mark.slow
def test_many_networks(tmp_path):
    """Each is read, recorded and told of by itself, in the order of the options."""
    network, generator = load_model("digits-0"), torch.Generator().manual_seed(3)
    names = [f"n{number * 7 % N_NETWORKS}" for number in range(N_NETWORKS)]
    files = []
    for name in names:
        network.name = name
        bias = network.get_parameter("readout.bias")
        bias.data += 1e-6 * torch.randn(bias.shape, generator=generator)
        files.append(str(tmp_path / f"{name}.safetensors"))
        save_model(network, tmp_path / f"{name}.safetensors", training={}, provenance={})
    out = tmp_path / "run"
    assert status(out, "--models", *files) == 0
    assert pd.read_parquet(out / "units.parquet")["model"].drop_duplicates().tolist() == names
    table = pd.read_csv(out / "statistics.csv", keep_default_na=False).query("what == 'return' and control == ''")
    for _, rows in table.groupby("condition"):
        assert rows["model"].tolist() == ["", *names]
