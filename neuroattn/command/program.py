"""A program's name as its user typed it: ``python -m neuroattn.training``, or ``neuroattn train``."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPED: ContextVar[tuple[str, str]] = ContextVar("_TYPED", default=("", ""))


def program(name: str) -> str:
    """Return what help and errors call a program.

    Parameters
    ----------
    name
        Its name where it is run as a module, ``python -m neuroattn.training``, or with what follows.
    """
    module, verb = _TYPED.get()
    return f"{verb}{name.removeprefix(module)}" if module and name.startswith(module) else name


@contextlib.contextmanager
def typed(verb: str, module: str) -> Iterator[None]:
    """While the block runs, call a module by the verb that its user typed."""
    token = _TYPED.set((f"python -m {module}", f"neuroattn {verb}"))
    try:
        yield
    finally:
        _TYPED.reset(token)
