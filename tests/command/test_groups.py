"""Each option is written once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from neuroattn.command import groups
from neuroattn.command.groups import Annotations, NamedPhotographs, Photographs, Size, require_both
from neuroattn.command.option import option, varied

PACKAGE = Path(groups.__file__).parents[1]
FOLDERS = ("evaluation", "training", "stimuli", "figures", "recording")


def called(path, function):
    """Return what a file assigns calls of a function to; "" for other calls."""
    tree = ast.parse(path.read_text())
    named = {node.value: getattr(node.target, "id", "") for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    return [
        named.get(node, "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function
    ]


def test_no_command_writes_an_option_that_a_group_has():
    of_groups = called(Path(groups.__file__), "option")
    assert len(set(of_groups)) == len(of_groups) > 10
    written = [name for folder in FOLDERS for path in PACKAGE.glob(f"{folder}/*.py") for name in called(path, "option")]
    # Objects of a composite, or of any picture, are not those of a scene.
    assert set(written) & set(of_groups) == {"n_objects"}


def test_scenes_are_loaded_in_one_place():
    assert [path.name for path in PACKAGE.rglob("*.py") if called(path, "load_scenes")] == ["shown.py"]


def test_every_group_checks_itself():
    for name, group in inspect.getmembers(groups, inspect.isclass):
        if name != "NamedPhotographs" and issubclass(group, groups.Options):
            group()
    with pytest.raises(ValueError, match=r"^noise must be in \[0, 1\], got 2$"):
        groups.Noise(noise=2)
    with pytest.raises(ValueError, match=r"^size must be two numbers, height and width, got 3$"):
        Size(size=(1, 2, 3))


@pytest.mark.parametrize(
    ("given", "missing", "there"),
    [({"images": "a"}, "annotations", "images"), ({"annotations": "a"}, "images", "annotations")],
)
def test_photographs_are_named_with_their_annotations(given, missing, there):
    text = f"{missing} must be named with --{there}, got none; name both, or neither"
    with pytest.raises(ValueError, match=f"^{text}$"):
        require_both(Photographs(**given))
    fetch = "`python -m neuroattn.stimuli scenes download val2017` fetches COCO's"
    with pytest.raises(ValueError, match=f"^{missing} must be named, as in --{missing} PATH; {re.escape(fetch)}$"):
        NamedPhotographs(**given)
    require_both(Photographs())
    require_both(NamedPhotographs(images="a", annotations="b"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other(Annotations):
    annotations: str = varied(Annotations, "annotations", default="x", description="others")
    number: int = option(1, "a number")


def test_an_option_can_be_varied():
    (one,) = (field for field in dataclasses.fields(Other) if field.name == "annotations")
    (first,) = (field for field in dataclasses.fields(Annotations) if field.name == "annotations")
    assert (one.default, first.default) == ("x", None)
    assert one.metadata == {**first.metadata, "description": "others"}
