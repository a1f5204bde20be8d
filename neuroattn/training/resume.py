"""What an interrupted training goes on from: one file in the folder of the run, replaced whole."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch

from neuroattn.runs.output_file import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX = ".resume.pt"


def resume_file(folder: Path, name: str) -> Path:
    """Return where the state of a run is kept while the run is not over."""
    return folder / f"{name}{SUFFIX}"


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a state, whole or not at all: a machine that goes down leaves this one or the one before."""
    with replacing(path) as unfinished, unfinished.open("wb") as file:  # given a path, torch hides why it failed
        torch.save(dict(state), file)


def load_state(path: Path, of: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state that a run left in its `resume_file`; None if it left none.

    The options and data under ``of`` in the state must be those that are given.

    Raises
    ------
    ValueError
        If the file is damaged, or the state is of another training; the message names what differs.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        there = dict(state["of"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"out must hold a training that can go on, got {str(path.parent)!r}, whose {path.name} cannot be read; "
            "choose another folder"
        ) from error
    differing = [key for key in {**there, **of} if there.get(key) != of.get(key)]
    if differing:
        named = "; ".join(f"{key} ({there.get(key)} there, {of.get(key)} now)" for key in differing)
        raise ValueError(
            f"out must be a folder of the same training, got {str(path.parent)!r}, which differs in {named}; choose "
            "another folder, or the same options"
        )
    return state
