"""What a protocol may ask of a model, and what the recorder needs of it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import pandas as pd
    import torch
    from torch import nn

    from neuroattn.models.about import About
    from neuroattn.models.gated import GatedNetwork, Maps
    from neuroattn.models.trial import Cues
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.clock import Clock
    from neuroattn.subjects.fields import Fields


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


class InForce(Protocol):
    """The interventions in force, as a run asks for them."""

    def masks(self, network: GatedNetwork, image: torch.Tensor, masks: Maps, number: int, cued: Cues | None) -> Maps:
        """Return the inhibition of presentation `number`: that of the trial, but for what interventions make of it."""

    def strength(self, phase: int, step: int) -> float | None:
        """Return the strength that is set at a step of a phase; None: none is."""


class Subject(Protocol):
    """A model, as protocols ask it and the recorder runs it.

    Attributes
    ----------
    name, seed
        What recordings call the model, and the seed it was trained from (None: not known).
    module
        What holds the weights.
    about
        What its file says of its training.
    size
        (channel, y, x) of the pictures that it takes; None: of any.
    n_classes
        Classes that it tells apart; None: it is not known to tell any.
    layers
        Variable → (channel, y, x) of its responses, bottom up.
    steps
        Time steps of a presentation at which all layers respond.
    ungated
        Arguments of `neuroattn.record` under which no attention acts.
    lacks
        What it cannot be asked for, from `STATES`, `PARTS` and `neuroattn.dims.CONTROLS`, with the reason in words.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 -- the class says it

    @property
    def seed(self) -> int | None: ...  # noqa: D102

    @property
    def module(self) -> nn.Module: ...  # noqa: D102

    @property
    def about(self) -> About: ...  # noqa: D102

    @property
    def size(self) -> tuple[int, int, int] | None: ...  # noqa: D102

    @property
    def n_classes(self) -> int | None: ...  # noqa: D102

    @property
    def layers(self) -> Mapping[str, tuple[int, int, int]]: ...  # noqa: D102

    @property
    def steps(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def ungated(self) -> Mapping[str, Any]: ...  # noqa: D102

    @property
    def lacks(self) -> Mapping[str, str]: ...  # noqa: D102

    def facing(self, size: tuple[int, int, int]) -> Self:
        """Return the subject before pictures (channel, y, x), whose layers and fields are then known.

        Raises
        ------
        ValueError
            If it takes no such pictures.
        """

    def control(self, name: str, seed: int) -> Self:
        """Return the subject that a control runs (`neuroattn.dims.CONTROLS`); a seed draws what is drawn."""

    def with_strength(self, strength: float) -> Self:
        """Return the subject with another strength of attention."""

    def on(self, device: torch.device) -> Self:
        """Return the subject on a device, in evaluation mode; the user's own model stays where it is."""

    def trials(
        self,
        stimuli: StimulusSet,
        variables: Sequence[str],
        steps: Sequence[int] | None,
        design: str,
        phases: int | None,
    ) -> Self:
        """Return the subject about to go through the trials of a recording, whose arguments these are.

        Raises
        ------
        ValueError
            If it has no such trials.
        """

    def tapped(self, variables: Sequence[str]) -> dict[str, Tapped]:
        """Return where variables exist.

        Raises
        ------
        ValueError
            Naming those there are, if one is unknown, repeated, or none is given.
        """

    def run(
        self, stimuli: StimulusSet, clock: Clock, in_force: InForce | None = None
    ) -> Generator[tuple[int, int], None, pd.DataFrame]:
        """Show a batch of stimuli; yield (phase, step) before each step is computed.

        Returns
        -------
        pandas.DataFrame
            As the generator's value: what is known of each presentation but its phase, stimulus-major.
        """

    def require(self, stimuli: StimulusSet) -> None:
        """Raise ValueError unless the model can be shown the stimuli in its trials."""

    def fields(self, variable: str, size: tuple[int, int] | None = None) -> Fields:
        """Return the receptive fields of a map in pictures of (y, x); None: of those that the subject faces.

        Raises
        ------
        ValueError
            If the variable is no map of the picture.
        """

    def architecture(self) -> dict[str, Any]:
        """Return what of the subject is not among its weights, as JSON can hold it."""

    def identity(self) -> dict[str, Any]:
        """Return what makes the subject and its trials this one, as JSON can hold it."""


STATES = ("free", "cued")  # attention in the subject's own order, or directed to an object
PARTS = ("strength", "inhibition", "choice")  # of attention; ``choice``: it says which object it attends


def ascending(steps: Sequence[int] | None, last: int | None = None) -> list[int] | None:
    """Return time steps to keep as plain numbers; None keeps all.

    Raises
    ------
    ValueError
        Unless they ascend from 0 on, at most to `last`.
    """
    if steps is None:
        return None
    try:
        wanted = [operator.index(step) for step in steps]  # numpy's integers are no JSON
    except TypeError:
        wanted = []
    if not wanted or wanted != sorted(set(wanted)) or wanted[0] < 0 or (last is not None and wanted[-1] > last):
        allowed = "0 on" if last is None else f"0 to {last}"
        raise ValueError(f"steps must be a list of different numbers from {allowed}, ascending, got {steps}")
    return wanted


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's weights are; the CPU where it has none."""
    import torch

    first = next(iter((*module.parameters(), *module.buffers())), None)
    return torch.device("cpu") if first is None else first.device


def takes_hooks(module: nn.Module) -> bool:
    """Return whether torch calls the hooks of a module: of what TorchScript took, of the outermost traced one alone."""
    import torch

    return not isinstance(module, torch.jit.ScriptModule) or type(module).__name__ == "TopLevelTracedModule"
