"""A run: a batch of stimuli goes through a subject, and the values of its variables go where they are to be kept."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from neuroattn import dims
from neuroattn.recording.intervene import active_on
from neuroattn.subjects.clock import Clock
from neuroattn.subjects.subject import takes_hooks
from neuroattn.subjects.tap import kind_of, tap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.recording.intervene import Active
    from neuroattn.recording.interventions import Intervention
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject
    from neuroattn.subjects.tap import Receive

    Arrays = dict[str, NDArray[np.floating]]

PRECISIONS = ("float32", "float16")
# Kinds of numbers that single precision may lose.
_WIDE = frozenset((torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64))


class Batch(NamedTuple):
    """What a batch of stimuli left.

    Attributes
    ----------
    presentations
        One row a presentation, stimulus-major: the coordinates of the dim ``presentation``.
    activations
        Variable → (presentation, time_step, neuroid).
    """

    presentations: pd.DataFrame
    activations: Arrays


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What the first stimuli tell of a recording before it is made.

    Attributes
    ----------
    shapes
        Variable → (channel, y, x), or fewer axes.
    steps
        Variable → time steps at which it exists in every phase.
    phases
        Phase of each presentation of a stimulus.
    presentations
        What is known of the presentations of these stimuli: its columns and their types.
    bytes_of_a_step
        What the modules of the model put out in a step of one stimulus, at most.
    rounding
        Relative distance of neighbouring numbers, of the coarsest kind that they put out.
    """

    shapes: dict[str, tuple[int, ...]]
    steps: dict[str, tuple[int, ...]]
    phases: tuple[int, ...]
    presentations: pd.DataFrame
    bytes_of_a_step: int
    rounding: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with any stimuli; it can be sent to another process.

    Attributes
    ----------
    rehearsed
        Variable → time steps at which it was computed in the rehearsal.
    subject
        Who looks at them.
    interventions
        What the subject is under.
    shapes, phases
        As rehearsed.
    steps
        Variable → time steps that are kept.
    index
        Variable → numbers of the units that are kept; None: all.
    precision
        ``float32`` or ``float16``.
    batch_size
        Stimuli at once.
    n_stimuli
        Of the whole set.
    """

    rehearsed: Mapping[str, tuple[int, ...]]
    subject: Subject
    interventions: tuple[Intervention, ...]
    shapes: Mapping[str, tuple[int, ...]]
    phases: tuple[int, ...]
    steps: Mapping[str, tuple[int, ...]]
    index: Mapping[str, NDArray[np.int64] | None]
    precision: str
    batch_size: int
    n_stimuli: int

    def n_units(self, name: str) -> int:
        """Return how many units of a variable are kept."""
        index = self.index[name]
        return int(np.prod(self.shapes[name])) if index is None else len(index)

    def bytes_of(self, name: str) -> int:
        """Return the bytes that a presentation leaves of a variable."""
        return len(self.steps[name]) * self.n_units(name) * np.dtype(self.precision).itemsize

    def room(self, n_stimuli: int) -> Arrays:
        """Return arrays (presentation, time_step, neuroid) for what `n_stimuli` will leave."""
        n = n_stimuli * len(self.phases)
        return {name: np.empty((n, len(self.steps[name]), self.n_units(name)), self.precision) for name in self.shapes}


def rehearse(
    subject: Subject,
    stimuli: StimulusSet,
    variables: Sequence[str],
    n_stimuli: int,
    wanted: Sequence[int] | None = None,
) -> Rehearsal:
    """Run a few stimuli to learn shapes, steps and columns.

    Parameters
    ----------
    subject
        The model.
    stimuli
        The first of those to be recorded: two where there are two, because a control may need a neighbour.
    variables
        To be recorded.
    n_stimuli
        Of the whole set.
    wanted
        Steps to keep, which every phase must have; None: all, which must then be the same in every phase.

    Raises
    ------
    ValueError
        If a variable is not there at the same steps of every phase, or its values have no batch or too many axes.
    """
    seen: dict[str, dict[int, list[int]]] = {name: {} for name in variables}
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}  # and the step that had it first

    def receive(name: str, presentation: int, step: int, value: torch.Tensor) -> None:
        if value.ndim not in (2, 3, 4) or len(value) != len(stimuli):
            raise ValueError(
                f"{name} must have the batch first and up to three axes (channel, y, x) after it, got shape "
                f"{tuple(value.shape)} for {len(stimuli)} stimuli"
            )
        seen[name].setdefault(presentation, []).append(step)
        if wanted is not None and step not in wanted:
            return
        shape = tuple(value.shape[1:])
        before, at = shapes.setdefault(name, (shape, step))
        if before != shape:
            raise ValueError(
                f"{name} must keep its shape, got {before} at step {at} and {shape} at step {step}; keep steps of one "
                f"shape (steps=[{step}])"
            )

    active = active_on(subject.module)
    clock = Clock() if active is None else active.clock
    outputs = _Outputs(clock)
    leaves = [module for module in subject.module.modules() if not any(True for _ in module.children())]
    modules = [module for module in leaves if takes_hooks(module)]
    handles = [module.register_forward_hook(outputs.measure) for module in modules]
    try:
        table = _drive(subject, stimuli, np.arange(len(stimuli)), n_stimuli, variables, receive, clock)
    finally:
        for handle in handles:
            handle.remove()
    if not clock.phases:
        raise ValueError(f"a run must yield (phase, step) at least once, got nothing from the run of {subject.name}")
    steps = {name: _steady_steps(name, of_phase, len(clock.phases), wanted) for name, of_phase in seen.items()}
    return Rehearsal(
        shapes={name: shapes[name][0] for name in variables if name in shapes},
        steps=steps,
        phases=tuple(clock.phases),
        presentations=table,
        bytes_of_a_step=max(outputs.n_bytes.values(), default=0) // len(stimuli),
        rounding=outputs.rounding,
    )


class _Outputs:
    """What the modules of a model put out: bytes of each announced step, and the coarsest rounding."""

    def __init__(self, clock: Clock) -> None:
        self.n_bytes: dict[int, int] = {}
        self.rounding = 0.0
        self._clock = clock

    def measure(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        """Take what a module returned, as a hook."""
        for value in output if isinstance(output, tuple | list) else (output,):
            if isinstance(value, torch.Tensor):
                now = self._clock.announcements
                self.n_bytes[now] = self.n_bytes.get(now, 0) + value.numel() * value.element_size()
                if value.is_floating_point():
                    self.rounding = max(self.rounding, torch.finfo(value.dtype).eps)


def _steady_steps(
    name: str, of_phase: dict[int, list[int]], n_phases: int, wanted: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the steps at which a variable was computed, once it is certain that every phase has them."""
    if not of_phase:
        raise ValueError(
            f"{name} must be computed in the run, got no value of it: its module is not called; record the module "
            "around it, which may use its weights only"
        )
    found = {tuple(numbers) for numbers in of_phase.values()}
    for numbers in found:
        if len(set(numbers)) < len(numbers):
            raise ValueError(
                f"{name} must be computed once in a step that is followed by another one, got steps {numbers}; "
                "announce the pass as a single step, or record a module that is called once a step"
            )
    every = len(of_phase) == n_phases
    if every and wanted is not None and all(set(wanted) <= set(numbers) for numbers in found):
        return tuple(sorted({step for numbers in found for step in numbers}))
    if not every or len(found) > 1:
        raise ValueError(
            f"{name} must be computed at the same steps of every phase, got {sorted(found)} in {len(of_phase)} of "
            f"{n_phases} presentations; record another variable, or other steps"
        )
    return next(iter(found))


def run_batch(work: Work, stimuli: StimulusSet, positions: NDArray[np.int64], into: Arrays) -> pd.DataFrame:
    """Show a batch of stimuli and keep the chosen units and steps of every presentation.

    Parameters
    ----------
    work
        What is kept.
    stimuli
        As many as are shown at once.
    positions
        (stimulus,) their places in the whole set.
    into
        Variable → (presentation, time_step, neuroid) of just this batch, to be filled.

    Returns
    -------
    pandas.DataFrame
        What is known of the presentations, stimulus-major, `neuroattn.dims.PHASE` included.

    Raises
    ------
    ValueError
        If a value does not fit the precision, or an intervention did not act.
    RuntimeError
        If the run was not that of the rehearsal.
    """
    per, n = len(work.phases), len(stimuli)
    targets = {name: torch.from_numpy(array).reshape(n, per, *array.shape[1:]) for name, array in into.items()}
    places = {name: {step: i for i, step in enumerate(steps)} for name, steps in work.steps.items()}
    shapes = work.shapes
    index: dict[str, tuple[torch.Tensor, ...] | None] = {
        name: None
        if numbers is None
        else tuple(torch.from_numpy(axis) for axis in np.unravel_index(numbers, shapes[name]))
        for name, numbers in work.index.items()
    }
    filled = dict.fromkeys(into, 0)

    def receive(name: str, presentation: int, step: int, value: torch.Tensor) -> None:
        place = places[name].get(step)
        if place is None and step in work.rehearsed[name]:
            return
        if place is None or presentation >= per or tuple(value.shape) != (n, *shapes[name]):
            raise RuntimeError(f"the run of {work.subject.name} is not what it was for the first stimuli; it varies")
        target, chosen = targets[name][:, presentation, place], index[name]
        # One copy, whatever the layout of the value in memory.
        if chosen is None:
            target = target.unflatten(1, shapes[name])  # type: ignore[no-untyped-call]
        else:
            picked: tuple[Any, ...] = (slice(None), *chosen)
            value = value[picked]
        if value.dtype in _WIDE:
            _require_single(name, value)
        target.copy_(value)
        filled[name] += 1

    active = active_on(work.subject.module)
    clock = Clock() if active is None else active.clock
    table = _drive(work.subject, stimuli, positions, work.n_stimuli, list(into), receive, clock)
    if tuple(clock.phases) != work.phases or any(filled[k] != per * len(work.steps[k]) for k in filled):
        raise RuntimeError(f"the run of {work.subject.name} is not what it was for the first stimuli; it varies")
    if work.interventions:
        _require_acted(work, active, positions)
    if work.precision == "float16":
        _require_in_range(into)
    return table


@torch.no_grad()
def _drive(
    subject: Subject,
    stimuli: StimulusSet,
    positions: NDArray[np.int64],
    n_stimuli: int,
    variables: Sequence[str],
    receive: Receive,
    clock: Clock,
) -> pd.DataFrame:
    """Run stimuli by the clock and return what is known of the presentations."""
    steps = subject.run(stimuli, clock, active_on(subject.module))
    with _uncompiled(), tap(subject.tapped(variables), clock, receive), clock.run(positions, n_stimuli):
        while True:
            try:
                announcement = next(steps)
            except StopIteration as end:
                table: pd.DataFrame = end.value
                break
            try:
                phase, step = announcement
            except (TypeError, ValueError):
                raise ValueError(
                    f"a run must yield (phase, step), whole numbers from 0, got {announcement}; correct it"
                ) from None
            clock.announce(phase, step)
    table.insert(0, dims.PHASE, np.tile(clock.phases, len(stimuli)))
    return table


def _uncompiled() -> AbstractContextManager[object]:
    """Let what torch.compile took run as Python, as long as it lasts: compiled code does not call our hooks."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):  # since torch 2.6
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _require_acted(work: Work, active: Active | None, positions: NDArray[np.int64]) -> None:
    if active is None:
        raise ValueError(
            f"interventions must be on the model while it is recorded, got {work.interventions[0].describe()}, which "
            "is not; record inside the `with`"
        )
    active.require_acted(f"in every batch (here: stimuli {positions[0]} to {positions[-1]})")


def _require_single(name: str, value: torch.Tensor) -> None:
    """Raise unless single precision holds numbers: fractions to rounding, whole numbers as they are."""
    single = value.float()
    if value.is_floating_point():
        lost = value.isfinite() & ~single.isfinite()
        allowed = "float32 (within ±3.4e38)"
    else:
        lost = single.to(torch.int64) != value.to(torch.int64)
        allowed = "float32 (whole numbers up to 2**24, and few beyond)"
    if lost.any():
        first = value[lost][0].item()
        got = f"{first:.4g}" if isinstance(first, float) else str(first)
        raise ValueError(
            f"{name} must hold numbers that fit {allowed}, got {got} in {kind_of(value)}; scale them "
            "inside the model, or record another variable"
        )


def _require_in_range(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if np.isinf(array).any():
            raise ValueError(
                f"precision must be float32 for {name}, which goes beyond ±65504, got float16; record it in float32"
            )
