"""From a configuration's dataclass to a command: its options, its YAML file, its errors and exit statuses.

Exit status 0: done; 2: the user's input was wrong, one line on standard error; 130: interrupted.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from typing import Any, NoReturn, TypeVar

import jsonargparse

from neuroattn.options import allowed

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Config = TypeVar("Config")

# What a user can get wrong: a value, a file, a place to write, a download, options under which training diverges.
USER_ERRORS = (ValueError, OSError, FloatingPointError)


class _Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line without the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with status 2."""
        del ex
        stop(f"{' '.join(message.split())} (see --help)")


def stop(message: str) -> NoReturn:
    """Leave with status 2 after one line on standard error."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 -- a command speaks to its user
    raise SystemExit(2)


def read_options(config_class: type[Config], argv: Sequence[str] | None, *, prog: str, description: str) -> Config:
    """Return the configuration that a command line, and the YAML file it may name, ask for.

    Parameters
    ----------
    config_class
        Frozen dataclass whose fields were declared with `neuroattn.options.option`.
    argv
        Arguments without the program's name; None takes those of the process.
    prog, description
        For ``--help``.

    Raises
    ------
    SystemExit
        0 after ``--help`` or ``--print_config``; 2 after a line that says what was wrong.
    """
    parser = _Parser(prog=prog, description=description, formatter_class=_HelpFormatter)
    parser.add_argument("--config", action="config", help="YAML file with options; later options on the line win")
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):  # type: ignore[arg-type]
        _add_option(parser, field, hints[field.name])
    values = parser.parse_args(argv).as_dict()
    given = {field.name: values[field.name] for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    try:
        return config_class(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})
    except ValueError as error:
        stop(str(error))


def run_command(command: Callable[[], None], *, interrupted: Callable[[], str]) -> NoReturn:
    """Run a command and leave with its exit status.

    Parameters
    ----------
    command
        What to do.
    interrupted
        Says, after an interrupt, what was kept and how to go on.
    """
    try:
        command()
    except USER_ERRORS as error:
        stop(str(error))
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted()}", file=sys.stderr)  # noqa: T201 -- a command speaks to its user
        raise SystemExit(130) from None
    raise SystemExit(0)


class _HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Help in which every line already says its default."""

    def add_yaml_comments(self, cfg: str) -> str:
        """Leave a printed configuration without comments."""
        return cfg


def _add_option(parser: _Parser, field: dataclasses.Field[Any], hint: Any) -> None:
    several = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if several else hint
    notes = [note for note in (field.metadata.get("unit"), allowed(field)) if note]
    text = field.metadata["description"] + (f" [{'; '.join(notes)}]" if notes else "")
    extra: dict[str, Any] = {"nargs": "+"} if several else {}
    default: Any = field.default
    parser.add_argument(f"--{field.name}", type=kind, default=list(default) if several else default, help=text, **extra)
