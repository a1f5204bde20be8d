"""``python -m neuroattn.recording make|info``: record a network into a store; say what a store holds, and check it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from neuroattn.command.line import read_options, run_command, stop, tell
from neuroattn.command.program import program
from neuroattn.recording.make import MakeConfig, make
from neuroattn.runs.local_path import local_path

if TYPE_CHECKING:
    from pathlib import Path

PROG = program("python -m neuroattn.recording")
MAKE = """Record variables of a network into a Zarr store, on composites of digits or on images of your own. A recording
that was interrupted goes on with the same command; the same command may run in several terminals at once."""

MOST_LINES = 50  # of damage


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 after one line."""
        stop(f"{message} (see --help)")


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] == ["make"]:
        config = read_options(MakeConfig, argv[1:], prog=f"{PROG} make", description=MAKE)
        run_command(
            lambda: tell(make(config)),
            interrupted=lambda: f"what was recorded is kept in {config.store or 'no store'}; the same command goes on",
        )
    parser = _Parser(prog=PROG, description="Make recordings on disk, and look into them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="make|info")
    commands.add_parser("make", help="record a network into a store; see make --help", add_help=False)
    info = commands.add_parser("info", help="what a store holds, how complete it is, its size and provenance")
    info.add_argument("store", help="path of a streamed recording, or of a protocol's store")
    info.add_argument(
        "--verify", action="store_true", help="read every chunk, and compare flags and descriptions with the data"
    )
    options = parser.parse_args(argv)
    run_command(
        lambda: show(local_path("store", options.store), verify=options.verify),
        interrupted=lambda: "nothing was changed",
    )


def show(store: Path, *, verify: bool) -> None:
    """Print what a store holds; with `verify`, leave with status 1 if it is not whole."""
    from neuroattn.recording.contents import summary
    from neuroattn.recording.damage import problems, unchecked

    found = problems(store) if verify else []
    try:
        tell(summary(store))
    except ValueError:
        if not found:
            raise
    if found:
        more = [] if len(found) <= MOST_LINES else [f"and {len(found) - MOST_LINES:,} more"]
        tell("\n".join(["damaged:", *(f"  {line}" for line in [*found[:MOST_LINES], *more])]))
        raise SystemExit(1)
    if verify:
        left = unchecked(store)
        tell(f"verified: every chunk is readable{f'; not checked: {left}' if left else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
