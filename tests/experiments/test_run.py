"""Runs from Python: the same as the command's, what their files hold, and their recordings analysed again."""

from __future__ import annotations

import json
import re
import shutil

import matplotlib as mpl
import pandas as pd
import pytest

import neuroattn
from neuroattn.experiments.analysis import STATISTICS, UNITS
from neuroattn.experiments.inhibition_of_return.protocol import PROTOCOL
from neuroattn.experiments.line import main
from neuroattn.experiments.run import protocols

mpl.use("agg")
OPTIONS = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": ["shuffled_gates"]}
LINE = ["--n_stimuli", "20", "--n_control_stimuli", "20", "--n_resamples", "100", "--controls", "shuffled_gates"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return neuroattn.run(
        "inhibition_of_return", models=["digits-0", "digits-1"], out=tmp_path_factory.mktemp("runs") / "run", **OPTIONS
    )


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "copy")
    return neuroattn.open_run(tmp_path / "copy")


def command(*arguments):
    with pytest.raises(SystemExit) as left:
        main(PROTOCOL, [str(argument) for argument in arguments])
    return left.value.code


def test_a_command_gives_the_same_files(run, tmp_path):
    assert command("--models", "digits-0", "digits-1", *LINE, "--out", tmp_path / "run") == 0
    for name in (UNITS, STATISTICS, "findings.json", "figure.png"):
        assert (tmp_path / "run" / name).read_bytes() == (run.path / name).read_bytes(), name


def test_a_run_is_what_its_files_hold(run):
    assert repr(run) == f"Run of inhibition_of_return on digits-0, digits-1 in {str(run.path)!r}"
    assert list(run.recording.children) == ["digits-0", "digits-1"]
    assert set(run.units["model"]) == {"digits-0", "digits-1"}
    opened = neuroattn.open_run(str(run.path))
    pd.testing.assert_frame_equal(opened.statistics, run.statistics)
    assert opened.findings == run.findings
    assert run.findings[0].verdict == "supported"
    assert set(json.loads((run.path / "findings.json").read_text())[0]) >= {"claim", "layer", "verdict", "n", "test"}


def test_the_figure_of_an_opened_run_is_that_of_its_analysis(run, tmp_path):
    run.figure().savefig(tmp_path / "again.png", dpi=300)
    assert (tmp_path / "again.png").read_bytes() == (run.path / "figure.png").read_bytes()


def test_networks_may_be_given_themselves(tmp_path):
    model = neuroattn.load_model("digits-0").with_strength(0.1)
    model.name = "weak"
    run = neuroattn.run("inhibition_of_return", models=[model, "digits-1"], out=tmp_path / "run", **OPTIONS)
    assert set(run.units["model"]) == {"weak", "digits-1"}
    assert run.config.models == ("weak", "digits-1")


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


def test_an_analysis_has_a_folder_of_its_own(run, tmp_path):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    other = run.analyse(out=tmp_path / "other", bound=0.3)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert not (other.path / "recording.zarr").exists()
    assert list(other.recording.children) == ["digits-0", "digits-1"]
    assert neuroattn.open_run(other.path).config.bound == 0.3
    with pytest.raises(ValueError, match=r"^out must be a folder that is empty or does not exist"):
        run.analyse(out=tmp_path / "other")


def test_the_command_analyses_again(copy, capsys):
    assert command("--analyse", copy.path, "--n_resamples", "200") == 0
    assert "SUPPORTED  The mask" in capsys.readouterr().out
    again = neuroattn.open_run(copy.path)
    assert (again.config.n_resamples, again.config.n_stimuli) == (200, 20)
    assert command("--analyse", copy.path, "--noise", "0.5") == 2
    assert capsys.readouterr().err == (
        f"error: noise is an option of the recording, 0.3 in {str(copy.path)!r}, got 0.5; record anew, or give options "
        "of the analysis (bound, n_resamples)\n"
    )


def test_a_run_of_another_protocol(run, capsys):
    from neuroattn.experiments.tuning.protocol import PROTOCOL as TUNING

    with pytest.raises(SystemExit) as left:
        main(TUNING, ["--analyse", str(run.path)])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        f"error: analyse must be a run of tuning, got {str(run.path)!r}, one of inhibition_of_return; its command is "
        "python -m neuroattn.experiments.inhibition_of_return\n"
    )


def test_another_code_of_the_analysis_does_not_record_again(copy, monkeypatch):
    from neuroattn.experiments import recording

    monkeypatch.setattr(recording, "versions", lambda: {"neuroattn": "9.9", "git_commit": "f" * 40})
    options = {"models": ["digits-0", "digits-1"], "out": copy.path, **OPTIONS}
    neuroattn.run("inhibition_of_return", **options)
    assert json.loads((copy.path / "run.json").read_text())["sessions"][-1]["recorded"] == []
    monkeypatch.setattr(recording, "code_hash", lambda *_: "0" * 64)
    with pytest.raises(ValueError, match=r"differs in versions\.recording_code \("):
        neuroattn.run("inhibition_of_return", **options)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"protocol": "tunning"},
            f"protocol must be one of {', '.join(protocols())}, got 'tunning'; did you mean tuning?",
        ),
        ({"models": "digits-0"}, "models must be a list of names, paths or networks, got 'digits-0'"),
        ({"models": [3]}, "models must be names, paths or networks, got int"),
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
