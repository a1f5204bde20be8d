"""Hooks on the named variables of a model, for as long as a ``with`` lasts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from neuroattn.subjects.clock import Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from neuroattn.subjects.clock import Clock
    from neuroattn.subjects.subject import Tapped

    # Takes variable, presentation, time step, value (batch, channel, y, x) or with fewer axes.
    Receive = Callable[[str, int, int, torch.Tensor], None]

_LISTED = 6  # elements of an output, in an error


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
        module.register_forward_hook(_handing_on(name, key, Calls(clock, name), clock, receive))
        for name, (module, key) in tapped.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _handing_on(
    name: str, key: int | str | None, calls: Calls, clock: Clock, receive: Receive
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not clock.paused:
            value, step = element(output, name, key), calls.step()
            receive(name, clock.presentation, step, dense(value.detach(), name))

    return hook


def dense(value: torch.Tensor, variable: str) -> torch.Tensor:
    """Return a value as plain real numbers: sparse and quantized ones are unfolded.

    Raises
    ------
    ValueError
        If it is complex, or nested.
    """
    if value.is_complex():
        raise ValueError(
            f"{variable} must be real, got {kind_of(value)}, whose imaginary part would be lost; record a module "
            "that returns its modulus, or both parts (torch.view_as_real)"
        )
    if value.is_nested:
        raise ValueError(f"{variable} must have one shape for all stimuli, got a nested tensor; record another one")
    if value.layout is not torch.strided:
        value = value.to_dense()
    return value.dequantize() if value.is_quantized else value


def kind_of(value: torch.Tensor) -> str:
    """Return what kind of numbers a tensor holds, such as ``float64``."""
    return str(value.dtype).removeprefix("torch.")


def element(output: Any, variable: str, key: int | str | None) -> torch.Tensor:
    """Return the tensor that a variable is, in what its module returned.

    Raises
    ------
    ValueError
        If there is no tensor in its place.
    """
    if key is None and isinstance(output, torch.Tensor):
        return output
    place = _place(output, key)
    value = None if place is None else output[place]
    if isinstance(value, torch.Tensor):
        return value
    if key is None:
        advice = _elements(output, variable)
        raise ValueError(f"{variable} must be a tensor or a tuple with one, got {_described(output)}; {advice}")
    if not isinstance(output, tuple | list | Mapping):
        raise ValueError(f"{variable} must be a tuple or a dict to have an element {key}, got {_described(output)}")
    raise ValueError(f"{variable} must be a tensor, got {_described(output)} to take element {key} of")


def with_element(output: Any, key: int | str | None, value: torch.Tensor) -> Any:
    """Return what a module returned with another tensor in a variable's place."""
    place = _place(output, key)
    if place is None:
        return value
    if isinstance(output, Mapping):
        changed: Any = copy.copy(output)  # of its own kind, which may give its elements other names too
        changed[place] = value
        return changed
    elements = [*output[:place], value, *output[place + 1 :]]
    if hasattr(output, "_fields"):  # a named tuple takes its elements one by one
        return type(output)(*elements)
    return type(output)(elements)


def _place(output: Any, key: int | str | None) -> Any:
    """Return where in a tuple or a mapping an element is; None where there is none."""
    if isinstance(output, Mapping):
        return next((there for there in output if key is not None and str(there) == str(key)), None)
    if not isinstance(output, tuple | list):
        return None
    fields = getattr(output, "_fields", ())
    number = 0 if key is None else fields.index(key) if key in fields else key
    return number if isinstance(number, int) and number < len(output) else None


def _elements(output: Any, variable: str) -> str:
    """Return which elements of an output could be recorded."""
    if isinstance(output, Mapping):
        parts = {str(key): part for key, part in output.items() if str(key).isprintable()}
    else:
        parts = {str(k): part for k, part in enumerate(output)} if isinstance(output, tuple | list) else {}
    names = [f"{variable}[{key}]" for key, part in parts.items() if isinstance(part, torch.Tensor)]
    return f"name an element ({', '.join(names[:_LISTED])})" if names else "record another variable"


def _described(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping):
        parts = [repr(key) for key in output]
    elif isinstance(output, tuple | list):
        parts = [type(part).__name__ for part in output]
    else:
        return kind
    return f"{kind} of {', '.join(parts[:_LISTED])}{' …' if len(parts) > _LISTED else ''}"
