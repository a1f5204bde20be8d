"""A named variable of a network that can be recorded.

A `Probe` passes its input on unchanged. It marks the place where a variable exists, so that a recorder can hook on to
it by name and protocols never speak of layer numbers.
"""

from __future__ import annotations

import torch
from torch import nn


class Probe(nn.Module):
    """The identity, under the name of the variable that passes through it.

    Parameters
    ----------
    variable
        Name users know it by, such as ``stage1/gate``.

    Examples
    --------
    >>> Probe("stage1/gate")
    Probe(stage1/gate)
    """

    def __init__(self, variable: str) -> None:
        super().__init__()
        self.variable = variable

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return `value` itself."""
        return value

    @property
    def watched(self) -> bool:
        """Whether anybody records or changes the variable."""
        return bool(self._forward_hooks or self._forward_pre_hooks)

    def extra_repr(self) -> str:
        """Show the variable's name when the network is printed."""
        return self.variable


def probes(network: nn.Module) -> dict[str, Probe]:
    """Return every probe of `network` by the name of its variable, in the order in which the network defines them.

    >>> from neuroattn.models.checkpoint import load_model
    >>> list(probes(load_model("digits-0")))[:4]
    ['stage1/gated_input', 'stage1/response', 'stage1/pooled', 'stage1/gate']
    """
    return {module.variable: module for module in network.modules() if isinstance(module, Probe)}


def require_variables(network: nn.Module, variables: list[str]) -> None:
    """Raise unless `network` has all of `variables`, at least one, none of them twice.

    Raises
    ------
    ValueError
        Naming what was wrong and the variables there are.

    Examples
    --------
    >>> from neuroattn.models.checkpoint import load_model
    >>> require_variables(load_model("digits-0"), ["stage3/gate"])
    Traceback (most recent call last):
    ValueError: variables must be among stage1/gated_input, ..., got 'stage3/gate'; correct the name
    """
    known = ", ".join(probes(network))
    if not variables:
        raise ValueError(f"variables must name at least one variable, got none; choose from {known}")
    for name in variables:
        if name not in probes(network):
            raise ValueError(f"variables must be among {known}, got {name!r}; correct the name")
    twice = sorted({name for name in variables if variables.count(name) > 1})
    if twice:
        raise ValueError(f"variables must not repeat, got {', '.join(twice)} more than once; name each once")
