"""Trials in which the inhibition that a phase hands to the next is imposed, ablated, swapped or carried elsewhere."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch.nn import functional

from neuroattn import dims
from neuroattn.compute.progress import progress
from neuroattn.models.checkpoint import weights_hash
from neuroattn.models.controls import donors
from neuroattn.models.probe import probes
from neuroattn.models.receptive_field import receptive_field
from neuroattn.models.trial import choose, gate_contrast, run_phase, target_images
from neuroattn.stimuli.digits import SHIFT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuroattn.models.gated import GatedNetwork, Maps
    from neuroattn.stimuli.stimulus_set import StimulusSet

FREE = "free"
# What the second phase gets in place of the mask that the first one left.
IMPOSED, ABLATED, SWAPPED, ANOTHER, CARRIED = "imposed", "ablated", "swapped", "another", "carried"
MOVED = "moved, no mask"


class _Scene(NamedTuple):
    """Images with what is alone in them: pixels of each object that no other covers."""

    image: torch.Tensor
    objects: torch.Tensor
    alone: torch.Tensor


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

    Hidden state does not outlast a phase: all that a phase knows of the ones before is the mask of inhibited units. The
    second phase is run with that mask (``imposed``, as in the free trial), without it (``ablated``), with that of one
    stage alone (``stage1 alone`` …), with the mask of the object that the free trial attended second in place of the
    first's (``swapped``), with the mask of another stimulus of which the object at the same place was attended first
    (``another``), and, in a scene whose objects changed places, with the mask of the first phase (``carried``) and
    without one (``moved, no mask``). Digits move one place on, the last one to the first place; photographs cannot be
    taken apart and are mirrored, so that the leftmost object stands at the right.

    Parameters
    ----------
    model
        Takes the stimuli.
    stimuli
        Pictures with their objects, at least two each, in the order of their places from the left: composites, side by
        side as `neuroattn.stimuli.digits` puts them, or photographs.
    noise
        Upper bound of the background noise of the scenes in which objects moved.
    generator
        Draws it.
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
    if stimuli.n_objects is None or stimuli.objects is None or stimuli.n_objects < 2:
        raise ValueError("stimuli must have at least two objects each, got none or one; there is nothing to return to")
    if len(stimuli) % batch_size == 1 or batch_size < 2:
        raise ValueError(
            f"batch_size must leave no batch with a single stimulus, got {batch_size} for {len(stimuli)} stimuli"
        )
    parts = []
    with progress(len(stimuli), f"recording {model.name}", "stimulus") as bar:
        for first in range(0, len(stimuli), batch_size):
            batch = slice(first, first + batch_size)
            image = torch.from_numpy(np.ascontiguousarray(stimuli.images[batch])).to(model.device)
            objects = torch.from_numpy(np.ascontiguousarray(stimuli.objects[batch])).to(model.device)
            scene = _Scene(image, objects, _alone(objects))
            moved = _mirrored(scene) if mirrored else _moved(scene, noise, generator)
            parts.append(_batch(model, scene, moved, mirrored=mirrored))
            bar.update(len(image))
    joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    return _dataset(model, stimuli, joined, mirrored=mirrored)


@torch.no_grad()
def _batch(model: GatedNetwork, scene: _Scene, moved: _Scene, *, mirrored: bool) -> dict[str, np.ndarray]:
    """Return every measure of a batch, (run, stimulus, …)."""
    image, objects = scene.image, scene.objects
    rows: list[dict[str, torch.Tensor]] = []
    masks, used = (
        [model.no_inhibition(len(image))],
        torch.zeros(objects.shape[:2], dtype=torch.bool, device=image.device),
    )
    for _ in range(objects.shape[1]):
        row, mask, used = _run(model, scene, masks[-1], used)
        rows.append(row)
        masks.append(mask)
    nothing, first = masks[:2]
    of_second = [both & ~before for both, before in zip(masks[2], first, strict=True)]
    imposed: dict[str, Maps] = {IMPOSED: first, ABLATED: nothing}
    for number, variable in enumerate(model.config.layers) if len(first) > 1 else ():
        imposed[f"{_stage(variable)} alone"] = [
            mask if index == number else empty for index, (mask, empty) in enumerate(zip(first, nothing, strict=True))
        ]
    donor = donors(rows[0]["attended"])
    imposed |= {SWAPPED: of_second, ANOTHER: [mask[donor] for mask in first], CARRIED: first, MOVED: nothing}
    for condition, mask in imposed.items():
        shown = moved if condition in {CARRIED, MOVED} else scene
        row = _run(model, shown, mask, torch.zeros_like(used))[0]
        if condition == ANOTHER:
            alone = donor == torch.arange(len(donor), device=donor.device)
            row |= {name: row[name].masked_fill(alone, -1) for name in ("chosen", "attended")}
        if mirrored and condition in {CARRIED, MOVED}:
            stayed = ~_changed_places(scene, moved, rows[0]["attended"])
            row |= {name: row[name].masked_fill(stayed, -1) for name in ("chosen", "attended")}
        rows.append(row)
    if model.config.strength == 0:
        rows = [row | {name: torch.full_like(row[name], -1) for name in ("chosen", "attended")} for row in rows]
    return {name: torch.stack([row[name] for row in rows]).cpu().numpy() for name in rows[0]}


def _run(
    model: GatedNetwork, scene: _Scene, inhibition: Maps, used: torch.Tensor
) -> tuple[dict[str, torch.Tensor], Maps, torch.Tensor]:
    """Run a phase; return its measures, the next phase's masks, and the objects attended so far."""
    targets = target_images(scene.image, scene.objects, model.config.strength)
    of_others = None
    if model.gates_of_others:
        intact = run_phase(model, scene.image, inhibition)
        of_others = donors(choose(intact.gated_image, targets, used).attended)
    with _last_responses(model) as responses:
        phase = run_phase(model, scene.image, inhibition, donors=of_others)
    choice = choose(phase.gated_image, targets, used)
    gate = phase.gates[0].mean(1)
    row = {
        "gate": _mean(gate[:, None], scene.alone),
        "gate_background": _mean(gate, ~(scene.objects > 0).any(2).any(1)),
        "chosen": choice.unconstrained,
        "attended": choice.attended,
        "predicted": phase.logits.argmax(1),
    }
    contrast = gate_contrast(phase.gates[0], scene.image, scene.objects, choice.attended, model.config.strength)
    if of_others is not None:  # a stimulus that no other one attends like was not shuffled
        own = of_others == torch.arange(len(of_others), device=of_others.device)
        row |= {name: row[name].masked_fill(own, -1) for name in ("chosen", "attended")}
    row |= {"gate_attended": contrast[:, 0], "gate_unattended": contrast[:, 1]}
    for variable, response in responses.items():
        row[f"response_{_stage(variable)}"] = _mean(response.mean(1)[:, None], _seeing(model, variable, scene))
    return row, phase.inhibition, choice.used


@contextmanager
def _last_responses(model: GatedNetwork) -> Iterator[dict[str, torch.Tensor]]:
    """Give the responses of each stage, by variable, at the last step of what is run inside the block."""
    kept: dict[str, torch.Tensor] = {}
    known, handles = probes(model), []
    for variable in model.config.layers:

        def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor, variable: str = variable) -> None:
            kept[variable] = output

        handles.append(known[variable].register_forward_hook(keep))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _stage(variable: str) -> str:
    """Return the stage that a variable is of."""
    return variable.partition("/")[0]


def _alone(objects: torch.Tensor) -> torch.Tensor:
    """Return (batch, object, y, x) pixels of each object where no other has any."""
    covered = (objects > 0).any(2)
    return covered & (covered.sum(1, keepdim=True) == 1)


def _seeing(model: GatedNetwork, variable: str, scene: _Scene) -> torch.Tensor:
    """Return (batch, object, y, x) places of a stage's response that see pixels of that object and of no other."""
    spacing, side = receptive_field(model.config, variable)
    covered = (scene.objects > 0).any(2).float()
    sees = functional.max_pool2d(covered, side, spacing) > 0
    _, height, width = model.config.layers[variable]
    sees = sees[..., :height, :width]
    return sees & (sees.sum(1, keepdim=True) == 1)


def _moved(scene: _Scene, noise: float, generator: torch.Generator) -> _Scene:
    """Return the scene with every object one place on, the last one at the first place, and a new background."""
    last = scene.objects.shape[1] - 1
    shifts = [SHIFT] * last + [-SHIFT * last]
    objects = torch.stack([scene.objects[:, k].roll(shift, -1) for k, shift in enumerate(shifts)], 1)
    composite = objects.sum(1).clamp(max=1)
    background = noise * torch.rand(composite.shape, generator=generator)
    image = torch.where(composite == 0, background.to(composite.device), composite)
    return _Scene(image, objects, _alone(objects))


def _mirrored(scene: _Scene) -> _Scene:
    """Return the scene seen in a mirror."""
    return _Scene(scene.image.flip(-1), scene.objects.flip(-1), scene.alone.flip(-1))


def _changed_places(scene: _Scene, mirror: _Scene, first: torch.Tensor) -> torch.Tensor:
    """Return (batch,) whether the object at the first one's place, counted from the left, covers it most in the mirror.

    Objects above each other, or in the same half of the picture, do not change places in a mirror.
    """
    rows = torch.arange(len(first), device=first.device)
    covered = (scene.alone[rows, first][:, None] & mirror.alone).sum((2, 3))
    other = covered.shape[1] - 1 - first
    most = covered.argmax(1)
    return (other != first) & (most == other) & (covered[rows, most] > 0)


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the mean over the last two axes of where it counts; NaN without a place."""
    return (values * where).sum((-2, -1)) / where.sum((-2, -1))


def _dataset(
    model: GatedNetwork, stimuli: StimulusSet, arrays: Mapping[str, np.ndarray], *, mirrored: bool
) -> xr.Dataset:
    n_objects = arrays["gate"].shape[2]
    stages = [_stage(variable) for variable in model.config.layers]
    alone = [f"{stage} alone" for stage in stages] if len(stages) > 1 else []
    second = [IMPOSED, ABLATED, *alone, SWAPPED, ANOTHER, CARRIED, MOVED]
    condition = [FREE] * n_objects + second
    phase = [*range(1, n_objects + 1), *[2] * len(second)]
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
