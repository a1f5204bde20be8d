"""``python -m neuroattn.experiments.tuning`` as users run it: files, continuation, statuses and errors."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from neuroattn.compute import memory
from neuroattn.experiments.line import main
from neuroattn.experiments.tuning import protocol as tuning
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.stimuli import bars

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--n_orientations", "10", "--n_widths", "1", "--n_x", "2", "--n_y", "3", "--n_units", "3000"]
SMALL += ["--n_resamples", "100"]
FILES = {
    *("recording.zarr", "units.parquet", "statistics.csv", "findings.json"),
    *("figure.png", "figure.svg", "run.json", "report.html"),
}


def status(*arguments: str) -> int:
    """Run the command in this process and return its exit status."""
    with pytest.raises(SystemExit) as left:
        main(tuning.PROTOCOL, list(arguments))
    return int(left.value.code or 0)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line of a command that must fail with status 2."""
    assert status(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.strip()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert status("--out", str(folder), *SMALL) == 0
    return folder


@pytest.mark.slow
def test_a_run_leaves_its_files(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == FILES
    about = json.loads((finished / "run.json").read_text())
    assert about["state"] == "done"
    assert about["configuration"]["n_y"] == 3
    assert about["seeds"] == {"protocol": 0, "models": {"digits-0": 0}}
    assert set(about["weights_sha256"]) == {"digits-0"}
    assert about["sessions"][0]["peak_memory_bytes"] < 3e9


@pytest.mark.slow
def test_units_have_one_row_each_and_statistics_follow_from_them(finished: Path) -> None:
    units = pd.read_parquet(finished / "units.parquet")
    assert units.groupby("layer").size().tolist() == [3000, 3000]
    assert not units["neuroid_id"].duplicated().any()
    assert list(units.columns[:8]) == ["model", "neuroid_id", "layer", "area", "channel", "channel_y", "channel_x",
                                       "distractor_in_field"]  # fmt: skip
    statistics = pd.read_csv(finished / "statistics.csv")
    needed = ["what", "model", "layer", "estimate", "interval_low", "interval_high", "effect_size", "n_models",
              "n_channels", "n_units", "n_stimuli", "test", "p", "p_adjusted", "converged", "warnings"]  # fmt: skip
    assert set(needed) <= set(statistics)
    taking_part = units[(units["excluded_by"] == "") & (units["layer"] == "stage1/response")]
    row = statistics.query("what == 'gain' and layer == 'stage1/response' and reduction == 'maximum'").iloc[0]
    assert_allclose(row["estimate"], taking_part["gain_maximum"].median(), rtol=1e-6)
    counts = statistics[statistics["what"].str.startswith("n_excluded") & statistics["control"].isna()]
    assert counts["estimate"].sum() + (units["excluded_by"] == "").sum() == len(units)
    assert statistics["p"].isna().all()  # one network: nothing is said about a population
    for layer, reduction in itertools.product(("stage1/response", "stage2/response"), ("maximum", "mean")):
        rows = statistics.query("layer == @layer and reduction == @reduction and control.isna()").set_index("what")
        classes = (
            rows[rows.index.str.startswith("n_unfitted")]["estimate"].sum() + rows.loc["n_fitted_units", "estimate"]
        )
        assert classes == rows.loc["n_tuned_units", "estimate"] > 0
        share = rows.loc["share_of_shuffled_gates"]
        driven = units[(units["layer"] == layer) & units["driven"] & ~units["distractor_in_field"]]
        column = driven[f"share_of_shuffled_gates_{reduction}"]
        assert share["n_units"] + share["n_missing"] == len(driven)
        assert_allclose(share["estimate"], column.median(), rtol=1e-6)
    confirmed = statistics[statistics["what"] == "share_confirmed"].set_index("control")["estimate"]
    assert confirmed["intact"] > 0.99
    assert confirmed["shuffled_gates"] < 0.99


@pytest.mark.slow
def test_the_recording_opens_with_plain_xarray(finished: Path) -> None:
    with xr.open_datatree(finished / "recording.zarr", engine="zarr", consolidated=False) as tree:
        reduced = tree["digits-0/stage2/response"]
        assert set(reduced["maximum"].dims) == {"condition", "time_step", "neuroid"}
        assert sorted(np.unique(reduced["orientation"])) == [18.0 * k for k in range(10)]
        assert int(reduced["presented"].sum()) == 2 * 10 * 1 * 2 * 3
        assert json.loads(tree["digits-0"].attrs["protocol"])["n_y"] == 3
        assert tree.attrs["schema_version"] == 2


@pytest.mark.slow
def test_controls_in_which_attention_cannot_act_show_nothing(finished: Path) -> None:
    statistics = pd.read_csv(finished / "statistics.csv")
    index = statistics[statistics["what"] == "modulation_index"].set_index(["control", "layer"])["estimate"]
    for control in ("zero_strength", "one_step"):
        assert_allclose(index[control], 0, atol=1e-6)
    assert (index["intact"].abs() > 1e-3).all()


@pytest.mark.slow
def test_the_same_configuration_goes_on_without_recording_again(finished: Path) -> None:
    group = finished / "recording.zarr" / "digits-0" / "zarr.json"
    before, table = group.stat().st_mtime_ns, pd.read_csv(finished / "statistics.csv")
    (finished / "statistics.csv").unlink()
    assert status("--out", str(finished), *SMALL) == 0
    assert group.stat().st_mtime_ns == before
    sessions = json.loads((finished / "run.json").read_text())["sessions"]
    assert [session["recorded"] for session in sessions] == [["digits-0"], []]
    pd.testing.assert_frame_equal(pd.read_csv(finished / "statistics.csv"), table)


@pytest.mark.slow
def test_another_configuration_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(capsys, "--out", str(finished), *SMALL, "--seed", "3") == (
        f"error: out must not hold a run with another configuration, got '{finished}', which differs in "
        "configuration.seed (0 there, 3 now); choose another folder"
    )


@pytest.mark.slow
def test_what_other_code_recorded_is_not_continued_by_this_one(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = json.loads((finished / "run.json").read_text())
    about["recording_code"] = "0123"
    (tmp_path / "run.json").write_text(json.dumps(about))
    line = failure(capsys, "--out", str(tmp_path), *SMALL)
    assert "which differs in versions.recording_code (0123 there, " in line


@pytest.mark.parametrize("grid", [(1, 2, 2), (1, 9, 9), (3, 9, 9), (6, 11, 11), (2, 3, 2)])
def test_controls_see_the_same_few_bars_of_both_halves_at_every_orientation(grid: tuple[int, int, int]) -> None:
    n_widths, n_x, n_y = grid
    config = tuning.Config(n_orientations=6, n_widths=n_widths, n_x=n_x, n_y=n_y)
    table = tuning.stimuli(config, ()).table
    bars = 6 * np.prod(grid)
    assert table["bar"].tolist() == [True] * bars + [False]  # one picture without, since there is no noise
    table = table[table["bar"]]
    assert set(table.query("half == 0")["distractor_label"]) == {7}
    assert set(table.query("half == 1")["distractor_label"]) == {2, 5}
    few = table[table["for_controls"]]
    counts = few.groupby(["orientation", "half"]).size()
    assert len(counts) == 12
    assert (counts == np.minimum(table.groupby(["orientation", "half"]).size(), 9)).all()
    places = ["width", "x", "y"]
    bars = {frozenset(map(tuple, rows[places].to_numpy())) for _, rows in few.groupby("orientation")}
    assert len(bars) == 1


def test_a_folder_with_other_things_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert failure(capsys, "--out", str(tmp_path)) == (
        f"error: out must be a folder that is empty or does not exist, got '{tmp_path}'; choose another folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = failure(capsys, "--out", "/proc/neuroattn", *SMALL)
    assert line.startswith("error: out must be a folder that can be written, got '/proc/neuroattn' (")


def test_a_damaged_run_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text('{"protocol": "tun')
    line = failure(capsys, "--out", str(tmp_path))
    assert line.startswith("error: out holds a damaged run.json (")
    assert line.endswith(f"got '{tmp_path}'; choose another folder")


def test_wrong_options_say_what_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("n_widht: 3\n")
    cases = {
        ("--noise", "1.5"): "error: noise must be in [0, 1], got 1.5",
        ("--design", "blocked"): "error: design must be one of cued, free, got blocked",
        ("--n_orientations", "5"): "error: n_orientations must be in [6, 360], got 5",
        ("--distractors", "7", "7"): "error: distractors must be different classes of digits, at least one, got 7, 7",
        ("--distractors", "7", "2", "5", "1", "--n_widths", "1", "--n_x", "2", "--n_y", "2"): (
            "error: distractors must be at most 3 for 4 bars an orientation, got 4; name fewer, or show more bars"
        ),
        ("--distractors", "7", "10"): "error: distractors must be in [0, 9], got 10",
        ("--controls", "none", "untrained"): "error: controls must be none or a list of controls, got none, untrained",
        ("--config", str(recipe)): "error: Option 'n_widht' is not accepted; did you mean n_widths? (see --help)",
        ("--widths", "3"): "error: unrecognized arguments: --widths 3; did you mean --n_widths? (see --help)",
    }
    for arguments, line in cases.items():
        assert failure(capsys, *arguments) == line


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            "scenes-0",
            (
                "stimuli must be scenes for scenes-0, which takes pictures of (channel, y, x) = (3, 100, 100), got "
                "'digits'; add --stimuli scenes"
            ),
        ),
        (
            "digits3-0",
            (
                "models must take composites of 2 digits, (channel, y, x) = (1, 28, 42), got digits3-0, which takes "
                "(1, 28, 56); take digits-0"
            ),
        ),
    ],
)
def test_a_network_that_takes_other_images_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: str, text: str
) -> None:
    monkeypatch.setattr(bars, "bar_and_digit", None)
    assert failure(capsys, "--models", model, "--out", str(tmp_path / "run"), *SMALL) == f"error: {text}"
    assert not (tmp_path / "run").exists()


def test_more_bars_than_memory_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 20_000_000)
    assert failure(capsys, "--out", str(tmp_path / "run"), "--n_x", "7", "--n_y", "11") == (
        "error: n_orientations × n_widths × n_x × n_y must fit in memory, got 9,240 pictures of 0.3 GB with their "
        "objects, and 0.0 GB are free for them; show fewer"
    )
    assert not (tmp_path / "run").exists()


def test_two_networks_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.safetensors"
    save_model(load_model("digits-0"), copy, training={}, provenance={})
    assert failure(capsys, "--models", "digits-0", str(copy), "--out", str(tmp_path / "run")) == (
        "error: models must have different names, got digits-0 more than once; rename a file"
    )


@pytest.mark.slow
def test_several_networks_are_the_top_level_of_the_statistics(tmp_path: Path) -> None:
    shipped = load_model("digits-0")
    names = []
    for number in (1, 2):
        network = GatedNetwork(
            digits_config(), torch.Generator().manual_seed(number), name=f"twin-{number}", seed=number
        )
        noise = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for own, trained in zip(network.parameters(), shipped.parameters(), strict=True):
                own.copy_(trained * (1 + 0.02 * torch.randn(own.shape, generator=noise)))
        save_model(network, tmp_path / f"twin-{number}.safetensors", training={}, provenance={})
        names.append(str(tmp_path / f"twin-{number}.safetensors"))
    out = tmp_path / "run"
    assert status("--models", *names, "--out", str(out), "--controls", "none", *SMALL) == 0
    statistics = pd.read_csv(out / "statistics.csv")
    gain = statistics.query("what == 'gain' and layer == 'stage1/response' and reduction == 'maximum'").iloc[0]
    assert gain["scope"] == "2 networks"
    assert gain["n_models"] == 2
    assert np.isfinite(gain["p"])
    assert np.isnan(gain["p_within_network"])
    assert json.loads((out / "run.json").read_text())["seeds"]["models"] == {"twin-1": 1, "twin-2": 2}


@pytest.mark.slow
@pytest.mark.process
def test_an_interrupt_keeps_what_was_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "neuroattn.experiments.tuning", "--models", "digits-0", "digits-1", *SMALL]
    command += ["--controls", "none", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / "recording.zarr" / "digits-0").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.strip() == (
        f"interrupted: the recordings of whole networks are kept in {out}; "
        f"the same command with --out {out} goes on from there"
    )
    assert json.loads((out / "run.json").read_text())["state"] == "running"


@pytest.mark.slow
def test_the_published_weights_give_the_known_curves(reference: Path, tmp_path: Path) -> None:
    """In the paper's free order, stage 1 scales (gain about 1.2, no shift) and stage 2 does more than that."""
    weights = reference / "reference" / "paper_mnist_model.pt"
    out = tmp_path / "run"
    options = ["--design", "free", "--distractors", "7", "--controls", "none", "--n_resamples", "100"]
    options += ["--n_widths", "3", "--n_x", "6", "--n_y", "6", "--out", str(out)]
    assert status("--models", str(weights), *options) == 0
    units = pd.read_parquet(out / "units.parquet")
    stage_1 = units[(units["layer"] == "stage1/response") & units["driven"] & (units["channel_x"] < 11)]
    assert_allclose(stage_1["correlation_maximum"].median(), 0.99, atol=0.015)
    assert_allclose(stage_1["slope_maximum"].median(), 1.21, atol=0.06)
    stage_2 = units[(units["layer"] == "stage2/response") & units["driven"] & (units["channel_x"] < 3)]
    assert_allclose(stage_2["correlation_maximum"].median(), 0.82, atol=0.1)
    assert stage_2["slope_maximum"].median() > 1.4
    findings = json.loads((out / "run.json").read_text())["findings"]
    assert findings[0].startswith("NOTE: in the free order the attended object, the phase and the inhibition in force")
