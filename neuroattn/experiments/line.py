"""The command of a protocol."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from neuroattn.command.line import read_options, run_command, tell
from neuroattn.experiments.finding import ON_TOP
from neuroattn.experiments.recording import stored_configuration
from neuroattn.experiments.run import Run, interrupted, perform
from neuroattn.runs.folder import run_folder
from neuroattn.runs.local_path import local_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuroattn.experiments.protocol import C, Protocol


def main(protocol: Protocol[C], argv: Sequence[str] | None = None) -> None:
    """Run a protocol as a command, and leave with its exit status."""
    prog = f"python -m neuroattn.experiments.{protocol.name}"
    analysed = _analysed(sys.argv[1:] if argv is None else argv)
    if analysed is not None:
        _again(protocol, analysed, argv, prog)
    config = read_options(protocol.config, argv, prog=prog, description=protocol.description)
    if config.analyse is not None:  # from a recipe
        _again(protocol, config.analyse, argv, prog)
    folder = run_folder(config.out, protocol.name)

    def command() -> None:
        perform(protocol, config, None, folder)
        _tell(Run(folder))

    run_command(command, interrupted=lambda: interrupted(folder))


def _analysed(argv: Sequence[str]) -> str | None:
    """Return the run that a line asks to be analysed again, whatever recipes say."""
    found = None
    for argument, following in zip(argv, (*argv[1:], ""), strict=False):
        if argument == "--analyse" and following:
            found = following
        elif argument.startswith("--analyse="):
            found = argument.removeprefix("--analyse=")
    return found


def _again(protocol: Protocol[C], analysed: str, argv: Sequence[str] | None, prog: str) -> None:
    """Analyse a run's recording again, by the options that stand on the line, and leave."""

    def command() -> None:
        run = Run(local_path("analyse", analysed), unfinished=True)
        if run.protocol.name != protocol.name:
            raise ValueError(
                f"analyse must be a run of {protocol.name}, got {analysed!r}, one of {run.protocol.name}; "
                f"its command is python -m neuroattn.experiments.{run.protocol.name}"
            )
        before = stored_configuration(run.config)
        config = read_options(protocol.config, argv, prog=prog, description=protocol.description, defaults=before)
        _tell(run.analyse(out=config.out, **stored_configuration(config)))

    run_command(command, interrupted=lambda: "the recording is as it was; the same command begins the analysis again")


def _tell(run: Run) -> None:
    """Print warnings and notes, what was shown to whom, a line a finding, and where the rest is."""
    noted = [line for line in run.text if line.startswith(ON_TOP)]
    headline = [line for line in run.text if line not in noted][:1]
    for line in (*noted, *headline, *map(str, run.findings), "", f"results in {run.path}; all of it in report.html"):
        tell(line)
