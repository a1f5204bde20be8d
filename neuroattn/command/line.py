"""From a configuration's dataclass to a command: its options, its YAML file, its errors and exit statuses.

Exit status 0: done; 2: the user's input was wrong, one line on standard error; 130: interrupted; 141: nobody reads the
output any more (``| head``), and what was written to files is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import typing
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jsonargparse
import yaml

from neuroattn.command.option import allowed, suggestion
from neuroattn.command.program import program
from neuroattn.command.yaml_file import read_yaml
from neuroattn.runs.output_file import WriteError
from neuroattn.runs.plain_text import printable, shortened, shown

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Options = Mapping[str, dataclasses.Field[Any]]

Config = TypeVar("Config")

# What a user can get wrong: a value, a file, a place to write, a download, options under which training diverges.
USER_ERRORS = (ValueError, OSError, FloatingPointError)
TOO_LONG = "numbers must be of a size that a computer has, got one of hundreds of digits; write a smaller one"
READER_LEFT = 141  # as a shell tells of programs that the closed pipe ended
LONGEST_LINE = 2000  # characters of an error; lists of names may be long
# What torch says in a RuntimeError, NumPy in a ValueError, and the loader of libraries in an ImportError, of more than
# there can be.
_TOO_LARGE = re.compile(
    r"can(no|')t allocate memory|failed to map segment|out of memory|bad_alloc|can't start new thread|"
    r"not enough memory|size calculation overflowed|array is too big|Maximum allowed dimension",
    re.IGNORECASE,
)


# What an option takes, one and several.
_KINDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("True or False", "True or False"),
}


class _Refused(Exception):  # noqa: N818 -- no error of the program: what the user gave is refused
    """What a parser says of options that it does not take."""


class _Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line without the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error in one line."""
        del ex
        if "set_int_max_str_digits" in message:
            raise _Refused(TOO_LONG)
        options = [option[2:] for action in self._actions for option in action.option_strings if option[:2] == "--"]
        raise _Refused(f"{message}{_meant(message, options)}")


def tell(text: str) -> None:
    """Print a line or more of a command's output; leave quietly if nobody reads it any more."""
    with _reader_may_leave():
        print(printable(text), flush=True)  # noqa: T201 -- a command speaks to its user


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # What is left in the buffer must go somewhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_LEFT) from None


def stop(message: str) -> NoReturn:
    """Leave with status 2 after one line on standard error."""
    with contextlib.suppress(BrokenPipeError):
        print(f"error: {shortened(message, LONGEST_LINE)}", file=sys.stderr)  # noqa: T201 -- a command speaks to its user
    raise SystemExit(2)


def read_options(
    config_class: type[Config],
    argv: Sequence[str] | None,
    *,
    prog: str,
    description: str,
    defaults: Mapping[str, Any] | None = None,
) -> Config:
    """Return the configuration that a command line, and the YAML file it may name, ask for.

    The fields of the frozen dataclass were declared with `neuroattn.command.option.option`; `defaults` stand in for
    theirs. Without `argv`, the arguments are those of the process.

    Raises
    ------
    SystemExit
        0 after ``--help`` or ``--print_config``; 2 after a line that says what was wrong.
    """
    parser = _parser(config_class, prog=program(prog), description=description)
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(config_class)
    line = [_respelled(argument, fields) for argument in (sys.argv[1:] if argv is None else argv)]
    for place, recipe in _recipes(line):
        line[place] = _checked_recipe(line[place], recipe, fields, hints)
    parser.set_defaults({name: list(v) if isinstance(v, tuple) else v for name, v in (defaults or {}).items()})
    with _reader_may_leave():
        try:
            values = parser.parse_args(line).as_dict()
        except SystemExit:
            sys.stdout.flush()  # the help
            raise
        except _Refused as refusal:
            stop(f"{refusal} (see --help)" if str(refusal) != TOO_LONG else TOO_LONG)
        except OverflowError:
            stop(TOO_LONG)
    try:
        return _made(config_class, values)
    except ValueError as error:
        stop(str(error))


def configured(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Return the configuration of these options, as a command line would have given them.

    Raises
    ------
    ValueError
        In one line, if there is no such option, or it does not take such a value.
    """
    hints = typing.get_type_hints(config_class)
    if unknown := next((name for name in values if name not in hints), None):
        raise ValueError(f"{shown(unknown)} is no option{suggestion(str(unknown), hints)}")
    parser, plain = _parser(config_class, prog="", description=""), {}
    for name, value in ((name, _plain(given)) for name, given in values.items()):
        plain[name] = value
        if value is None and type(None) not in typing.get_args(hints[name]):
            raise ValueError(f"{name} must be {_kind(hints[name])}, got None")
        one = _holds_several(hints[name]) and not isinstance(value, list | tuple | None)
        try:
            # A single value is no list, as the parser would have it.
            parser.parse_object({name: object() if one else plain[name]})
        except (_Refused, OverflowError, TypeError) as refusal:
            raise ValueError(f"{name} must be {_kind(hints[name])}, got {shown(value)}") from refusal
    return _made(config_class, parser.parse_object(plain).as_dict())


def _plain(value: Any) -> Any:
    """Return a value as a recipe would hold it: Python's own numbers, texts and lists."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy's
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, tuple | list | range) else value


def _kind(hint: Any) -> str:
    """Return in words what an option takes."""
    several, optional = _holds_several(hint), type(None) in typing.get_args(hint)
    of = (
        typing.get_args(_tuple_of(hint))[0]
        if several
        else next((k for k in _KINDS if k in (hint, *typing.get_args(hint))), hint)
    )
    one, many = _KINDS.get(of, (str(of), str(of)))
    return (f"a list of {many}" if several else one) + (" or None" if optional else "")


def _parser(config_class: type[Any], *, prog: str, description: str) -> _Parser:
    # Abbreviations would warn of their own end in lines that are no errors.
    parser = _Parser(prog=prog, description=description, formatter_class=_HelpFormatter, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with options; later options on the line win")
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        _add_option(parser, field, hints[field.name])
    return parser


def _made(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    given = {field.name: values[field.name] for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    return config_class(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})


def run_command(command: Callable[[], None], *, interrupted: Callable[[], str]) -> NoReturn:
    """Run a command and leave with its exit status.

    After an interrupt, a full disk or a lack of memory, `interrupted` says what was kept and how to go on.
    """
    # No figure needs a window: what Jupyter exports for its own may not even be installed here.
    os.environ["MPLBACKEND"] = "agg"
    try:
        command()
    except WriteError as error:
        stop(f"{error}; {interrupted()}")
    except (MemoryError, RuntimeError, ImportError) as error:
        if not isinstance(error, MemoryError) and not _TOO_LARGE.search(str(error)):
            raise
        stop(f"{_no_memory(error)}; {interrupted()}")
    except USER_ERRORS as error:
        stop(_no_memory(error) if _TOO_LARGE.search(str(error)) else str(error))
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted()}", file=sys.stderr)  # noqa: T201 -- a command speaks to its user
        raise SystemExit(130) from None
    raise SystemExit(0)


def _meant(message: str, options: Iterable[str]) -> str:
    """Return the question whether another option was meant, where a parser's message is about an unknown one."""
    if not message.startswith("unrecognized arguments: "):
        return ""
    given = [argument[2:].partition("=")[0] for argument in message.split() if argument.startswith("--")]
    return next((text for name in given if (text := suggestion(name, options, "--"))), "")


def _no_memory(error: Exception) -> str:
    """Return what is said of a computation that memory did not hold."""
    reason = f" ({shortened(str(error), 200)})" if str(error) else ""
    return f"memory does not hold what was asked for{reason}; lower the options that say how many or how large"


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
    extra: dict[str, Any] = {"nargs": "+"} if several else {"nargs": "?", "const": True} if kind is bool else {}
    default: Any = field.default
    if isinstance(default, tuple):
        default = list(default)
    parser.add_argument(f"--{field.name}", type=kind, default=default, help=text, **extra)


def _holds_several(hint: Any) -> bool:
    return typing.get_origin(_tuple_of(hint)) is tuple


def _tuple_of(hint: Any) -> Any:
    """Return the tuple that an optional tuple may be; anything else as it is."""
    return next((part for part in typing.get_args(hint) if typing.get_origin(part) is tuple), hint)


def _respelled(argument: str, options: Options) -> str:
    """Return an argument with its option's name as it is spelled today; whatever else it is, as it stands."""
    name, equals, value = argument.partition("=")
    if not name.startswith("--"):
        return argument
    today = _today(name[2:], options)
    return f"--{today}{equals}{value}" if today in {*options, "config", "print_config"} else argument


def _today(name: str, options: Options) -> str:
    """Return an option's name of today: dashes are underscores, and names of before are known."""
    name = name.replace("-", "_")
    return next((field.name for field in options.values() if name == field.metadata["former"]), name)


def _recipes(line: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the places in a command line, and the names, of the files that it names by ``--config``."""
    for place, (argument, following) in enumerate(zip(line, (*line[1:], "-"), strict=False)):
        if argument.startswith("--config="):
            yield place, argument.removeprefix("--config=")
        elif argument == "--config" and not following.startswith("-"):  # else the file is missing, as the parser says
            yield place + 1, following


def _checked_recipe(argument: str, name: str, options: Options, hints: Mapping[str, Any]) -> str:
    """Return the argument by which the parser gets a YAML file: as it stands, or with the text of today in it.

    Leaves with one line unless the file holds options with values, and lists where an option takes several. The parser
    guesses at what else such a file might be, and its errors are about the guess.
    """
    content = _read_recipe(name)
    if not isinstance(content, dict):
        what = "nothing" if content is None else "a list" if isinstance(content, list) else "a single value"
        stop(f"config must be a YAML file of options, got {name!r}, which holds {what}; write lines of OPTION: VALUE")
    today: dict[str, Any] = {}
    for given, value in content.items():
        key = _today(str(given), options)
        if key not in options:
            stop(f"Option {shown(str(given))} is not accepted{suggestion(str(given), options)} (see --help)")
        if key in today:
            stop(f"{key} must be given once in {name!r}, got it under two spellings; leave one out")
        # A name of before may be of one value where the option takes several today.
        wrapped = key != given and _holds_several(hints[key]) and isinstance(value, str)
        today[key] = [value] if wrapped else value
        _check_entry(options[key], hints[key], today[key], name, alone=len(content) == 1)
    return argument if today == content else argument.removesuffix(name) + yaml.safe_dump(today, sort_keys=False)


def _check_entry(option: dataclasses.Field[Any], hint: Any, value: Any, name: str, *, alone: bool) -> None:
    """Leave with one line unless the value of an option in a YAML file is one, or a list where several are taken."""
    key, optional = option.name, type(None) in typing.get_args(hint)
    if _holds_several(hint) and not isinstance(value, list) and not (value is None and optional):
        example: Any = option.default or [] if value is None or isinstance(value, dict) else [value]
        found = "nothing" if value is None else shown(value)
        write = f"{key}: [{shortened(', '.join(map(str, example)))}]"
        stop(f"{key} must be a list in {name!r}, got {found}; write {write}")
    # The parser takes a single line without a value for no option at all.
    if value is None and (alone or not optional):
        stop(f"{key} must have a value in {name!r}, got nothing; give it one or leave the line out")


def _read_recipe(name: str) -> Any:
    path = Path(os.path.expanduser(name))  # noqa: PTH111 -- as the parser does it: Path's own may raise
    if not path.is_file():
        stop(f"config must be a YAML file that exists, got {name!r}; check the path")
    try:
        return read_yaml(path)
    except OSError as error:
        stop(f"config must be a YAML file that can be read, got {name!r} ({error.strerror}); check its permissions")
    except ValueError as error:
        stop(f"config must be a whole YAML file, got {name!r}{error}; correct it")
