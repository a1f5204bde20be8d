"""What the version before wrote opens: a run of inhibition of return, and a recording in a store."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import neuroattn
from neuroattn.recording.store import open_recording

mpl.use("agg")
FORMER = Path(__file__).parent / "former"


@pytest.fixture
def former(tmp_path):
    for file in FORMER.glob("*.zip"):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(tmp_path)
    return tmp_path


def test_a_run_opens(former):
    run = neuroattn.open_run(former / "run")
    assert run.config.n_stimuli == 20
    assert list(run.recording.children) == ["digits-0"]
    assert len(run.units) > 0
    assert run.text[-1].startswith("No state but the mask outlasts a phase")
    assert run.figure().axes
    with pytest.raises(
        ValueError, match=r"^run must have findings\.json, got .* without; make it with run\.analyse\(\)$"
    ):
        _ = run.findings


@pytest.mark.slow
def test_a_run_is_analysed_again_to_the_same_numbers(former):
    before = (former / "run" / "statistics.csv").read_bytes()
    table = pd.read_csv(former / "run" / "statistics.csv")
    run = neuroattn.open_run(former / "run").analyse()
    assert [finding.verdict for finding in run.findings][:1] == ["supported"]
    assert json.loads((run.path / "run.json").read_text())["versions"]["git_commit"] != ""
    pd.testing.assert_frame_equal(pd.read_csv(run.path / "statistics.csv"), table, rtol=1e-6)
    assert (run.path / "statistics.csv").read_bytes().count(b"\n") == before.count(b"\n")


def test_a_recording_opens_and_is_continued(former):
    with open_recording(former / "store.zarr") as tree:
        gate = tree["stage2/gate"]["activation"]
        assert gate.dims == ("presentation", "time_step", "neuroid")
        assert np.isfinite(gate.values).all()
        assert gate["time_step"].values.tolist() == [1, 4]
