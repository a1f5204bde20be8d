"""Presentations: the phases of the trials that a batch of stimuli goes through, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from neuroattn import labels
from neuroattn.models.trial import Cues, choose, cues, free_trial, run_phase, target_images
from neuroattn.recording.tap import tap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.models.trial import Phase
    from neuroattn.stimuli.stimulus_set import StimulusSet

DESIGNS = ("free", "cued")


class Batch(NamedTuple):
    """What a batch of stimuli left.

    Attributes
    ----------
    presentations
        One row a presentation, stimulus-major: the coordinates of the dim ``presentation``.
    activations
        Variable → (presentation, time_step, channel, y, x) float32, or (presentation, time_step, channel).
    """

    presentations: pd.DataFrame
    activations: dict[str, NDArray[np.float32]]


@torch.no_grad()
def run_batch(
    network: GatedNetwork,
    stimuli: StimulusSet,
    variables: Sequence[str],
    steps: Sequence[int],
    design: str,
    phases: int,
) -> Batch:
    """Show a batch of stimuli to a network and take variables at steps of every presentation.

    Parameters
    ----------
    network
        The subject.
    stimuli
        As many as the machine takes at once.
    variables, steps
        Names and time steps (from 0) to keep.
    design
        ``free``: the phases of one trial in the network's own order. ``cued``: two fresh trials of one phase, in which
        the inhibition of one object alone sends attention to the other (`neuroattn.models.trial.cues`).
    phases
        Phases of a free trial.
    """
    image = _tensor(stimuli.images).to(network.device)
    objects = None if stimuli.objects is None else _tensor(stimuli.objects).to(network.device)
    # The sweep after the last step is run only where someone looks at its result.
    last_gates = network.config.steps - 1 in steps and any(not _bottom_up(name) for name in variables)
    cued = cues(network, image) if design == "cued" else None
    shown, taken = [], []
    with tap(network, variables, steps) as taps:
        for phase in _phases(network, image, phases, cued, last_gates=last_gates):
            shown.append(phase)
            taken.append(taps.take_phase())
    activations = {name: _stimulus_major([part[name] for part in taken]).float().numpy() for name in variables}
    return Batch(_table(network, stimuli, image, objects, shown, cued), activations)


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    # Users flip pictures and map them from read-only files; torch takes neither.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _bottom_up(variable: str) -> bool:
    return variable.endswith(("gated_input", "response", "pooled", "logits"))


def _phases(
    network: GatedNetwork, image: torch.Tensor, phases: int, cued: Cues | None, *, last_gates: bool
) -> Iterator[Phase]:
    if cued is None:
        yield from free_trial(network, image, phases, last_gates=last_gates)
    else:
        for inhibition in (cued.first, cued.second):
            yield run_phase(network, image, inhibition, last_gates=last_gates)


def _stimulus_major(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (stimulus · phase, …) from one (stimulus, …) tensor a phase."""
    return torch.stack([part.cpu() for part in parts], 1).flatten(0, 1).contiguous()


def _table(
    network: GatedNetwork,
    stimuli: StimulusSet,
    image: torch.Tensor,
    objects: torch.Tensor | None,
    shown: Sequence[Phase],
    cued: Cues | None,
) -> pd.DataFrame:
    """Return the coordinates of the presentations; those that nothing is known of are absent."""
    rows = np.repeat(np.arange(len(stimuli)), len(shown))
    table = stimuli.table.iloc[rows].reset_index(drop=True)
    numbers = np.zeros(len(shown), int) if cued else np.arange(len(shown))
    table[labels.PHASE] = np.tile(numbers, len(stimuli))
    predicted = _stimulus_major([phase.logits.argmax(1) for phase in shown]).numpy()
    table[labels.PREDICTED] = predicted
    if network.seed is not None:
        table[labels.SEED] = network.seed
    if objects is None:
        return table
    targets = target_images(image, objects, network.config.strength)
    used = torch.zeros(objects.shape[:2], dtype=torch.bool, device=image.device)
    attended, unconstrained = [], []
    for phase in shown:
        choice = choose(phase.gated_image, targets, used)
        attended.append(choice.attended)
        unconstrained.append(choice.unconstrained)
        used = used if cued else choice.used  # every cued presentation is a fresh trial
    table[labels.ATTENDED] = _stimulus_major(attended).numpy()
    table[labels.ATTENDED_UNCONSTRAINED] = _stimulus_major(unconstrained).numpy()
    if cued:
        table[labels.CUED] = _stimulus_major(_order(cued, targets)).numpy()
    expected = table[labels.CUED if cued else labels.ATTENDED].to_numpy()
    confirmed = (table[labels.ATTENDED_UNCONSTRAINED].to_numpy() == expected).reshape(len(stimuli), -1)
    table[labels.CONFIRMED] = np.repeat(confirmed.all(1), len(shown))
    return _with_object_columns(table, objects.shape[1], predicted)


def _order(cued: Cues, targets: torch.Tensor) -> list[torch.Tensor]:
    """Return which object the free trial attended first and second: those that the two cues aim at."""
    used = torch.zeros(targets.shape[:2], dtype=torch.bool, device=targets.device)
    first = choose(cued.gated_images[0], targets, used)
    return [first.attended, choose(cued.gated_images[1], targets, first.used).attended]


def _with_object_columns(table: pd.DataFrame, n_objects: int, predicted: NDArray[np.int64]) -> pd.DataFrame:
    """Add what the stimulus table says of the attended object, where it says it of every object."""
    attended, rows = table[labels.ATTENDED].to_numpy(), np.arange(len(table))
    locations = [f"location_{k}" for k in range(n_objects)]
    if set(locations) <= set(table):
        table[labels.LOCATION] = table[locations].to_numpy()[rows, attended]
    classes = [f"label_{k}" for k in range(n_objects)]
    if set(classes) <= set(table):
        of_object = table[classes].to_numpy()
        table[labels.ATTENDED_LABEL] = of_object[rows, attended]
        if n_objects == 2:  # with more objects there is no single unattended one
            table[labels.UNATTENDED_LABEL] = of_object[rows, 1 - attended]
        if of_object.dtype.kind in "iuf":  # a name cannot be compared with the number of a class
            table[labels.CORRECT] = of_object[rows, attended] == predicted
    return table
