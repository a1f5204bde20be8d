"""What the recorder needs of a model: names of modules, and a run that says where it is in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from neuroattn.recording.clock import Clock
    from neuroattn.stimuli.stimulus_set import StimulusSet


class Tapped(NamedTuple):
    """Where a variable exists.

    Attributes
    ----------
    module
        The module whose output it is.
    element
        Which element of the output, where that is a tuple or a mapping; None takes a tuple's first.
    """

    module: nn.Module
    element: int | str | None = None


class Subject(Protocol):
    """A model as the recorder sees it.

    Attributes
    ----------
    name, seed
        What recordings call the model, and the seed it was trained from (None: not known).
    module
        What holds the weights.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 -- the class says it

    @property
    def seed(self) -> int | None: ...  # noqa: D102

    @property
    def module(self) -> nn.Module: ...  # noqa: D102

    def tapped(self, variables: Sequence[str]) -> dict[str, Tapped]:
        """Return where variables exist.

        Raises
        ------
        ValueError
            Naming those there are, if one is unknown, repeated, or none is given.
        """

    def run(self, stimuli: StimulusSet, clock: Clock) -> Generator[tuple[int, int], None, pd.DataFrame]:
        """Show a batch of stimuli; yield (phase, step) before each step is computed.

        Returns
        -------
        pandas.DataFrame
            As the generator's value: what is known of each presentation but its phase, stimulus-major.
        """

    def require(self, stimuli: StimulusSet) -> None:
        """Raise ValueError unless the model can be shown the stimuli."""

    def sees(self, variable: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which places (y, x) of a variable have a pixel of `mask` (y, x) in their receptive field."""

    def identity(self) -> dict[str, Any]:
        """Return what makes the model and its run this one, as JSON can hold it."""


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's weights are; the CPU where it has none."""
    import torch

    first = next(iter((*module.parameters(), *module.buffers())), None)
    return torch.device("cpu") if first is None else first.device


def takes_hooks(module: nn.Module) -> bool:
    """Return whether torch calls the hooks of a module: of what TorchScript took, of the outermost traced one alone."""
    import torch

    return not isinstance(module, torch.jit.ScriptModule) or type(module).__name__ == "TopLevelTracedModule"
