"""Interventions on a model, for as long as a ``with`` lasts; a recording made inside it says so.

``with intervene(model, Silence("stage1/gate", steps=[0])): tree = record(model, stimuli, …)``
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from neuroattn.recording.interventions import Delay, Intervention, Now, OnInhibition, OnVariable, Strength, Trial
from neuroattn.recording.units import seen
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.clock import Calls, Clock
from neuroattn.subjects.tap import element, with_element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn
    from torch.utils.hooks import RemovableHandle

    from neuroattn.models.gated import GatedNetwork, Maps
    from neuroattn.models.trial import Cues
    from neuroattn.recording.units import Sees
    from neuroattn.subjects.adapter import Model
    from neuroattn.subjects.subject import Subject


class Active:
    """The interventions on a model that are in force, in the order in which they act, and the clock that they go by."""

    def __init__(self, subject: Subject, interventions: Sequence[Intervention]) -> None:
        self.interventions, self.clock = tuple(interventions), Clock()
        self._subject = subject
        self._handles: list[RemovableHandle] = []
        # Intervention → and variable → the run in which it acted, and in which its module was called, last.
        self._acted: dict[int, int] = {}
        self._called: dict[str, int] = {}

    def describe(self) -> list[dict[str, Any]]:
        """Return the interventions as JSON can hold them."""
        return [intervention.describe() for intervention in self.interventions]

    def strength(self, phase: int, step: int) -> float | None:
        """Return the strength that is set at a step of a phase; None: none is."""
        acting = [i for i in self.interventions if isinstance(i, Strength) and i.acts(phase, step)]
        return acting[-1].value if acting else None

    def masks(self, network: GatedNetwork, image: torch.Tensor, masks: Maps, number: int, cued: Cues | None) -> Maps:
        """Return the inhibition of presentation `number`: that of the trial, but for what interventions make of it."""
        trial = Trial(network, image, number, cued, self.clock)
        for intervention in self.interventions:
            if isinstance(intervention, OnInhibition) and intervention.acts(0 if cued else number, 0):
                self.acted(intervention)
                changed = intervention.masks(masks, trial)
                chosen = intervention.stages
                masks = [
                    new if chosen is None or stage in chosen else old
                    for stage, (old, new) in enumerate(zip(masks, changed, strict=True), 1)
                ]
        return masks

    def acted(self, intervention: Intervention) -> None:
        """Note that an intervention has done something."""
        self._acted[id(intervention)] = self.clock.runs

    def called(self, variable: str) -> None:
        """Note that a variable was computed, whether or not something was done to it."""
        self._called[variable] = self.clock.runs

    def require_acted(self, where: str = "at some step of the recording") -> None:
        """Raise ValueError unless every intervention acted in the last run, which was `where` the error says."""
        for intervention in self.interventions:
            if self._acted.get(id(intervention)) == self.clock.runs:
                continue
            did, advice = f"got {intervention.describe()}, which never does", "correct its phases and steps"
            if isinstance(intervention, OnVariable) and self._called.get(intervention.variable) != self.clock.runs:
                did += f": its module {self._path(intervention.variable)!r} is not called"
                advice = "intervene on the module around it, or record stimuli that reach it"
            raise ValueError(f"interventions must act {where}, {did}; {advice}")

    def _path(self, variable: str) -> str:
        module = self._subject.tapped([variable])[variable].module
        return next((path for path, part in self._subject.module.named_modules() if part is module), variable)

    def attach(self) -> None:
        """Put the hooks on the model."""
        on = [i for i in self.interventions if isinstance(i, OnVariable)]
        variables, fields = list(dict.fromkeys(i.variable for i in on)), partial(seen, self._subject)
        for name, (module, key) in (self._subject.tapped(variables) if variables else {}).items():
            here = [i for i in on if i.variable == name]
            self._handles.append(module.register_forward_hook(_changing(name, key, here, self, fields)))
        # On any model, so that whoever calls it from elsewhere hears of it.
        self._handles.append(self._subject.module.register_forward_pre_hook(self._set_strength, with_kwargs=True))

    def detach(self) -> None:
        """Take the hooks off the model."""
        while self._handles:
            self._handles.pop().remove()

    def _set_strength(self, _module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if self.clock.paused:
            return None
        _require_running(self.clock)
        for intervention in self.interventions:
            if isinstance(intervention, Strength) and intervention.acts(self.clock.phase, self.clock.step):
                self.acted(intervention)
        strength = self.strength(self.clock.phase, self.clock.step)
        return None if strength is None else (args, {**kwargs, "strength": strength})


_ACTIVE: WeakKeyDictionary[nn.Module, Active] = WeakKeyDictionary()


@contextmanager
def intervene(model: Model, *interventions: Intervention) -> Iterator[Active]:
    """Do something to a model, for as long as the ``with`` lasts, however it ends.

    Recordings of the model that are made inside the block are made under the interventions; these are part of their
    identity and the root attribute ``interventions``. What the cues of a cued design are taken from is the intact
    network. Anything else that calls the model inside the block is an error, because it could not say phase and step.

    Parameters
    ----------
    model
        A gated network, a `TimedModule`, or any torch module.
    interventions
        From `neuroattn.recording.interventions`. They act in this order where they meet.

    Raises
    ------
    ValueError
        Before anything runs, if there is no such variable or stage, if the model has no gates or masks to act on, or
        is under interventions already.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> from neuroattn.recording.interventions import Scale
    >>> model = neuroattn.load_model("digits-0")
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> with neuroattn.intervene(model, Scale("stage1/gate", 0.5)):
    ...     tree = neuroattn.record(model, stimuli, ["stage1/gate"])
    >>> bool(tree["stage1/gate"]["activation"].max() <= 0.5)
    True
    """
    subject = subject_of(model)
    module = subject.module
    if module in _ACTIVE:
        raise ValueError("model must be under one set of interventions at a time; give all of them to one `intervene`")
    if not interventions:
        raise ValueError(
            "interventions must be at least one, got none; leave the `with` out to record the intact model"
        )
    for intervention in interventions:
        if not isinstance(intervention, Intervention):
            raise ValueError(
                "interventions must be of neuroattn.recording.interventions, given one by one, got "
                f"{intervention!r}; make one, such as Silence('stage1/gate')"
            )
        if not isinstance(intervention, OnVariable) and "inhibition" in subject.lacks:
            raise ValueError(
                f"model must be a gated network for {type(intervention).__name__}, got {type(model).__name__}"
            )
        if "inhibition" not in subject.lacks:
            _require_fitting(intervention, subject)
    active = Active(subject, interventions)
    try:
        active.attach()
        _ACTIVE[module] = active
        yield active
    finally:
        active.detach()
        _ACTIVE.pop(module, None)


def active_on(module: nn.Module) -> Active | None:
    """Return the interventions that a module is under; None: it is intact."""
    return _ACTIVE.get(module)


def _require_fitting(intervention: Intervention, subject: Subject) -> None:
    last, n_stages = subject.steps[-1], len(subject.layers)
    if max(intervention.steps or [0]) > last:
        raise ValueError(f"steps must be from 0 to {last}, got {list(intervention.steps or ())}")
    stages = (isinstance(intervention, OnInhibition) and intervention.stages) or ()
    if not all(1 <= stage <= n_stages for stage in stages):
        raise ValueError(f"stages must be from 1 to {n_stages}, got {list(stages)}")


def _require_running(clock: Clock) -> None:
    if not clock.running:
        raise RuntimeError(
            "a model under interventions can only be recorded, because they need to know phase and step; call "
            "neuroattn.record inside the `with`, or the model outside it"
        )


def _require_plain(value: torch.Tensor, variable: str) -> None:
    if value.layout is not torch.strided or value.is_quantized:
        kind = "quantized" if value.is_quantized else "sparse"
        raise ValueError(
            f"interventions must be on plain tensors, got {variable}, which is {kind}; intervene on another variable"
        )


def _changing(
    variable: str, key: int | str | None, interventions: Sequence[OnVariable], active: Active, fields: Sees
) -> Callable[[nn.Module, Any, Any], Any]:
    """Return the hook that does the interventions on one variable."""
    clock = active.clock
    calls, past = Calls(clock, variable), dict[int, torch.Tensor]()
    lag = any(isinstance(i, Delay) for i in interventions)
    presented = [-1, -1]
    places: dict[tuple[int, tuple[int, ...]], torch.Tensor] = {}

    def of_units(intervention: OnVariable, value: torch.Tensor) -> torch.Tensor | None:
        if intervention.units is None:
            return None
        shape = tuple(value.shape[1:])
        at = id(intervention), shape  # a module that is used again may return another shape
        if at not in places:
            chosen = torch.zeros(value[0].numel(), dtype=torch.bool)
            chosen[torch.from_numpy(intervention.units.index(variable, shape, fields))] = True
            places[at] = chosen.reshape(shape).to(value.device)
        return places[at]

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if clock.paused:
            return None
        _require_running(clock)
        value, step = element(output, variable, key), calls.step()
        active.called(variable)
        _require_plain(value, variable)
        if [clock.runs, clock.presentation] != presented:
            past.clear()
            presented[:] = clock.runs, clock.presentation
        changed = value
        for intervention in interventions:
            if intervention.acts(clock.phase, step):
                active.acted(intervention)
                everywhere = intervention.change(changed, Now(clock, step, past))
                where = of_units(intervention, value)
                changed = everywhere if where is None else torch.where(where, everywhere, changed)
        if lag:
            past[step] = value.clone()  # what follows may work in place
        return None if changed is value else with_element(output, key, changed)

    return hook
