"""Hooks on the named variables of a network, for as long as a ``with`` lasts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from neuroattn.models.probe import probes, require_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn


class Tap:
    """Collects the values of variables at chosen time steps of one phase after another.

    Parameters
    ----------
    variables
        Names, as `neuroattn.models.probe.probes` lists them.
    steps
        Time steps of a phase to keep, counted from 0, ascending.
    """

    def __init__(self, variables: Sequence[str], steps: Sequence[int]) -> None:
        self._steps = list(steps)
        self._kept: dict[str, list[torch.Tensor]] = {name: [] for name in variables}
        self._calls = dict.fromkeys(variables, 0)

    def keep(self, name: str, value: torch.Tensor) -> None:
        """Take the value that variable `name` has at its next time step."""
        if self._calls[name] in self._steps:
            self._kept[name].append(value.detach())
        self._calls[name] += 1

    def take_phase(self) -> dict[str, torch.Tensor]:
        """Return what the phase that just ended left, and be ready for the next.

        Returns
        -------
        dict
            Variable → (batch, time_step, channel, y, x), or (batch, time_step, channel) for a vector.

        Raises
        ------
        RuntimeError
            If a variable was not computed at each of the steps.
        """
        for name, values in self._kept.items():
            if len(values) != len(self._steps):
                raise RuntimeError(
                    f"{name} was computed {self._calls[name]} times in a phase, too few for steps {self._steps}"
                )
        taken = {name: torch.stack(values, 1) for name, values in self._kept.items()}
        self._kept = {name: [] for name in self._kept}
        self._calls = dict.fromkeys(self._calls, 0)
        return taken


@contextmanager
def tap(network: nn.Module, variables: Sequence[str], steps: Sequence[int]) -> Iterator[Tap]:
    """Collect variables of a network; the hooks are gone when the ``with`` ends, however it ends.

    Raises
    ------
    ValueError
        Before anything runs, if the network has no such variable; the message names those it has.
    """
    require_variables(network, list(variables))
    taps = Tap(variables, steps)
    known = probes(network)
    handles = [
        known[name].register_forward_hook(lambda _module, _inputs, value, name=name: taps.keep(name, value))
        for name in variables
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()
