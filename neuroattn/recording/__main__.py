"""``python -m neuroattn.recording info STORE [--verify]``: what a store holds, and whether it is whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from neuroattn.command_line import run_command, stop


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 after one line."""
        stop(f"{message} (see --help)")


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    parser = _Parser(prog="python -m neuroattn.recording", description="Look into recordings on disk.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="info")
    info = commands.add_parser("info", help="what a store holds, how complete it is, its size and provenance")
    info.add_argument("store", type=Path, help="path of a streamed recording")
    info.add_argument("--verify", action="store_true", help="read every chunk and hold the flags against the data")
    options = parser.parse_args(argv)
    run_command(lambda: show(options.store, verify=options.verify), interrupted=lambda: "nothing was changed")


def show(store: Path, *, verify: bool) -> None:
    """Print what a store holds; with `verify`, leave with status 1 if it is not whole."""
    from neuroattn.recording.contents import problems, summary

    print(summary(store))
    if not verify:
        return
    found = problems(store)
    print("\n".join(["damaged:", *(f"  {line}" for line in found)]) if found else "verified: every chunk is readable")
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
