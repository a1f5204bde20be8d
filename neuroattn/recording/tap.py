"""Hooks on the named variables of a model, for as long as a ``with`` lasts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from neuroattn.recording.clock import Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import nn

    from neuroattn.recording.clock import Clock
    from neuroattn.recording.subject import Tapped

    # Takes variable, presentation, time step, value (batch, channel, y, x) or with fewer axes.
    Receive = Callable[[str, int, int, torch.Tensor], None]


@contextmanager
def tap(tapped: Mapping[str, Tapped], clock: Clock, receive: Receive) -> Iterator[None]:
    """Hand on the values of variables as they are computed; the hooks are gone when the ``with`` ends, however it ends.

    Parameters
    ----------
    tapped
        Variable → where it exists.
    clock
        Of the run that goes on inside the block.
    receive
        Called with every value. The tensor is the model's own: copy what is to last.
    """
    handles = [
        module.register_forward_hook(_handing_on(name, number, Calls(clock, name), clock, receive))
        for name, (module, number) in tapped.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _handing_on(
    name: str, number: int | None, calls: Calls, clock: Clock, receive: Receive
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not clock.paused:
            value, step = element(output, name, number), calls.step()
            receive(name, clock.presentation, step, value.detach())

    return hook


def element(output: Any, variable: str, number: int | None) -> torch.Tensor:
    """Return the tensor that a variable is, in what its module returned.

    Raises
    ------
    ValueError
        If there is no tensor in its place.
    """
    value = output
    if isinstance(output, tuple | list):
        k = 0 if number is None else number
        value = output[k] if k < len(output) else None
    elif number is not None:
        raise ValueError(f"{variable} must be a tuple to have an element {number}, got {type(output).__name__}")
    if not isinstance(value, torch.Tensor):
        if number is not None:
            raise ValueError(f"{variable} must be a tensor, got {_described(output)} to take element {number} of")
        raise ValueError(
            f"{variable} must be a tensor or a tuple with one, got {_described(output)}; name an element "
            f"({variable}[1])"
        )
    return value


def with_element(output: Any, number: int | None, value: torch.Tensor) -> Any:
    """Return what a module returned with another tensor in a variable's place."""
    if not isinstance(output, tuple | list):
        return value
    k = number or 0
    elements = [*output[:k], value, *output[k + 1 :]]
    if hasattr(output, "_fields"):  # a named tuple takes its elements one by one
        return type(output)(*elements)
    return type(output)(elements)


def _described(output: Any) -> str:
    if isinstance(output, tuple | list):
        return f"{type(output).__name__} of {', '.join(type(part).__name__ for part in output)}"
    return type(output).__name__
