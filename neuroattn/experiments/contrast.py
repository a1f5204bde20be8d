"""What protocols share that contrast states of attention, with controls beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuroattn import dims
from neuroattn.command.option import MOST_AT_ONCE, MOST_RESAMPLES, option
from neuroattn.experiments.scene_stimuli import SceneOptions, check_scene_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from neuroattn.subjects.subject import Subject

# Controls in which attention cannot act: they check the code.
CHECKS = {"zero_strength": "s = 0", "one_step": "T = 1"}


@dataclass(frozen=True, kw_only=True)
class ControlOptions(SceneOptions):
    """Options of a protocol that runs controls, and whose intervals are resampled."""

    controls: tuple[str, ...] = option(
        dims.CONTROLS, "controls, on a part of the stimuli", choices=(*dims.CONTROLS, "none")
    )
    n_resamples: int = option(2000, "resamples of the bootstrap", low=100, high=MOST_RESAMPLES, analysis=True)
    batch_size: int = option(100, "stimuli at once", low=2, high=MOST_AT_ONCE)

    def __post_init__(self) -> None:
        """Check every option."""
        super().__post_init__()
        check_scene_options(self)
        if "none" in self.controls and len(self.controls) > 1:
            raise ValueError(f"controls must be none or a list of controls, got {', '.join(self.controls)}")

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """The controls to run: nothing where ``none`` was asked for."""
        return () if self.controls == ("none",) else self.controls


@dataclass(frozen=True, kw_only=True)
class ContrastOptions(ControlOptions):
    """Options of a protocol that contrasts responses with one object attended and with the other."""

    design: str = option(
        "cued", "states cued by inhibition, or the network's free order (the paper's)", choices=("cued", "free")
    )

    @property
    def intended(self) -> str:
        """Coordinate that says which object a presentation was meant to attend."""
        return dims.CUED if self.design == "cued" else dims.ATTENDED


def states_needed(config: ContrastOptions) -> tuple[str, ...]:
    """Return what a subject must have to be shown in both states of the design."""
    return (config.design,)


def require_few(n_control_stimuli: int, n_stimuli: int) -> None:
    """Raise if the controls were to be shown more stimuli than there are."""
    if n_control_stimuli > n_stimuli:
        raise ValueError(f"n_control_stimuli must be at most n_stimuli ({n_stimuli}), got {n_control_stimuli}")


def confounds(config: ContrastOptions) -> tuple[str, ...]:
    """Return what must be said of a contrast whose states differ by more than attention."""
    if config.design == "cued":
        return ()
    return (
        (
            "NOTE: in the free order the attended object, the phase and the inhibition in force change together; the "
            "difference between the states is not attention's alone. The cued design (--design cued) keeps them apart."
        ),
    )


def controls_of(config: ControlOptions, subject: Subject) -> dict[str, tuple[Subject, int]]:
    """Return the subjects of the controls that were chosen and that this subject has, and the step that is read."""
    last = subject.steps[-1]
    return {
        name: (subject.control(name, config.seed), subject.steps[0] if name == "one_step" else last)
        for name in config.chosen_controls
        if name not in subject.lacks
    }


def joined(
    subject: Subject, trees: Mapping[str, xr.DataTree], change: Callable[[str, str, xr.Dataset], xr.Dataset]
) -> xr.DataTree:
    """Return recordings of a subject as one tree, which names the subject's layers.

    Parameters
    ----------
    subject
        Who was recorded.
    trees
        Group → recording; ``/`` is that of the network itself.
    change
        Group, variable, recording of the variable → what is kept of it.
    """
    import xarray as xr

    leaves = {
        f"{at.rstrip('/')}{node.path}": change(at, node.path.strip("/"), node.to_dataset())
        for at, tree in trees.items()
        for node in tree.leaves
    }
    whole = xr.DataTree.from_dict(leaves)
    for at, tree in trees.items():
        whole[at].attrs = tree.attrs
    whole.attrs = {**whole.attrs, "layers": json.dumps(list(subject.layers))}
    return whole
