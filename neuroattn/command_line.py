"""From a configuration's dataclass to a command: its options, its YAML file, its errors and exit statuses.

Exit status 0: done; 2: the user's input was wrong, one line on standard error; 130: interrupted.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jsonargparse

from neuroattn.options import allowed

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
    # Abbreviations would warn of their own end in lines that are no errors.
    parser = _Parser(prog=prog, description=description, formatter_class=_HelpFormatter, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with options; later options on the line win")
    hints = typing.get_type_hints(config_class)
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    for field in fields.values():
        _add_option(parser, field, hints[field.name])
    for recipe in _recipes(sys.argv[1:] if argv is None else argv):
        _check_recipe(recipe, fields, hints)
    values = parser.parse_args(argv).as_dict()
    given = {name: values[name] for name in fields}
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
    several = _holds_several(hint)
    kind = typing.get_args(_tuple_of(hint))[0] if several else hint
    notes = [note for note in (field.metadata.get("unit"), allowed(field)) if note]
    text = field.metadata["description"] + (f" [{'; '.join(notes)}]" if notes else "")
    extra: dict[str, Any] = {"nargs": "+"} if several else {}
    default: Any = field.default
    if isinstance(default, tuple):
        default = list(default)
    parser.add_argument(f"--{field.name}", type=kind, default=default, help=text, **extra)


def _holds_several(hint: Any) -> bool:
    return typing.get_origin(_tuple_of(hint)) is tuple


def _tuple_of(hint: Any) -> Any:
    """Return the tuple that an optional tuple may be; anything else as it is."""
    return next((part for part in typing.get_args(hint) if typing.get_origin(part) is tuple), hint)


def _recipes(argv: Sequence[str]) -> Iterator[str]:
    """Yield the files that a command line names by ``--config``."""
    for argument, following in zip(argv, (*argv[1:], "-"), strict=False):
        if argument.startswith("--config="):
            yield argument.removeprefix("--config=")
        elif argument == "--config" and not following.startswith("-"):  # else the file is missing, as the parser says
            yield following


def _check_recipe(name: str, options: Mapping[str, dataclasses.Field[Any]], hints: Mapping[str, Any]) -> None:
    """Leave with one line unless a YAML file holds options with values, and lists where an option takes several.

    The parser guesses at what else such a file might be, and its errors are about the guess.
    """
    content = _read_recipe(name)
    if not isinstance(content, dict):
        what = "nothing" if content is None else "a list" if isinstance(content, list) else "a single value"
        stop(f"config must be a YAML file of options, got {name!r}, which holds {what}; write lines of OPTION: VALUE")
    for key, value in content.items():
        if key not in options:
            stop(f"Option {str(key)!r} is not accepted (see --help)")
        optional = type(None) in typing.get_args(hints[key])
        if _holds_several(hints[key]) and not isinstance(value, list) and not (value is None and optional):
            example: Any = options[key].default or [] if value is None or isinstance(value, dict) else [value]
            found = "nothing" if value is None else repr(value)
            stop(f"{key} must be a list in {name!r}, got {found}; write {key}: [{', '.join(map(str, example))}]")
        # The parser takes a single line without a value for no option at all.
        if value is None and (len(content) == 1 or not optional):
            stop(f"{key} must have a value in {name!r}, got nothing; give it one or leave the line out")


def _read_recipe(name: str) -> Any:
    import yaml

    path = Path(os.path.expanduser(name))  # noqa: PTH111 -- as the parser does it: Path's own may raise
    if not path.is_file():
        stop(f"config must be a YAML file that exists, got {name!r}; check the path")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        stop(f"config must be a YAML file that can be read, got {name!r} ({error.strerror}); check its permissions")
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        stop(f"config must be a whole YAML file, got {name!r} ({error.problem}{line}); correct it")
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        # Bytes that are no text, or a tag such as !!int before what is no integer.
        stop(f"config must be a whole YAML file, got {name!r}, which cannot be understood; correct it")
