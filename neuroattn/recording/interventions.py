"""What can be done to a model while it runs: to a variable, to the strength of its gates, to its inhibition masks.

Each says when it acts (phases, and steps of a phase, both counted from 0; None: always) and describes itself, because
a recording under an intervention is another recording.
"""

from __future__ import annotations

import dataclasses
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from neuroattn.models.state_hash import array_hash
from neuroattn.models.trial import free_trial
from neuroattn.recording.units import Units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork, Maps
    from neuroattn.models.trial import Cues
    from neuroattn.subjects.clock import Clock

MASK_SOURCES = ("object", "stimulus")


class Now(NamedTuple):
    """When an intervention acts: the run's clock, the value's time step, and the variable's past.

    The past is step → its own value at the earlier steps of this presentation, before any intervention on it.
    """

    clock: Clock
    step: int
    past: Mapping[int, torch.Tensor]


class Trial(NamedTuple):
    """A trial whose inhibition is changed: images (batch, channel, y, x), and the presentation's number from 0.

    `cued` are the masks of both cues, None in a free trial.
    """

    network: GatedNetwork
    image: torch.Tensor
    number: int
    cued: Cues | None
    clock: Clock


@dataclass(frozen=True, eq=False)
class Intervention:
    """Something that is done at some phases and steps.

    Attributes
    ----------
    phases, steps
        When, counted from 0; None: always.
    """

    phases: Sequence[int] | None = field(default=None, kw_only=True)
    steps: Sequence[int] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._keep_numbers("phases")
        self._keep_numbers("steps")

    def _keep_numbers(self, name: str) -> None:
        given = getattr(self, name)
        if given is None:
            return
        try:
            numbers = [operator.index(number) for number in given]
        except TypeError:
            numbers = []
        if not numbers or min(numbers) < 0:
            raise ValueError(f"{name} must be a list of whole numbers from 0, at least one, got {given}")
        object.__setattr__(self, name, tuple(numbers))

    @property
    def shuffles(self) -> bool:
        """Whether stimuli of a batch exchange something."""
        return False

    def acts(self, phase: int, step: int) -> bool:
        """Return whether it acts at a step of a phase."""
        return (self.phases is None or phase in self.phases) and (self.steps is None or step in self.steps)

    def describe(self) -> dict[str, Any]:
        """Return it as JSON can hold it: its class and what was given, arrays by their SHA-256."""
        given = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {"kind": type(self).__name__, **{k: _plain(v) for k, v in given.items() if v is not None}}


@dataclass(frozen=True, eq=False)
class OnVariable(Intervention, ABC):
    """Something that is done to the values of a variable.

    What is downstream of the variable sees the changed values: a response goes on to the next stage, a gate gates from
    the next step on; after step T − 2, counted from 0, it also makes the next phase's inhibition.

    Attributes
    ----------
    variable
        Name, such as ``stage1/gate``.
    units
        Which of its units, or places; None: all.
    """

    variable: str
    units: Units | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units is not None and not isinstance(self.units, Units):
            raise ValueError(f"units must be Units, got {self.units!r}")

    @abstractmethod
    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return what a value (batch, channel, y, x) becomes, in all units."""


@dataclass(frozen=True, eq=False)
class Clamp(OnVariable):
    """Hold a variable at `value`."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_number("value", self.value)

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return `value` everywhere."""
        del now
        _require_holds("value", self.variable, np.asarray(self.value), value)
        return torch.full_like(value, self.value)


@dataclass(frozen=True, eq=False)
class Scale(OnVariable):
    """Multiply a variable by `factor`."""

    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_number("factor", self.factor)

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return the multiple."""
        del now
        return value * self.factor


@dataclass(frozen=True, eq=False)
class Silence(OnVariable):
    """Set a variable to 0: a silent response, an open gate."""

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return 0 everywhere."""
        del now
        return torch.zeros_like(value)


@dataclass(frozen=True, eq=False)
class Replace(OnVariable):
    """Put other values in a variable's place.

    Attributes
    ----------
    values
        (channel, y, x) for all stimuli, or (stimulus, channel, y, x) with one entry a stimulus of the recording; in
        the variable's own shape.
    """

    values: NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "values", np.asarray(self.values))

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return the values of these stimuli."""
        chosen = of_stimuli("values", self.variable, self.values, value, now.clock)
        _require_holds("values", self.variable, chosen, value)
        # A copy: what follows may work in place.
        return torch.from_numpy(np.array(chosen, order="C")).to(value).expand_as(value).clone()


@dataclass(frozen=True, eq=False)
class Delay(OnVariable):
    """Let a variable lag by time steps: at step t it has its own value of step t − `by`, 0 where there is none."""

    by: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_number("by", self.by)
        if int(self.by) != self.by or self.by < 1:
            raise ValueError(f"by must be at least 1 time step, got {self.by}")

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return the earlier value."""
        earlier = now.past.get(now.step - self.by)
        if earlier is not None and earlier.shape != value.shape:
            raise ValueError(
                f"{self.variable} must keep its shape to lag, got {tuple(earlier.shape[1:])} at step "
                f"{now.step - self.by} and {tuple(value.shape[1:])} at step {now.step}; choose other steps"
            )
        return torch.zeros_like(value) if earlier is None else earlier.clone()  # what follows may work in place


@dataclass(frozen=True, eq=False)
class Shuffle(OnVariable):
    """Give each stimulus the values of another one of its batch, the same one for every variable and step.

    Values keep their statistics but not their stimulus. `seed` is of the draw of the other stimulus.
    """

    seed: int = field(default=0, kw_only=True)

    @property
    def shuffles(self) -> bool:
        """Whether stimuli of a batch exchange something."""
        return True

    def change(self, value: torch.Tensor, now: Now) -> torch.Tensor:
        """Return the others' values."""
        return value[donors(now.clock, self.seed).to(value.device)]


@dataclass(frozen=True, eq=False)
class Strength(Intervention):
    """Gate with another strength s in [0, 1]: a gate of 1 removes this fraction of its input."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.value, int | float | np.number) or not 0 <= self.value <= 1:
            raise ValueError(f"strength must be in [0, 1], got {self.value}")


@dataclass(frozen=True, eq=False)
class OnInhibition(Intervention, ABC):
    """Something that is done to the inhibition masks at the start of a phase; what follows is made of the result.

    Attributes
    ----------
    stages
        Whose masks, counted from 1; None: all.
    """

    stages: Sequence[int] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep_numbers("stages")
        if self.steps is not None:
            raise ValueError(
                f"steps must be None where inhibition is changed, which holds for a phase, got {list(self.steps)}"
            )

    @abstractmethod
    def masks(self, masks: Maps, trial: Trial) -> Maps:
        """Return the masks (batch, channel, y, x), one a stage, in place of those given; of all stages."""


@dataclass(frozen=True, eq=False)
class AblateInhibition(OnInhibition):
    """Inhibit nothing: m = False."""

    def masks(self, masks: Maps, trial: Trial) -> Maps:
        """Return empty masks."""
        del trial
        return [torch.zeros_like(mask) for mask in masks]


@dataclass(frozen=True, eq=False)
class ImposeInhibition(OnInhibition):
    """Inhibit given places.

    Attributes
    ----------
    given
        For each of `stages`, a boolean mask (channel, y, x) for all stimuli or (stimulus, channel, y, x) with one
        entry a stimulus of the recording, in the shape of the stage's input.
    """

    given: Sequence[NDArray[np.bool_]]

    def __post_init__(self) -> None:
        super().__post_init__()
        masks = [np.asarray(mask) for mask in self.given]
        if any(mask.dtype != bool for mask in masks):
            raise ValueError(f"given must be boolean masks, got {[str(mask.dtype) for mask in masks]}")
        object.__setattr__(self, "given", masks)

    def masks(self, masks: Maps, trial: Trial) -> Maps:
        """Return the given masks in the place of their stages'."""
        stages = list(range(1, len(masks) + 1) if self.stages is None else self.stages)
        if len(stages) != len(self.given):
            raise ValueError(f"given must hold one mask for each of stages {stages}, got {len(self.given)}")
        changed = list(masks)
        for stage, mask in zip(stages, self.given, strict=True):
            name, current = f"stage{stage}/gate", masks[stage - 1]
            chosen = of_stimuli("given", name, np.asarray(mask), current, trial.clock)
            changed[stage - 1] = torch.from_numpy(np.array(chosen, order="C")).to(current.device).expand_as(current)
        return changed


@dataclass(frozen=True, eq=False)
class SwapInhibition(OnInhibition):
    """Inhibit the other object, or the places of another stimulus.

    Attributes
    ----------
    source
        ``object``: in place of the object that the phase before attended, the one that the intact network attends in
        this phase is inhibited; of two cues, the other one. ``stimulus``: the masks of another stimulus of the batch.
    seed
        Of the draw of the other stimulus.
    """

    source: str = "object"
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source not in MASK_SOURCES:
            raise ValueError(f"source must be one of {', '.join(MASK_SOURCES)}, got {self.source!r}")

    @property
    def shuffles(self) -> bool:
        """Whether stimuli of a batch exchange something."""
        return self.source == "stimulus"

    def masks(self, masks: Maps, trial: Trial) -> Maps:
        """Return the other masks."""
        if self.source == "stimulus":
            others = donors(trial.clock, self.seed)
            return [mask[others.to(mask.device)] for mask in masks]
        if trial.cued is not None:
            return trial.cued.first if trial.number else trial.cued.second
        if trial.number == 0:  # nothing is inhibited yet
            return masks
        with trial.clock.pause():
            intact = list(free_trial(trial.network, trial.image, trial.number + 1))
        after = [phase.inhibition for phase in intact]
        earlier = after[-3] if trial.number > 1 else [torch.zeros_like(mask) for mask in masks]
        return [e | (now & ~before) for e, before, now in zip(earlier, after[-2], after[-1], strict=True)]


def donors(clock: Clock, seed: int) -> torch.Tensor:
    """Return for each stimulus of the batch another one: a random cycle, drawn anew for every batch."""
    n = len(clock.positions)
    if n < 2:
        raise ValueError("batch_size must leave no batch with a single stimulus, which has no other to shuffle with")
    order = np.random.default_rng([seed, int(clock.positions[0])]).permutation(n)
    others = np.empty(n, np.int64)
    others[order] = np.roll(order, 1)
    return torch.from_numpy(others)


def of_stimuli(parameter: str, variable: str, array: NDArray[Any], value: torch.Tensor, clock: Clock) -> NDArray[Any]:
    """Return the part of an array, shared or one entry a stimulus, that belongs to the stimuli of the batch."""
    shared, n = tuple(value.shape[1:]), clock.n_stimuli
    if array.shape == shared:
        return array
    if array.shape == (n, *shared):
        part: NDArray[Any] = array[clock.positions]
        return part
    raise ValueError(
        f"{parameter} must have the shape {shared} of {variable}, or {(n, *shared)} for {n} stimuli, got {array.shape}"
    )


def _require_holds(parameter: str, variable: str, given: NDArray[Any], value: torch.Tensor) -> None:
    """Raise unless numbers are still what they are, to rounding, in the kind of numbers that a variable holds."""
    if value.dtype in {torch.float32, torch.float64} or np.iscomplexobj(given):
        return
    exact = torch.from_numpy(np.array(given, np.float64))
    there = exact.to(value.dtype).to(torch.complex128 if value.is_complex() else torch.float64)
    fits = there.isfinite() | ~exact.isfinite() if value.is_floating_point() or value.is_complex() else there == exact
    if not fits.all():
        lost = exact[~fits.reshape(exact.shape)].flatten()[0].item()
        kind = str(value.dtype).removeprefix("torch.")
        raise ValueError(f"{parameter} must fit {kind} for {variable}, got {lost:g}; give numbers that it can hold")


def _require_number(name: str, value: Any) -> None:
    if not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def _plain(value: Any) -> Any:
    if isinstance(value, Units):
        return value.describe()
    if isinstance(value, np.ndarray):
        return {"sha256": array_hash(value)}
    if isinstance(value, list | tuple | range):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
