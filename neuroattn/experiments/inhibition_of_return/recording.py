"""Trials in which the inhibition that a phase hands to the next is imposed, ablated, swapped or carried elsewhere."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import xarray as xr

from neuroattn import dims
from neuroattn.models.checkpoint import weights_hash
from neuroattn.models.controls import donors
from neuroattn.models.trial import GATE_THRESHOLD, gate_contrast
from neuroattn.recording.intervene import intervene
from neuroattn.recording.interventions import ImposeInhibition
from neuroattn.recording.record import make_plan
from neuroattn.stimuli.digits import SHIFT
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.fields import own_object

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork

FREE = "free"
# What the second phase gets in place of the mask that the first one left.
IMPOSED, ABLATED, SWAPPED, ANOTHER, CARRIED = "imposed", "ablated", "swapped", "another", "carried"
MOVED = "moved, no mask"


class _Scenes(NamedTuple):
    """Stimuli, and where each measure is taken in them: measure → (stimulus, object, y, x), or without objects."""

    stimuli: StimulusSet
    places: dict[str, torch.Tensor]


def record_returns(
    model: GatedNetwork,
    stimuli: StimulusSet,
    *,
    noise: float,
    generator: torch.Generator,
    batch_size: int,
    mirrored: bool = False,
) -> xr.Dataset:
    """Run free trials, and second phases whose inhibition is not what the first phase left.

    Hidden state does not outlast a phase: all that a phase knows of the ones before is the mask of inhibited units. So
    a second phase is a trial of one phase under `neuroattn.recording.interventions.ImposeInhibition`: with the mask of
    the first phase (``imposed``, as in the free trial), without it (``ablated``), with that of one stage alone
    (``stage1 alone`` …), with the mask of the object that the free trial attended second in place of the first's
    (``swapped``), with the mask of another stimulus of which the object at the same place was attended first
    (``another``), and, in a scene whose objects changed places, with the mask of the first phase (``carried``) and
    without one (``moved, no mask``). Digits move one place on, the last one to the first place; photographs cannot be
    taken apart and are mirrored, so that the leftmost object stands at the right.

    Parameters
    ----------
    model, stimuli
        The network, and pictures with at least two objects each, in the order of their places from the left:
        composites, side by side as `neuroattn.stimuli.digits` puts them, or photographs.
    noise, generator
        Upper bound of the background noise of the scenes in which objects moved, and what draws it.
    batch_size
        Stimuli at once, at least two: another stimulus is one of the batch.
    mirrored
        Whether objects change places by mirroring the picture.

    Returns
    -------
    xarray.Dataset
        ``gate`` (run, stimulus, object): mean g[1] after step T − 1 over the object's pixels that no other covers;
        ``gate_background`` (run, stimulus): over pixels without an object; ``gate_attended``, ``gate_unattended`` (run,
        stimulus): over the pixels that the attended object explains, and over the others (the paper's contrast,
        `neuroattn.models.trial.gate_contrast`); ``response_stage{l}`` (run, stimulus, object): mean last response of
        the units that see pixels of that object and of no other, NaN without one; ``chosen`` (run, stimulus): the
        object of least error among all; ``attended``: among those not attended in the phases before (the same as
        ``chosen`` outside the free trial). Both are −1 where they are not defined: in a batch without such another
        stimulus, in a mirror in which objects did not change places (none of the others covers most of where the first
        one was), and at strength 0, where all objects have the same target image; ``predicted``: the decision. A run is
        a ``condition`` (``free`` or one of the above) and a ``phase``; ``place`` (run, object) is an object's in that
        run, from the left. ``label`` (stimulus, object) is its class.

    Raises
    ------
    ValueError
        If the stimuli have no two objects, or a batch would have a single stimulus.
    """
    n_objects = _objects(stimuli).shape[1]
    if len(stimuli) % batch_size == 1 or batch_size < 2:
        raise ValueError(
            f"batch_size must leave no batch with a single stimulus, got {batch_size} for {len(stimuli)} stimuli"
        )
    scenes = _scenes(model, stimuli)
    free, masks = _run(model, scenes, batch_size, phases=n_objects)
    first = [mask[0] for mask in masks]
    of_second = [mask[1] & ~mask[0] for mask in masks]
    attended = free["attended"][0]
    starts = range(0, len(stimuli), batch_size)
    donor = np.concatenate([at + donors(torch.from_numpy(attended[at : at + batch_size])).numpy() for at in starts])
    moved = _scenes(model, _mirrored(stimuli) if mirrored else _moved(stimuli, noise, generator))
    # Condition, what is shown, and what inhibits it.
    seconds: list[tuple[str, _Scenes, ImposeInhibition | None]] = [
        (IMPOSED, scenes, ImposeInhibition(first)),
        (ABLATED, scenes, None),
        *(
            (f"stage{stage} alone", scenes, ImposeInhibition([mask], stages=[stage]))
            for stage, mask in enumerate(first, 1)
            if len(first) > 1
        ),
        (SWAPPED, scenes, ImposeInhibition(of_second)),
        (ANOTHER, scenes, ImposeInhibition([mask[donor] for mask in first])),
        (CARRIED, moved, ImposeInhibition(first)),
        (MOVED, moved, None),
    ]
    runs = [free]
    for _, shown, inhibition in seconds:
        with intervene(model, inhibition) if inhibition else nullcontext():
            runs.append(_run(model, shown, batch_size, phases=1)[0])
    condition = [FREE] * n_objects + [name for name, *_ in seconds]
    arrays = {name: np.concatenate([run[name] for run in runs]) for name in free}
    undefined = np.full(arrays["chosen"].shape, model.config.strength == 0)
    undefined[condition.index(ANOTHER)] |= donor == np.arange(len(donor))
    if mirrored:
        undefined[-2:] |= ~changed_places(_objects(stimuli), attended)
    for name in ("chosen", "attended"):
        arrays[name][undefined] = -1
    return _dataset(model, stimuli, condition, arrays, mirrored=mirrored)


def _objects(stimuli: StimulusSet) -> NDArray[np.float32]:
    """Return (stimulus, object, channel, y, x), once it is certain that there are several."""
    if stimuli.objects is None or stimuli.objects.shape[1] < 2:
        raise ValueError("stimuli must have at least two objects each, got none or one; there is nothing to return to")
    return stimuli.objects


def _scenes(model: GatedNetwork, stimuli: StimulusSet) -> _Scenes:
    """Find the pixels that one object or none has, and the units that see one object alone."""
    covered: NDArray[np.bool_] = np.any(_objects(stimuli) > 0, axis=2)
    places = {"gate": covered & (covered.sum(1, keepdims=True) == 1), "gate_background": ~covered.any(1)}
    for variable in model.config.layers:
        fields = subject_of(model).fields(variable)
        own = [own_object(fields.pixels(of_one[None]), share=1) for of_one in covered]
        places[f"response_{_stage(variable)}"] = np.stack(own, 0) == np.arange(covered.shape[1])[:, None, None]
    return _Scenes(stimuli, {name: torch.from_numpy(where) for name, where in places.items()})


def _run(
    model: GatedNetwork, scenes: _Scenes, batch_size: int, phases: int
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Run trials; return measures (phase, stimulus, …), and of each stage what a phase inhibits in those after it.

    These masks are (phase, stimulus, channel, y, x), of the first two phases.
    """
    config, n_steps = model.config, min(model.config.steps, 2)
    sizes = dict(config.layers)
    if n_steps == 2:
        sizes |= {f"{_stage(name)}/gate": size for name, size in zip(config.layers, config.input_sizes, strict=True)}
    steps = range(config.steps - n_steps, config.steps)
    plan = make_plan(model, scenes.stimuli, list(sizes), steps, phases=phases, batch_size=batch_size)
    measures, masks = [], []
    for first, batch in zip(range(0, len(scenes.stimuli), batch_size), plan.batches(), strict=True):
        part = slice(first, first + batch_size)
        shown = _Scenes(scenes.stimuli.select(part), {name: where[part] for name, where in scenes.places.items()})
        maps = {
            name: torch.from_numpy(array).reshape(-1, phases, n_steps, *sizes[name]).transpose(0, 1)
            for name, array in batch.activations.items()
        }
        # The gates after the last step but one gate the last; a single step has open ones.
        gates = [maps[name][:, :, 0] for name in maps if name.endswith("gate")]
        gates = gates or [gate.cpu().expand(phases, *gate.shape) for gate in model.open_gates(len(shown.stimuli))]
        values = {f"response_{_stage(name)}": maps[name][:, :, -1] for name in config.layers}
        measures.append(_measures(shown, config.strength, gates[0], values, batch.presentations))
        masks.append([(gate[:2] < GATE_THRESHOLD).numpy() for gate in gates])
    return (
        {name: np.concatenate([part[name] for part in measures], axis=1) for name in measures[0]},
        [np.concatenate(of_stage, axis=1) for of_stage in zip(*masks, strict=True)],
    )


def _measures(
    shown: _Scenes, strength: float, gates: torch.Tensor, responses: dict[str, torch.Tensor], known: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Return measures (phase, stimulus, …), from maps (phase, stimulus, channel, y, x) and what presentations tell."""
    stimuli = shown.stimuli
    pictures, objects = (torch.from_numpy(np.array(array, order="C")) for array in (stimuli.images, stimuli.objects))
    told = {name: column.to_numpy().reshape(len(stimuli), -1).T.copy() for name, column in known.items()}
    attended = torch.from_numpy(told[dims.ATTENDED])
    contrast = torch.stack(
        [gate_contrast(gate, pictures, objects, now, strength) for gate, now in zip(gates, attended, strict=True)]
    )
    gate = gates.mean(2)
    measures = {
        "gate": _mean(gate[:, :, None], shown.places["gate"]),
        "gate_background": _mean(gate, shown.places["gate_background"]),
        "gate_attended": contrast[..., 0],
        "gate_unattended": contrast[..., 1],
    }
    for name, response in responses.items():
        # The mean over channels that lie side by side is many times faster.
        mean = response.movedim(2, -1).contiguous().mean(-1)
        measures[name] = _mean(mean[:, :, None], shown.places[name])
    # In the control of shuffled gates, a stimulus that no other one attends like kept its own.
    meant = told.get(dims.SWAPPED, True)
    return {name: values.numpy() for name, values in measures.items()} | {
        "chosen": np.where(meant, told[dims.ATTENDED_UNCONSTRAINED], -1),
        "attended": np.where(meant, told[dims.ATTENDED], -1),
        "predicted": told[dims.PREDICTED],
    }


def _stage(variable: str) -> str:
    """Return the stage that a variable is of."""
    return variable.partition("/")[0]


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the mean over the last two axes of where it counts; NaN without a place."""
    return (values * where).sum((-2, -1)) / where.sum((-2, -1))


def _moved(stimuli: StimulusSet, noise: float, generator: torch.Generator) -> StimulusSet:
    """Return scenes with every object one place on, the last one at the first place, and a new background."""
    given = torch.from_numpy(np.array(_objects(stimuli), order="C"))
    last = given.shape[1] - 1
    shifts = [SHIFT] * last + [-SHIFT * last]
    objects = torch.stack([given[:, k].roll(shift, -1) for k, shift in enumerate(shifts)], 1)
    composite = objects.sum(1).clamp(max=1)
    background = noise * torch.rand(composite.shape, generator=generator)
    return StimulusSet(torch.where(composite == 0, background, composite), objects)


def _mirrored(stimuli: StimulusSet) -> StimulusSet:
    """Return the scenes seen in a mirror."""
    return StimulusSet(stimuli.images[..., ::-1], _objects(stimuli)[..., ::-1])


def changed_places(objects: NDArray[np.float32], first: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the object at the first one's place, counted from the left, covers it most in a mirror.

    Objects (stimulus, object, channel, y, x) above each other, or in the same half of the picture, do not change places
    in a mirror. `first` (stimulus,) is the one attended first.
    """
    changed = np.zeros(len(first), dtype=bool)
    for index, (scene, attended) in enumerate(zip(objects, first, strict=True)):
        ink = (scene > 0).any(1)
        alone = ink & (ink.sum(0) == 1)
        covered = (alone[attended] & alone[..., ::-1]).sum((1, 2))
        other = len(covered) - 1 - attended
        changed[index] = other != attended and covered.argmax() == other and covered[other] > 0
    return changed


def _dataset(
    model: GatedNetwork, stimuli: StimulusSet, condition: list[str], arrays: dict[str, np.ndarray], *, mirrored: bool
) -> xr.Dataset:
    n_objects = arrays["gate"].shape[2]
    phase = [*range(1, n_objects + 1), *[2] * (len(condition) - n_objects)]
    place = np.tile(np.arange(n_objects), (len(condition), 1))
    place[-2:] = n_objects - 1 - place[-2:] if mirrored else (place[-2:] + 1) % n_objects
    axes = ("run", "stimulus", "object")
    variables = {name: (axes[: values.ndim], values) for name, values in arrays.items()}
    label = stimuli.table[[f"label_{k}" for k in range(n_objects)]].to_numpy()
    coordinates = {
        "condition": ("run", np.array(condition, dtype=object)),
        dims.PHASE: ("run", np.array(phase)),
        "place": (("run", "object"), place),
        "label": (("stimulus", "object"), label),
        dims.STIMULUS_ID: ("stimulus", stimuli.table[dims.STIMULUS_ID].to_numpy()),
    }
    dataset = xr.Dataset(variables, coordinates)
    dataset["gate"].attrs = {"long_name": "mean gate g[1] over the object's own pixels", "units": "1"}
    dataset.attrs = {
        "model": model.name,
        "weights_sha256": weights_hash(model),
        "model_config": model.config.to_json(),
        "seeds": json.dumps({"model": model.seed}),
    }
    return dataset
