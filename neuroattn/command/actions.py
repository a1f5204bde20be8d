"""Commands that do one of several things: ``python -m neuroattn.evaluation digits|scenes|card``."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from neuroattn.command.line import USER_ERRORS, read_options, run_command, stop, tell
from neuroattn.command.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Names(NamedTuple):
    """Names that stand before the options of an action: several where what help calls them ends in ``...``.

    Where none is given, `what` is asked for, with an example.
    """

    metavar: str
    what: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Action:
    """One of the things that a command does.

    Attributes
    ----------
    config
        Dataclass of its options.
    description
        For ``--help``.
    run
        Does it, with the options and the names that stand before them.
    prepare
        Options, names → what `run` and `interrupted` are given in place of the names.
    usage
        What must be given, for the usage of all actions.
    interrupted
        Says, of the same, what an interrupt leaves.
    names
        That are taken before the options; None: no names are.
    """

    config: type[Any]
    description: str
    run: Callable[[Any, Any], None]
    prepare: Callable[[Any, list[str]], Any] = lambda _config, names: names
    usage: str = "[options]"
    interrupted: Callable[[Any, Any], str] = lambda _config, _names: "nothing was kept"
    names: Names | None = None


def run_action(name: str, question: str, actions: Mapping[str, Action], argv: list[str]) -> NoReturn:
    """Do what the arguments after a command's name ask for, and leave with its exit status.

    `question` is what the first of them answers: ``what to do``.
    """
    prog = program(name)
    if argv[:1] in (["-h"], ["--help"], []):
        tell(_usage(prog, actions))
        raise SystemExit(0 if argv else 2)
    if (action := actions.get(argv[0])) is None:
        *others, last = actions
        known = f"{', '.join(others)} or {last}" if others else last
        stop(f"{question} must be {known}, got {argv[0]!r}")
    called, names = f"{prog} {argv[0]}", _names(argv[1:], action.names)
    described = called if action.names is None else f"{called} {action.names.metavar}"
    config = read_options(action.config, argv[1 + len(names) :], prog=described, description=action.description)
    if action.names is not None and not names:
        stop(f"{action.names.what} must be named, as in {called} {action.names.example}")
    try:
        given = action.prepare(config, names)
    except USER_ERRORS as error:
        stop(str(error))
    run_command(lambda: action.run(config, given), interrupted=lambda: action.interrupted(config, given))


def _names(words: list[str], names: Names | None) -> list[str]:
    """Return the words before the options, as far as they are names."""
    if names is None:
        return []
    before = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    return before if names.metavar.endswith("...") else before[:1]


def _usage(prog: str, actions: Mapping[str, Action]) -> str:
    """Return how the actions of a command are called, and what each does."""
    lines = [f"{prog} {name} {action.usage}" for name, action in actions.items()]
    width = max(map(len, actions))
    texts = [
        textwrap.fill(f"  {name:{width}}  {action.description}", 118, subsequent_indent=" " * (width + 4))
        for name, action in actions.items()
    ]
    last = "Each has --help." if len(actions) > 1 else f"See {prog} {next(iter(actions))} --help."
    return "\n".join([f"usage: {lines[0]}", *(f"       {line}" for line in lines[1:]), "", *texts, "", last])
