"""YAML files of a user's, read without trust: they are small, and no part of them stands for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 100_000


class _Loader(yaml.SafeLoader):
    """A safe loader without aliases, by which a few lines can hold billions of values."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "an alias (*) is not allowed", event.start_mark)
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no whole YAML file of at most `MOST_BYTES`; says why in words that follow the name of the file.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f", which is longer than {MOST_BYTES:,} bytes")
    try:
        return yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 -- a safe loader's child
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f" ({line}{error.problem})") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # Bytes that are no text, or a tag such as !!int before what is no integer.
        raise ValueError(", which cannot be understood") from error
