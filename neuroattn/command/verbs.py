"""``neuroattn VERB``: every command of the package in short.

A verb stands for a module that is run as ``python -m`` would run it, and that nothing imports before. The verbs of
protocols are the folders of ``neuroattn/experiments`` that have a ``__main__``.
"""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import neuroattn
from neuroattn.command.line import stop, tell
from neuroattn.command.option import suggestion
from neuroattn.command.program import typed
from neuroattn.runs.plain_text import shown

PACKAGE = Path(__file__).resolve().parents[1]


class Verb(NamedTuple):
    """A command: the module that is run, and a line for the help."""

    module: str
    description: str


VERBS = {
    "train": Verb("neuroattn.training", "digits|scenes|gain|sweep: train a network, or a grid of them."),
    "evaluate": Verb(
        "neuroattn.evaluation", "digits|scenes|gain|card|scenes-card: how well networks do, and model cards."
    ),
    "record": Verb("neuroattn.recording", "make|info: record a network into a store; say what a store holds."),
    "figures": Verb("neuroattn.figures", "training: draw trainings from what their runs left."),
    "stimuli": Verb("neuroattn.stimuli", "scenes index|cache|show|download: make scenes of COCO ready."),
}


def verbs() -> dict[str, Verb]:
    """Return every verb, protocols first."""
    found = {path.parent.name: path.parent for path in sorted(PACKAGE.glob("experiments/*/__main__.py"))}
    protocols = {name: Verb(f"neuroattn.experiments.{name}", _about(folder)) for name, folder in found.items()}
    return {**protocols, **VERBS}


def _about(folder: Path) -> str:
    """Return the first line of a package's docstring, without importing the package."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def main() -> None:
    """Run the command that the process's arguments name."""
    argv, known = sys.argv[1:], verbs()
    if argv[:1] in (["-h"], ["--help"], []):
        tell(_usage(known))
        raise SystemExit(0 if argv else 2)
    if argv[0] == "--version":
        tell(f"neuroattn {neuroattn.__version__}")
        raise SystemExit(0)
    name = argv[0].replace("-", "_")
    if name not in known:
        stop(f"the command must be one of {', '.join(known)}, got {shown(argv[0])}{suggestion(argv[0], known)}")
    sys.argv = [sys.argv[0], *argv[1:]]
    with typed(name, known[name].module):
        runpy.run_module(known[name].module, run_name="__main__", alter_sys=True)


def _usage(known: dict[str, Verb]) -> str:
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {verb.description}" for name, verb in known.items()]
    return "\n".join(
        ["usage: neuroattn COMMAND [options]", "", *lines, "", "Each has --help; --version tells the version."]
    )
