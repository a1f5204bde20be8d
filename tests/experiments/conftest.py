"""Commands of protocols in this process, their finished runs, and a small network of scenes."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest
import torch

from neuroattn.experiments.line import main
from neuroattn.experiments.run import protocol_named
from neuroattn.models.checkpoint import save_model
from neuroattn.models.config import GatedConfig
from neuroattn.models.gated import GatedNetwork

SMALL = {
    "tuning": "--n_orientations 10 --n_widths 1 --n_x 2 --n_y 3 --n_units 3000",
    "activity_scaling": "--n_stimuli 60 --n_control_stimuli 20 --n_units 150 --strengths 0 0.2 0.5",
    "inhibition_of_return": "--n_stimuli 60 --n_control_stimuli 30",
}


@pytest.fixture(scope="session")
def command():
    """Run the command of a protocol, or of its name; return its status, and what it wrote to either stream."""

    def ran(protocol, *arguments):
        protocol = protocol_named(protocol) if isinstance(protocol, str) else protocol
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
            main(protocol, list(map(str, arguments)))
        return int(left.value.code or 0), out.getvalue(), err.getvalue()

    return ran


@pytest.fixture(scope="session")
def refused(command):
    """Run a command that must fail with status 2 and one line; return that line without its start."""

    def failed(protocol, *arguments):
        status, out, err = command(protocol, *arguments)
        assert (status, out, err.count("\n"), err[:7]) == (2, "", 1, "error: ")
        return err[7:].rstrip()

    return failed


@pytest.fixture(scope="session")
def small():
    """Options of a small run of each protocol."""
    return {name: [*options.split(), "--n_resamples", "100"] for name, options in SMALL.items()}


@pytest.fixture(scope="session")
def finished(command, small, made_once):
    """Return the folder of a small run of a protocol on digits-0, which is made once; no test may change it."""

    def run(name):
        def make(folder):
            status, _, err = command(name, "--out", folder, *small[name])
            assert (status, err) == (0, "")

        return made_once(f"finished-{name}", make)

    return run


@pytest.fixture
def network(tmp_path):
    """Return the file of an untrained network of three stages and two time steps."""
    config = GatedConfig(size=(3, 40, 60), channels=(4, 5, 6), classes=12, resize="bicubic", strength=0.3, steps=2)
    path = tmp_path / "small.safetensors"
    model = GatedNetwork(config, torch.Generator().manual_seed(0), name="small")
    save_model(model, path, training={}, provenance={})
    return str(path)
