"""Commands of protocols as users run them: the files of a run, and the one line of what is wrong."""

from __future__ import annotations

import json

import pytest

from neuroattn.compute import memory
from neuroattn.models.checkpoint import load_model, save_model
from neuroattn.stimuli import bars, digits

FILES = {
    *("recording.zarr", "units.parquet", "statistics.csv", "findings.json"),
    *("figure.png", "figure.svg", "run.json", "report.html", "explorer.html"),
}
ON_DIGITS = (
    "stimuli must be scenes for {}, which takes pictures of (channel, y, x) = (3, {}), got 'digits'; add "
    "--stimuli scenes{}"
)
SCENES_ON_DIGITS = ON_DIGITS.format("scenes-0", "100, 100", "")
TOO_MANY = (
    "n_orientations × n_widths × n_x × n_y must fit in memory, got {} GB with their objects, and {} GB are free for "
    "them; show fewer"
)
SIZE = "size must be that of small, (channel, y, x) = (3, 40, 60), got (3, 30, 60); take --size 40 60"
NAME_BOTH = "annotations must be named with --images, got none; name both, or neither"
SMALL_SCENES = ["--models", "{small}", "--stimuli", "scenes", "--size", "40", "60"]
IN_ORDER = [*SMALL_SCENES, "--n_control_stimuli", "20", "--n_stimuli", "20"]
COMPOSITES = (
    "models must take composites of {} digits, (channel, y, x) = (1, 28, {}), got {}, which takes (1, 28, {}); "
)
WRONG = [
    ("tuning", ["--noise", "1.5"], "noise must be in [0, 1], got 1.5"),
    ("tuning", ["--design", "blocked"], "design must be one of cued, free, got blocked"),
    ("tuning", ["--n_orientations", "5"], "n_orientations must be in [6, 360], got 5"),
    (
        "tuning",
        ["--distractors", "7", "7"],
        "distractors must be different classes of digits, at least one, got 7, 7",
    ),
    (
        "tuning",
        ["--distractors", "7", "2", "5", "1", "--n_widths", "1", "--n_x", "2", "--n_y", "2"],
        "distractors must be at most 3 for 4 bars an orientation, got 4; name fewer, or show more bars",
    ),
    ("tuning", ["--distractors", "7", "10"], "distractors must be in [0, 9], got 10"),
    (
        "tuning",
        ["--controls", "none", "untrained"],
        "controls must be none or a list of controls, got none, untrained",
    ),
    ("tuning", ["--widths", "3"], "unrecognized arguments: --widths 3; did you mean --n_widths? (see --help)"),
    ("tuning", ["--models", "scenes-0"], SCENES_ON_DIGITS),
    ("tuning", ["--models", "digits3-0"], COMPOSITES.format(2, 42, "digits3-0", 56) + "take digits-0"),
    ("tuning", [*SMALL_SCENES, "--images", "x"], NAME_BOTH),
    ("tuning", [*SMALL_SCENES, "--size", "30", "60"], SIZE),
    (
        "tuning",
        [*SMALL_SCENES, "--n_orientations", "6", "--n_x", "1000", "--n_y", "1000"],
        TOO_MANY.format("18,000,000 pictures of 3110.4", "5.0"),
    ),
    (
        "tuning",
        ["--models", "{small}"],
        ON_DIGITS.format("small", "40, 60", " --size 40 60"),
    ),
    ("activity_scaling", ["--n_stimuli", "10"], "n_stimuli must be in [20, 5000], got 10"),
    ("activity_scaling", ["--n_stimuli", "50"], "n_control_stimuli must be at most n_stimuli (50), got 100"),
    ("activity_scaling", ["--strengths", "0", "1.5"], "strengths must be in [0, 1], got 1.5"),
    (
        "activity_scaling",
        ["--controls", "none", "intact"],
        "controls must be none or a list of controls, got none, intact",
    ),
    ("activity_scaling", ["--models", "scenes-0"], SCENES_ON_DIGITS),
    ("activity_scaling", [*SMALL_SCENES, "--images", "x"], NAME_BOTH),
    ("activity_scaling", [*SMALL_SCENES, "--alone", "0.3"], "alone must be in [0.51, 1], got 0.3"),
    ("activity_scaling", [*IN_ORDER, "--size", "30", "60"], SIZE),
    (
        "inhibition_of_return",
        ["--n_objects", "3"],
        COMPOSITES.format(3, 56, "digits-0", 42) + "take digits3-0, or --n_objects 2",
    ),
    (
        "inhibition_of_return",
        ["--n_objects", "5"],
        COMPOSITES.format(5, 84, "digits-0", 42)
        + "train one (python -m neuroattn.training digits --n_objects 5), or --n_objects 2",
    ),
    ("inhibition_of_return", ["--models", "scenes-0"], SCENES_ON_DIGITS),
    ("inhibition_of_return", [*IN_ORDER, "--images", "somewhere"], NAME_BOTH),
    (
        "inhibition_of_return",
        [*IN_ORDER, "--annotations", "x.json"],
        "images must be named with --annotations, got none; name both, or neither",
    ),
    ("inhibition_of_return", [*IN_ORDER, "--size", "40"], "size must be two numbers, height and width, got 1"),
    (
        "inhibition_of_return",
        [*IN_ORDER, "--n_objects", "3"],
        "n_objects must be 2 for synthetic scenes, got 3; name scenes of your own",
    ),
    ("inhibition_of_return", [*IN_ORDER, "--size", "30", "60"], SIZE),
    (
        "inhibition_of_return",
        [*IN_ORDER, "--models", "digits-0"],
        "size must be that of digits-0, (channel, y, x) = (1, 28, 42), got (3, 40, 60); take a network of scenes",
    ),
    (
        "inhibition_of_return",
        [*IN_ORDER, "--images", "nowhere", "--annotations", "x.json"],
        "images must be a folder, got 'nowhere', which is none; name the folder of the images",
    ),
    (
        "inhibition_of_return",
        [*IN_ORDER, "--stimuli", "digits", "--images", "a", "--annotations", "b"],
        "stimuli must be scenes where images are named, got 'digits'",
    ),
]


@pytest.mark.parametrize(("protocol", "arguments", "text"), WRONG)
def test_wrong_options_are_one_line_before_anything_is_made(
    refused, monkeypatch, network, tmp_path, protocol, arguments, text
):
    monkeypatch.setattr(bars, "bar_and_digit", None)
    monkeypatch.setattr(digits, "sample_composites", None)
    monkeypatch.setattr(memory, "free_memory", lambda: 10 * 10**9)
    arguments = [network if argument == "{small}" else argument for argument in arguments]
    assert refused(protocol, *arguments, "--out", tmp_path / "run") == text
    assert not (tmp_path / "run").exists()


def test_a_recipe_with_an_unknown_option(refused, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("n_widht: 3\n")
    assert refused("tuning", "--config", recipe) == (
        "Option 'n_widht' is not accepted; did you mean n_widths? (see --help)"
    )


def test_two_networks_of_one_name_are_refused(refused, tmp_path):
    copy = tmp_path / "copy.safetensors"
    save_model(load_model("digits-0"), copy, training={}, provenance={})
    assert refused("tuning", "--models", "digits-0", copy, "--out", tmp_path / "run") == (
        "models must have different names, got digits-0 more than once; rename a file"
    )


def test_a_folder_with_other_things_is_refused(refused, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert refused("tuning", "--out", tmp_path) == (
        f"out must be a folder that is empty or does not exist, got '{tmp_path}'; choose another folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_refused(refused, small):
    line = refused("tuning", "--out", "/proc/neuroattn", *small["tuning"])
    assert line.startswith("out must be a folder that can be written, got '/proc/neuroattn' (")


def test_more_bars_than_memory_holds(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda: 20_000_000)
    assert refused("tuning", "--out", tmp_path / "run", "--n_x", "7", "--n_y", "11") == TOO_MANY.format(
        "9,240 pictures of 0.3", "0.0"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "sentence"),
    [
        ("tuning", "Tuning, units of one network, "),
        (
            "activity_scaling",
            "Activity scaling, units of one network, 30 stimuli in both states measure and 30 others select (",
        ),
        ("activity_scaling", "Ceiling of one gate of strength 0.2 on a linear unit: index 0.200 (0.111"),
        (
            "inhibition_of_return",
            "Verdict: avoidance of the attended object is imposed by the mask; what the mask inhibits is the place; ",
        ),
    ],
)
def test_a_run_leaves_its_files_and_says_what_it_found(finished, protocol, sentence):
    folder = finished(protocol)
    assert {path.name for path in folder.iterdir()} == FILES
    about = json.loads((folder / "run.json").read_text())
    assert about["state"] == "done"
    assert about["seeds"] == {"protocol": 0, "models": {"digits-0": 0}}
    assert set(about["weights_sha256"]) == {"digits-0"}
    assert about["sessions"][0]["peak_memory_bytes"] < 3e9
    assert any(line.startswith(sentence) for line in about["findings"])
