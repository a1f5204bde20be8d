"""Inhibition of return: whether a network avoids what it attended before, and whether it does so by itself.

``python -m neuroattn.experiments.inhibition_of_return``. The paper compares the gate over attended pixels with that
over the others, which is selection. Return needs memory: what the second phase makes of an object that the first one
attended, with the mask that it left imposed, ablated, swapped, or carried to a scene whose objects changed places.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: Posner & Cohen (1984), Klein (2000), Trends Cogn.
Sci. 4:138.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import numpy as np

from neuroattn.experiments.inhibition_of_return.analysis import analysis
from neuroattn.experiments.inhibition_of_return.columns import COLUMNS
from neuroattn.experiments.inhibition_of_return.options import Config
from neuroattn.experiments.protocol import Protocol, Tables
from neuroattn.experiments.scene_stimuli import (
    SCENES,
    require_digit_networks,
    scene_stimuli,
)
from neuroattn.explorer.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject

METHODS = """{shown} were shown in free trials of {config.n_objects} phases, each with the mask of inhibited units that
the phases before had left, and in second phases whose mask was that of the first phase, none, that of one stage alone,
that of the object attended second, that of another picture in which the same place had been attended, or, in a scene
{moved}, that of the first phase or none. Avoidance is how much less often an object is chosen with a mask than
without, on the same picture; it was taken to be there where its 95 % interval lay above {config.bound:g}, and to be
absent where that lay within ±{config.bound:g}. The attended object is the one whose target image is nearest to the
gated image. The gate of an object is the mean over its pixels that no other object covers; the contrast of Lei,
Benjamin & Kording (2021, arXiv:2106.04540) is that of attended against all other pixels, averaged over phases. Objects
attended before and never attended ones were compared in the second phase at the same place (least squares with effects
of place, errors clustered by picture; which object is attended first is not drawn by lot). Several networks are the
sample: means with t intervals (of fractions on logits, exact where all networks agree), t tests and sign-flip
permutation over network means, p values adjusted after Benjamini & Hochberg (1995); for one network intervals are from
{config.n_resamples:,} bootstrap resamples of pictures (Wilson's for fractions, Tango's (1998) for differences of
choices). What follows from the architecture, that no mask gives the first phase again, was not tested. Controls: gates
of other pictures, untrained weights (drawn for each network); checks of the code: gate strength 0 (at which no choice
is defined), one time step. The biology: Posner & Cohen (1984), Klein (2000)."""


def stimuli(config: Config, subjects: Sequence[Subject]) -> StimulusSet:
    """Return composites of embedded digits, or scenes, in random order."""
    import torch

    if config.stimuli == SCENES:
        return scene_stimuli(config, subjects, config.n_stimuli, config.n_objects)
    require_digit_networks(config, subjects, config.n_objects)

    from neuroattn.stimuli.digits import sample_composites, stimulus_set
    from neuroattn.stimuli.mnist import embedded

    generator = torch.Generator().manual_seed(config.seed)
    return stimulus_set(
        sample_composites(
            embedded(), config.n_stimuli, n_objects=config.n_objects, noise=config.noise, generator=generator
        )
    )


def check(config: Config, subject: Subject, stimuli: StimulusSet) -> None:
    """Raise if no choice of the network is defined."""
    del config, stimuli
    if _network(subject).config.strength == 0:
        raise ValueError(
            f"models must have a gate strength above 0, got {subject.name} of 0, which attends no object; take another "
            "network"
        )


def recording(config: Config, subject: Subject, stimuli: StimulusSet) -> xr.DataTree:
    """Return what became of every object in free trials and in second phases under other masks; controls apart."""
    import torch
    import xarray as xr

    from neuroattn.experiments.inhibition_of_return.recording import record_returns
    from neuroattn.models.controls import control

    def returns(network: GatedNetwork, shown: StimulusSet) -> xr.Dataset:
        # No batch of a single stimulus: its mask could not be that of another one.
        batch_size = next((b for b in range(config.batch_size, 1, -1) if len(shown) % b != 1), len(shown))
        generator = torch.Generator().manual_seed(config.seed + 1)
        mirrored = config.stimuli == SCENES
        return record_returns(
            network, shown, noise=config.noise, generator=generator, batch_size=batch_size, mirrored=mirrored
        )

    network = _network(subject)
    trees = {"/trials": returns(network, stimuli)}
    few = stimuli.select(np.arange(min(config.n_control_stimuli, len(stimuli))))
    for name in config.chosen_controls:
        changed = _one_step(network) if name == "one_step" else control(name, network, config.seed)
        trees[f"/controls/{name}"] = returns(changed, few)
    tree = xr.DataTree.from_dict(trees)
    tree.attrs = trees["/trials"].attrs
    return tree


def _network(subject: Subject) -> GatedNetwork:
    """Return the network of a subject that hands inhibition from phase to phase."""
    return cast("GatedNetwork", subject.module)


def _one_step(model: GatedNetwork) -> GatedNetwork:
    """Return the network with phases of a single step, in which no feedback acts."""
    from neuroattn.models.gated import GatedNetwork

    twin = GatedNetwork(dataclasses.replace(model.config, steps=1), name=model.name, seed=model.seed)
    twin.load_state_dict(model.state_dict())
    return twin.to(model.readout.weight).eval()


def figure(config: Config, tables: Tables) -> Figure:
    """Return gates by status, returns by mask, matched differences and controls."""
    del config  # the tables say all that the figure shows
    from neuroattn.experiments.inhibition_of_return.figure import returns_figure

    return returns_figure(tables.statistics)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    if config.stimuli == SCENES:
        shown = f"Scenes ({'synthetic, made for this' if config.synthetic else 'COCO; Lin et al. 2014'}) of "
        shown += f"{config.n_objects} objects, up to {config.n_stimuli:,} of them,"
        moved = "seen in a mirror (where the object then at that place, from the left, covers most of the first)"
    else:
        shown = f"{config.n_stimuli:,} composites of {config.n_objects} handwritten digits (uniform background noise "
        shown += f"below {config.noise:g})"
        moved = "in which every digit had moved one place on"
    return " ".join(METHODS.split()).format(config=config, shown=shown, moved=moved)


PROTOCOL = Protocol(
    name="inhibition_of_return",
    description="Whether a network avoids what it attended before: gates and choices with the mask between phases "
    "imposed, ablated, swapped, or carried to a scene whose objects changed places, with controls. Offline.",
    config=Config,
    stimuli=stimuli,
    check=check,
    recording=recording,
    analysis=analysis,
    figure=figure,
    caption="Above, as far as there are such stimuli: mean gate over the pixels of objects attended now, before and "
    "never; difference between objects attended before and never, at the same place; return in the controls. "
    "Below: how often the second phase chooses the object attended first, and what stands where it stood, under "
    "each mask. Points are means with 95 % intervals, open circles follow from the architecture, the dashed line "
    "is chance.",
    methods=methods,
    needs=lambda _config: ("inhibition",),
    columns=COLUMNS,
    view=View(measures=("gate", "response_stage1")),
)
