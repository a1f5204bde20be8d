"""Runs from Python: the same as the command's, what their files hold, and their recordings analysed again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import neuroattn
from neuroattn.experiments import analysis, line
from neuroattn.experiments.analysis import STATISTICS, UNITS
from neuroattn.experiments.finding import Finding
from neuroattn.experiments.inhibition_of_return.protocol import PROTOCOL
from neuroattn.experiments.line import main
from neuroattn.experiments.run import protocols
from neuroattn.recording.interventions import Silence

mpl.use("agg")
# Those of the fixture `run_of_two`.
OPTIONS = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": ["shuffled_gates"]}
LINE = ["--n_stimuli", "20", "--n_control_stimuli", "20", "--n_resamples", "100", "--controls", "shuffled_gates"]


@pytest.fixture
def run(run_of_two):
    return neuroattn.open_run(run_of_two)


@pytest.fixture
def copy(run_of_two, tmp_path):
    shutil.copytree(run_of_two, tmp_path / "copy")
    return neuroattn.open_run(tmp_path / "copy")


def command(*arguments):
    with pytest.raises(SystemExit) as left:
        main(PROTOCOL, [str(argument) for argument in arguments])
    return left.value.code


@pytest.mark.slow
def test_a_command_gives_the_same_files(run, tmp_path):
    assert command("--models", "digits-0", "digits-1", *LINE, "--out", tmp_path / "run") == 0
    for name in (UNITS, STATISTICS, "findings.json", "figure.png"):
        assert (tmp_path / "run" / name).read_bytes() == (run.path / name).read_bytes(), name


@pytest.mark.slow
def test_a_run_is_what_its_files_hold(run):
    assert repr(run) == f"Run of inhibition_of_return on digits-0, digits-1 in {str(run.path)!r}"
    assert list(run.recording.children) == ["digits-0", "digits-1"]
    assert set(run.units["model"]) == {"digits-0", "digits-1"}
    opened = neuroattn.open_run(str(run.path))
    pd.testing.assert_frame_equal(opened.statistics, run.statistics)
    assert opened.findings == run.findings
    assert run.findings[0].verdict == "supported"
    assert set(json.loads((run.path / "findings.json").read_text())[0]) >= {"claim", "layer", "verdict", "n", "test"}


@pytest.mark.slow
def test_networks_come_in_the_order_of_the_options_whatever_the_store_lists(tmp_path):
    models = ["digits-1", "digits-0"]
    run = neuroattn.run("inhibition_of_return", models=models, out=tmp_path / "run", **OPTIONS)
    assert list(run.recording.children) == models
    assert run.recording.attrs["protocol"] == "inhibition_of_return"
    assert list(run.recording["digits-0/trials"].dims) == list(run.recording["digits-1/trials"].dims)


@pytest.mark.slow
def test_the_figure_of_an_opened_run_is_that_of_its_analysis(run, tmp_path):
    run.figure().savefig(tmp_path / "again.png", dpi=300)
    assert (tmp_path / "again.png").read_bytes() == (run.path / "figure.png").read_bytes()


@pytest.mark.slow
def test_networks_may_be_given_themselves(tmp_path):
    model = neuroattn.load_model("digits-0").with_strength(0.1)
    model.name = "weak"
    run = neuroattn.run("inhibition_of_return", models=[model, "digits-1"], out=tmp_path / "run", **OPTIONS)
    assert set(run.units["model"]) == {"weak", "digits-1"}
    assert run.config.models == ("weak", "digits-1")


@pytest.mark.slow
def test_the_same_recording_is_analysed_again_with_other_options(copy):
    before = copy.statistics
    again = copy.analyse(n_resamples=200, bound=0.3)
    assert again.path == copy.path
    assert again.config.n_resamples == 200
    assert not again.statistics.equals(before)
    pd.testing.assert_frame_equal(again.units, copy.units)
    file = json.loads((copy.path / "run.json").read_text())
    assert file["configuration"]["bound"] == 0.3
    assert [session["recorded"] for session in file["sessions"]] == [["digits-0", "digits-1"], []]
    assert again.analyse(n_resamples=100, bound=0.1).statistics.equals(before)


@pytest.mark.slow
def test_an_analysis_has_a_folder_of_its_own(run, tmp_path):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    other = run.analyse(out=tmp_path / "other", bound=0.3)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert not (other.path / "recording.zarr").exists()
    assert list(other.recording.children) == ["digits-0", "digits-1"]
    assert neuroattn.open_run(other.path).config.bound == 0.3
    with pytest.raises(ValueError, match=r"^out must be a folder that is empty or does not exist"):
        run.analyse(out=tmp_path / "other")


@pytest.mark.slow
def test_the_command_analyses_again(copy, capsys):
    assert command("--analyse", copy.path, "--n_resamples", "200") == 0
    assert "SUPPORTED  The mask" in capsys.readouterr().out
    again = neuroattn.open_run(copy.path)
    assert (again.config.n_resamples, again.config.n_stimuli) == (200, 20)
    assert command("--analyse", copy.path, "--noise", "0.5") == 2
    assert capsys.readouterr().err == (
        f"error: noise is an option of the recording, 0.3 in {str(copy.path)!r}, got 0.5; record anew, or give options "
        "of the analysis (n_resamples, bound)\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--seed", "1"], ["--seed=1"]])
def test_a_line_without_the_option_records(arguments, monkeypatch, capsys):
    def performed(*_):
        raise ValueError("it would record")

    monkeypatch.setattr(line, "perform", performed)
    assert command(*arguments) == 2
    assert capsys.readouterr().err == "error: it would record\n"


@pytest.mark.slow
def test_a_run_of_another_protocol(run, capsys):
    from neuroattn.experiments.tuning.protocol import PROTOCOL as TUNING

    with pytest.raises(SystemExit) as left:
        main(TUNING, ["--analyse", str(run.path)])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        f"error: analyse must be a run of tuning, got {str(run.path)!r}, one of inhibition_of_return; its command is "
        "python -m neuroattn.experiments.inhibition_of_return\n"
    )


@pytest.mark.slow
def test_another_code_of_the_analysis_does_not_record_again(copy, monkeypatch):
    from neuroattn.experiments import recording

    monkeypatch.setattr(recording, "versions", lambda: {"neuroattn": "9.9", "git_commit": "f" * 40})
    options = {"models": ["digits-0", "digits-1"], "out": copy.path, **OPTIONS}
    neuroattn.run("inhibition_of_return", **options)
    assert json.loads((copy.path / "run.json").read_text())["sessions"][-1]["recorded"] == []
    monkeypatch.setattr(recording, "code_hash", lambda *_: "0" * 64)
    with pytest.raises(ValueError, match=r"differs in versions\.recording_code \("):
        neuroattn.run("inhibition_of_return", **options)


@pytest.mark.slow
def test_a_network_of_the_same_weights_that_does_something_else_is_another_one(tmp_path):
    options = {"out": tmp_path / "run", **OPTIONS}
    network = neuroattn.load_model("digits-0")
    neuroattn.run("inhibition_of_return", models=[network], **options)
    with pytest.raises(ValueError, match=r"differs in networks\.digits-0 \("):
        neuroattn.run("inhibition_of_return", models=[network.with_strength(0.9)], **options)
    with (
        neuroattn.intervene(network, Silence("stage1/gate")),
        pytest.raises(ValueError, match=r"^models must not be under interventions, got digits-0"),
    ):
        neuroattn.run("inhibition_of_return", models=[network], out=tmp_path / "other", **OPTIONS)


@pytest.mark.slow
def test_an_interrupted_analysis_is_told_and_made_again(copy, tmp_path, monkeypatch):
    written, own = analysis.to_json, tmp_path / "own"

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(analysis, "to_json", interrupted)
    for out in (own, None):
        with pytest.raises(KeyboardInterrupt):
            copy.analyse(bound=0.3, out=out)
    monkeypatch.setattr(analysis, "to_json", written)
    text = r"^path must be a run that is done, got .*, which was interrupted; analyse it again \(--analyse\)$"
    for folder in (copy.path, own):
        with pytest.raises(ValueError, match=text):
            neuroattn.open_run(folder)
    assert command("--analyse", copy.path, "--bound", "0.3") == 0
    assert command("--analyse", copy.path, "--bound", "0.3", "--out", own) == 0
    for folder in (copy.path, own):
        assert neuroattn.open_run(folder).config.bound == 0.3


@pytest.mark.slow
def test_a_run_that_was_analysed_again_goes_on_with_its_command(copy):
    copy.analyse(n_resamples=200)
    assert copy.config.n_resamples == 200  # the run is what its files are
    copy.analyse(bound=0.3)
    assert (copy.config.n_resamples, copy.config.bound) == (200, 0.3)
    assert command("--models", "digits-0", "digits-1", *LINE, "--out", copy.path) == 0
    assert neuroattn.open_run(copy.path).config.n_resamples == 100


@pytest.mark.slow
def test_a_run_and_its_analyses_may_be_moved_together(copy, tmp_path):
    copy.analyse(out=tmp_path / "own")
    (tmp_path / "elsewhere").mkdir()
    for name in ("copy", "own"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    own = neuroattn.open_run(tmp_path / "elsewhere" / "own")
    assert list(own.recording.children) == ["digits-0", "digits-1"]
    (tmp_path / "elsewhere" / "copy").rename(tmp_path / "copy")
    with pytest.raises(ValueError, match=r"^run must have its recording, got .*; put it back, or correct 'recording'"):
        neuroattn.open_run(own.path).analyse()
    with pytest.raises(ValueError, match=r"^out must not be the folder of another analysis"):
        neuroattn.run("inhibition_of_return", models=["digits-0", "digits-1"], out=own.path, **OPTIONS)


@pytest.mark.slow
def test_a_recipe_does_not_turn_an_analysis_into_a_recording(copy, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("analyse: null\nn_resamples: 200\n")
    assert command("--analyse", copy.path, "--config", recipe) == 0
    assert neuroattn.open_run(copy.path).config.n_resamples == 200


@pytest.mark.slow
def test_numbers_of_numpy_and_paths_are_options(tmp_path):
    options = {**OPTIONS, "n_stimuli": np.int64(20), "noise": np.float64(0.25), "controls": np.array(["none"])}
    run = neuroattn.run("inhibition_of_return", models=[Path("digits-0")], out=str(tmp_path / "run"), **options)
    assert (run.config.n_stimuli, run.config.noise, run.config.controls) == (20, 0.25, ("none",))


@pytest.mark.slow
def test_what_a_strangers_run_says_does_not_reach_the_terminal_raw(copy):
    file = json.loads((copy.path / "run.json").read_text())
    hashes = {"\x1b]0;x\x07": "f" * 64}
    (copy.path / "run.json").write_text(json.dumps({**file, "weights_sha256": hashes}))
    with pytest.raises(
        ValueError, match=r"^path must be the folder of a run, got .*, whose run\.json is damaged \("
    ) as told:
        neuroattn.open_run(copy.path)
    assert "\x1b" not in str(told.value)
    for change in ({"recording": 5}, {"findings": None}, {"seeds": {}}, {"stimuli_sha256": None}):
        (copy.path / "run.json").write_text(json.dumps({**file, **change}))
        with pytest.raises(ValueError, match=r"whose run\.json is damaged \("):
            neuroattn.open_run(copy.path)
    assert "\x1b" not in str(Finding(claim="\x1b[2J", verdict="supported"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"protocol": "tunning"},
            f"protocol must be one of {', '.join(protocols())}, got 'tunning'; did you mean tuning?",
        ),
        ({"models": "digits-0"}, "models must be a list of names, paths or networks, got 'digits-0'"),
        ({"models": [3]}, "model must be a network or another torch module, got 3; load one with neuroattn.load_model"),
        ({"models": []}, "models must name at least one network, got none"),
        ({"n_resamples": None}, "n_resamples must be a whole number, got None"),
        ({"analyse": "x"}, "analyse is an option of the command, got it here; take open_run(path).analyse(...)"),
        ({"n_orientation": 12}, "'n_orientation' is no option; did you mean n_orientations?"),
        ({"n_orientations": "twelve"}, "n_orientations must be a whole number, got 'twelve'"),
        ({"n_orientations": 3}, "n_orientations must be in [6, 360], got 3"),
        ({"controls": "none"}, "controls must be a list of texts, got 'none'"),
        ({"models": ["digits-0"] * 2}, "models must have different names, got digits-0 more than once; rename a file"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_leaves_nothing(arguments, text, tmp_path):
    arguments = {"protocol": "tuning", **arguments}
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        neuroattn.run(arguments.pop("protocol"), out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_is_no_run_is_one_line(copy, tmp_path):
    with pytest.raises(ValueError, match=r"^path must be the folder of a run, got .*, which holds no run\.json"):
        neuroattn.open_run(tmp_path)
    (copy.path / "findings.json").write_text("[{}]")
    with pytest.raises(ValueError, match=r"^findings\.json of .* is damaged; make it again with run\.analyse\(\)$"):
        _ = neuroattn.open_run(copy.path).findings
    (copy.path / "findings.json").unlink()
    assert neuroattn.open_run(copy.path).analyse().findings
    file = json.loads((copy.path / "run.json").read_text())
    (copy.path / "run.json").write_text(json.dumps({**file, "state": "running"}))
    with pytest.raises(ValueError, match=r"^path must be a run that is done, got .*, which was interrupted"):
        neuroattn.open_run(copy.path)
    (copy.path / "run.json").write_text(json.dumps({**file, "protocol": "../x"}))
    with pytest.raises(ValueError, match=r"^protocol must be one of"):
        neuroattn.open_run(copy.path)
