"""Trials of a gated network: what a batch of stimuli goes through, and what is known of each presentation."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from neuroattn import dims
from neuroattn.models.checkpoint import weights_hash
from neuroattn.models.controls import control, donors
from neuroattn.models.probe import probes, require_variables
from neuroattn.models.receptive_field import map_size, receptive_field
from neuroattn.models.trial import Cues, choose, cues, phase_steps, run_phase, target_images
from neuroattn.subjects.fields import squares
from neuroattn.subjects.presentations import of_objects
from neuroattn.subjects.subject import STATES, Tapped, ascending

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.models.about import About
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.models.trial import Phase
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.clock import Clock
    from neuroattn.subjects.fields import Fields
    from neuroattn.subjects.subject import InForce


@dataclass(frozen=True, kw_only=True, eq=False)
class GatedSubject:
    """A gated network and the trials that it is to go through; see `neuroattn.subjects.subject.Subject`.

    Attributes
    ----------
    module
        The network.
    design
        ``free``: the phases of one trial in the network's own order. ``cued``: two fresh trials of one phase, in which
        the inhibition of one object alone sends attention to the other (`neuroattn.models.trial.cues`).
    phases
        Phases of a free trial.
    last_gates
        Whether anybody looks at the gates after the last step.
    """

    module: GatedNetwork
    design: str = "free"
    phases: int = 2
    last_gates: bool = True

    lacks: ClassVar[Mapping[str, str]] = {}
    # No gate has acted at the first step, whatever is attended.
    ungated: ClassVar[Mapping[str, Any]] = {"steps": [0], "phases": 1}

    @property
    def name(self) -> str:
        """The network's."""
        return self.module.name

    @property
    def seed(self) -> int | None:
        """The network's."""
        return self.module.seed

    @property
    def about(self) -> About:
        """The network's."""
        return self.module.about

    @property
    def size(self) -> tuple[int, int, int]:
        """(channel, y, x) of the pictures that the network takes."""
        return self.module.config.size

    @property
    def n_classes(self) -> int:
        """Classes of the read-out."""
        return self.module.config.classes

    @property
    def layers(self) -> Mapping[str, tuple[int, int, int]]:
        """Responses of the stages."""
        return self.module.config.layers

    @property
    def steps(self) -> tuple[int, ...]:
        """Time steps of a phase."""
        return tuple(range(self.module.config.steps))

    def facing(self, size: tuple[int, int, int]) -> GatedSubject:
        """Return itself, which takes pictures of one size."""
        if size != self.size:
            raise ValueError(
                f"images must be (channel, y, x) = {self.size} for {self.name}, got {size}; use stimuli of that size "
                "or another model"
            )
        return self

    def control(self, name: str, seed: int) -> GatedSubject:
        """Return the network of a control; see `neuroattn.models.controls.control`."""
        return replace(self, module=control(name, self.module, seed))

    def with_strength(self, strength: float) -> GatedSubject:
        """Return the network with another gate strength."""
        return replace(self, module=self.module.with_strength(strength))

    def on(self, device: torch.device) -> GatedSubject:
        """Return the network on a device, in evaluation mode."""
        module = self.module if self.module.device == device else copy.deepcopy(self.module).to(device)
        return replace(self, module=module.eval())

    def trials(
        self,
        stimuli: StimulusSet,
        variables: Sequence[str],
        steps: Sequence[int] | None,
        design: str,
        phases: int | None,
    ) -> GatedSubject:
        """Return the network about to go through trials; see `neuroattn.record`."""
        last = self.steps[-1]
        wanted = ascending(steps, last)
        if design not in STATES:
            raise ValueError(f"design must be one of {', '.join(STATES)}, got {design!r}")
        n_phases = 1 if design == "cued" else phases if phases is not None else (stimuli.n_objects or 2)
        if n_phases < 1:
            raise ValueError(f"phases must be at least 1, got {n_phases}")
        return replace(self, design=design, phases=n_phases, last_gates=_needs_last_gates(last, variables, wanted))

    def tapped(self, variables: Sequence[str]) -> dict[str, Tapped]:
        """Return where variables exist; see `neuroattn.subjects.subject.Subject`."""
        require_variables(self.module, list(variables))
        known = probes(self.module)
        return {name: Tapped(known[name]) for name in variables}

    def run(
        self, stimuli: StimulusSet, clock: Clock, in_force: InForce | None = None
    ) -> Generator[tuple[int, int], None, pd.DataFrame]:
        """Show a batch of stimuli; see `neuroattn.subjects.subject.Subject`."""
        network = self.module
        image = _tensor(stimuli.images).to(network.device)
        objects = None if stimuli.objects is None else _tensor(stimuli.objects).to(network.device)
        with clock.pause():  # what cues an object is the intact network's
            cued = cues(network, image) if self.design == "cued" else None
            swapped = self._donors(image, objects, stimuli.table, cued, in_force) if network.gates_of_others else None
        carried, shown, strengths = network.no_inhibition(len(image)), [], []
        for number in range(2 if cued else self.phases):
            carried = (cued.first, cued.second)[number] if cued else carried
            phase_number = 0 if cued else number
            inhibition = carried if in_force is None else in_force.masks(network, image, carried, number, cued)
            of_others = None if swapped is None else swapped[number]
            steps = phase_steps(network, image, inhibition, last_gates=self.last_gates, donors=of_others)
            phase = yield from _announced(steps, phase_number)
            carried = phase.inhibition
            shown.append(phase)
            set_to = None if in_force is None else in_force.strength(phase_number, network.config.steps - 1)
            strengths.append(network.config.strength if set_to is None else set_to)
        table = _table(network, stimuli, image, objects, shown, strengths, cued)
        if swapped is not None:
            another = torch.stack(swapped) != torch.arange(len(image), device=image.device)
            table[dims.SWAPPED] = another.all(0).cpu().numpy().repeat(len(shown))
        return table

    def _donors(
        self,
        image: torch.Tensor,
        objects: torch.Tensor | None,
        table: pd.DataFrame,
        cued: Cues | None,
        in_force: InForce | None,
    ) -> list[torch.Tensor]:
        """Return for every presentation whose gates each stimulus gets: those of one whose same side is attended."""
        if objects is None:
            raise ValueError("stimuli must have objects for gates of other stimuli, got none; give objects")
        network = self.module
        targets = target_images(image, objects, network.config.strength)
        if cued:
            attended = _order(cued, targets)
        else:
            used = torch.zeros(targets.shape[:2], dtype=torch.bool, device=image.device)
            attended = []
            carried = network.no_inhibition(len(image))
            for number in range(self.phases):
                masks = carried if in_force is None else in_force.masks(network, image, carried, number, None)
                phase = run_phase(network, image, masks)
                choice = choose(phase.gated_image, targets, used)
                attended.append(choice.attended)
                carried, used = phase.inhibition, choice.used
        return [donors(_side(table, objects.shape[1], one)) for one in attended]

    def require(self, stimuli: StimulusSet) -> None:
        """Raise unless the stimuli have the size that the network takes and as many objects as the trials need."""
        self.facing(stimuli.size)
        if self.design == "cued" and (stimuli.n_objects or 0) < 2:
            raise ValueError("design must be free for stimuli without two objects each, got 'cued'; give objects")
        if stimuli.n_objects is not None and self.phases > stimuli.n_objects:
            raise ValueError(f"phases must be from 1 to the number of objects, {stimuli.n_objects}, got {self.phases}")

    def fields(self, variable: str, size: tuple[int, int] | None = None) -> Fields:
        """Return the receptive fields of a stage's map; see `neuroattn.models.receptive_field`."""
        config = self.module.config
        if size not in {None, config.size[1:]}:
            raise ValueError(f"field must be (y, x) = {config.size[1:]} of the image, got {size}")
        return squares(*receptive_field(config, variable), map_size(config, variable))

    def architecture(self) -> dict[str, Any]:
        """Return configuration, initial weights' rule, and whose gates it is gated by."""
        network = self.module
        return {
            **json.loads(network.config.to_json()),
            "initial": network.initial,
            "gates_of_others": network.gates_of_others,
        }

    def identity(self) -> dict[str, Any]:
        """Return class, weights, configuration and design; see `neuroattn.subjects.subject.Subject`."""
        return {
            "network": type(self.module).__name__,  # a control may have the same weights
            "weights": weights_hash(self.module),
            "model_config": json.loads(self.module.config.to_json()),
            "design": self.design,
            "phases": self.phases,
            **({"gates": "of other stimuli"} if self.module.gates_of_others else {}),
        }


def _needs_last_gates(last: int, variables: Sequence[str], steps: Sequence[int] | None) -> bool:
    """Return whether the sweep after the last step has to be run: only if someone looks at its result."""
    seen = steps is None or last in steps
    return seen and not all(name.endswith(("gated_input", "response", "pooled", "logits")) for name in variables)


def _announced(steps: Generator[int, None, Phase], phase: int) -> Generator[tuple[int, int], None, Phase]:
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            done: Phase = end.value
            return done
        yield phase, step


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    # Users flip pictures and map them from read-only files; torch takes neither.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _stimulus_major(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (stimulus · phase, …) from one (stimulus, …) tensor a phase."""
    return torch.stack([part.cpu() for part in parts], 1).flatten(0, 1).contiguous()


def _table(
    network: GatedNetwork,
    stimuli: StimulusSet,
    image: torch.Tensor,
    objects: torch.Tensor | None,
    shown: Sequence[Phase],
    strengths: Sequence[float],
    cued: Cues | None,
) -> pd.DataFrame:
    """Return what is known of the presentations; what is not is absent."""
    import pandas as pd

    columns: dict[str, Any] = {dims.PREDICTED: _stimulus_major([phase.logits.argmax(1) for phase in shown]).numpy()}
    if network.seed is not None:
        columns[dims.SEED] = network.seed
    if objects is not None:
        targets = {s: target_images(image, objects, s) for s in {*strengths, network.config.strength}}
        columns |= _choices(shown, [targets[s] for s in strengths], cued)
        if cued:
            columns[dims.CUED] = _stimulus_major(_order(cued, targets[network.config.strength])).numpy()
        expected = columns[dims.CUED if cued else dims.ATTENDED]
        confirmed = (columns[dims.ATTENDED_UNCONSTRAINED] == expected).reshape(len(stimuli), -1)
        columns[dims.CONFIRMED] = np.repeat(confirmed.all(1), len(shown))
        columns |= of_objects(columns, stimuli.table, objects.shape[1], len(shown))
    return pd.DataFrame(columns, index=range(len(stimuli) * len(shown)))


def _choices(
    shown: Sequence[Phase], targets: Sequence[torch.Tensor], cued: Cues | None
) -> dict[str, NDArray[np.int64]]:
    """Return which object each presentation attends."""
    used = torch.zeros(targets[0].shape[:2], dtype=torch.bool, device=targets[0].device)
    attended, unconstrained = [], []
    for phase, target in zip(shown, targets, strict=True):
        choice = choose(phase.gated_image, target, used)
        attended.append(choice.attended)
        unconstrained.append(choice.unconstrained)
        used = used if cued else choice.used  # every cued presentation is a fresh trial
    return {
        dims.ATTENDED: _stimulus_major(attended).numpy(),
        dims.ATTENDED_UNCONSTRAINED: _stimulus_major(unconstrained).numpy(),
    }


def _order(cued: Cues, targets: torch.Tensor) -> list[torch.Tensor]:
    """Return which object the free trial attended first and second: those that the two cues aim at."""
    used = torch.zeros(targets.shape[:2], dtype=torch.bool, device=targets.device)
    first = choose(cued.gated_images[0], targets, used)
    return [first.attended, choose(cued.gated_images[1], targets, first.used).attended]


def _side(stimuli: pd.DataFrame, n_objects: int, attended: torch.Tensor) -> torch.Tensor:
    """Return the number of the place of each stimulus's attended object; untold, objects are in the places' order."""
    import pandas as pd

    names = [f"location_{k}" for k in range(n_objects)]
    if not set(names) <= set(stimuli):
        return attended
    numbers, _ = pd.factorize(stimuli[names].to_numpy().ravel())
    places = torch.from_numpy(numbers.reshape(-1, n_objects)).to(attended.device)
    return places.gather(1, attended[:, None])[:, 0]
