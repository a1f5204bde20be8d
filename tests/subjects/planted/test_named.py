"""Planted subjects by name, from the command line and in lists of models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from refused import refused

from neuroattn.experiments.protocol import ProtocolConfig
from neuroattn.subjects import planted
from neuroattn.subjects.adapter import load_subjects
from neuroattn.subjects.planted.named import KINDS, planted_subject

FOLDER = Path(planted.__file__).parent


def test_the_package_lists_its_modules():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} <= set(dir(planted))


def test_every_kind_is_named_by_the_package_and_by_the_help():
    described = next(field for field in dataclasses.fields(ProtocolConfig) if field.name == "models")
    for kind, make in KINDS.items():
        assert getattr(planted, kind) is make
        assert kind in described.metadata["description"]
        assert planted_subject(f"planted-{kind}-7").name == f"planted-{kind}-7"
        assert planted_subject(f"planted-{kind}").seed == 0


@pytest.mark.parametrize("name", ["planted-nul", "planted:null", "planted-null-", "planted-null-1234567890", "planted"])
def test_other_names_are_refused_with_those_there_are(name):
    known = ", ".join(f"planted-{kind}" for kind in KINDS)
    with refused(f"model must be one of {known}, or with a seed, as planted-null-3, got '{name}'*"):
        load_subjects(["digits-0", name])


def test_planted_subjects_stand_among_networks_in_the_order_given():
    names = ["planted-null", "digits-1", "planted-baseline-2", "digits-0"]
    assert [subject.name for subject in load_subjects(names)] == [
        "planted-null-0",
        "digits-1",
        "planted-baseline-2",
        "digits-0",
    ]
