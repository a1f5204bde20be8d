"""Model and stimuli in, a labelled recording out."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr

from neuroattn import labels
from neuroattn.models.probe import require_variables
from neuroattn.recording.attributes import attributes
from neuroattn.recording.columns import plain_table
from neuroattn.recording.neuroids import neuroids
from neuroattn.recording.plan import Plan
from neuroattn.recording.presentations import DESIGNS, Batch
from neuroattn.recording.stream import stream
from neuroattn.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork

BATCH_SIZE = 128


class Sink(Protocol):
    """What takes a recording batch by batch: it keeps everything, reduces it, or will write it to disk."""

    @property
    def kept(self) -> dict[str, Any]:
        """What it keeps of a recording, as JSON can hold it: recordings that keep something else are not the same."""

    def take(self, batch: Batch) -> None:
        """Take the next batch; presentations come in order."""

    def result(self) -> tuple[tuple[str, ...], pd.DataFrame, dict[str, dict[str, NDArray[Any]]]]:
        """Return dims, coordinates of the first dim, and variable → array's name → array (first, step, channel …)."""


def record(
    model: GatedNetwork,
    stimuli: StimulusSet,
    variables: Sequence[str],
    steps: Sequence[int] | None = None,
    *,
    design: str = "free",
    phases: int | None = None,
    batch_size: int = BATCH_SIZE,
    sink: Sink | None = None,
    store: str | Path | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Record variables of a network while it looks at stimuli.

    Parameters
    ----------
    model
        The network, on the device it is to run on.
    stimuli
        What it sees. Without objects nothing is said about which object is attended.
    variables
        Names such as ``stage1/gate``; `neuroattn.models.probe.probes` lists them.
    steps
        Time steps to keep, from 0; None keeps all T.
    design
        ``free``: the phases of a trial in the network's own order. ``cued``: both objects cued in fresh trials of one
        phase, by the inhibition of the other (coordinate ``cued``).
    phases
        Phases of a free trial; None takes one an object, or 2 without objects. A cued trial has one, whatever is given.
    batch_size
        Stimuli that are run at once. It moves the values by rounding only.
    sink
        Takes the batches; None keeps everything in memory. `neuroattn.recording.reduce.Reduction` reduces.
    store
        Path of a Zarr store to stream everything into, in memory that does not grow with the stimuli. A store that was
        interrupted goes on; one that holds another recording is refused. None keeps the recording in memory.
    configuration
        What the protocol was asked to do; kept as JSON. What was recorded stands over an entry of the same name.

    Returns
    -------
    xarray.DataTree
        One group a variable, with ``activation`` (presentation, time_step, neuroid) float32 in the model's units ("1"),
        flat coordinates, and provenance in the root's attributes. Presentations are stimulus-major; neuroids run in
        (channel, y, x) order.

    Raises
    ------
    ValueError
        Before anything runs, if `stimuli` is no StimulusSet, a variable or step does not exist, the images are not of
        the network's size, or the stimulus table cannot be stored.
    """
    if not isinstance(stimuli, StimulusSet):
        raise ValueError(
            f"stimuli must be a StimulusSet, got {type(stimuli).__name__}; make one with "
            "neuroattn.StimulusSet(images, objects, table)"
        )
    if store is not None and sink is not None:
        raise ValueError("store must be None where a sink takes the recording; write what the sink returns instead")
    names = _names(model, variables)
    kept = _kept_steps(model, steps)
    n_phases = 1 if design == "cued" else phases if phases is not None else (stimuli.n_objects or 2)
    _check(model, stimuli, design, n_phases, batch_size)
    shown = StimulusSet(stimuli.images, stimuli.objects, plain_table(stimuli.table))
    taking: Sink = Everything() if sink is None else sink
    plan = Plan(
        model=model,
        stimuli=shown,
        variables=tuple(names),
        steps=tuple(kept),
        design=design,
        phases=n_phases,
        batch_size=batch_size,
    )
    provenance = attributes(plan, taking.kept, configuration or {})
    if store is not None:
        return stream(plan, Path(store), provenance)
    for _, batch in plan.batches():
        taking.take(batch)
    dims, first, arrays = taking.result()
    groups = {
        name: _labelled(arrays[name], dims, first, kept, neuroids(model.name, name, next(iter(arrays[name].values()))))
        for name in names
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = provenance
    return tree


class Everything:
    """The sink that keeps every value, in memory."""

    @property
    def kept(self) -> dict[str, Any]:
        """Everything."""
        return {}

    def __init__(self) -> None:
        self._batches: list[Batch] = []

    def take(self, batch: Batch) -> None:
        """Keep a batch."""
        self._batches.append(batch)

    def result(self) -> tuple[tuple[str, ...], pd.DataFrame, dict[str, dict[str, NDArray[Any]]]]:
        """Return all batches as one."""
        import pandas as pd

        table = pd.concat([batch.presentations for batch in self._batches], ignore_index=True)
        arrays = {
            name: {labels.ACTIVATION: np.concatenate([batch.activations[name] for batch in self._batches])}
            for name in self._batches[0].activations
        }
        self._batches = []
        return (labels.PRESENTATION,), table, arrays


def _labelled(
    arrays: Mapping[str, NDArray[Any]],
    dims: tuple[str, ...],
    first: pd.DataFrame,
    steps: Sequence[int],
    units: pd.DataFrame,
) -> xr.Dataset:
    """Attach the labels; from here on nothing is found by its position."""
    coordinates: dict[str, Any] = {labels.TIME_STEP: (labels.TIME_STEP, list(steps))}
    for dim, table in ((dims[0], first), (labels.NEUROID, units)):
        for column in table:
            values = table[column].to_numpy()
            # Strings of a fixed width would be cut or padded in the file.
            coordinates[str(column)] = (dim, values if values.dtype.kind in "biuf" else values.astype(object))
    shaped = {
        name: ((dims[0], labels.TIME_STEP, labels.NEUROID), values.reshape(*values.shape[:2], -1), {"units": "1"})
        if values.ndim > 1
        else (dims[0], values)
        for name, values in arrays.items()
    }
    return xr.Dataset(shaped, coordinates)


def _names(model: GatedNetwork, variables: Sequence[str]) -> list[str]:
    if isinstance(variables, str):
        raise ValueError(f"variables must be a list of names, got the string {variables!r}; write [{variables!r}]")
    names = list(variables)
    require_variables(model, names)
    return names


def _kept_steps(model: GatedNetwork, steps: Sequence[int] | None) -> list[int]:
    if steps is None:
        return list(range(model.config.steps))
    last = model.config.steps - 1
    try:
        kept = [operator.index(step) for step in steps]  # numpy's integers are no JSON
    except TypeError:
        kept = []
    if not kept or kept != sorted(set(kept)) or kept[0] < 0 or kept[-1] > last:
        raise ValueError(f"steps must be a list of different numbers from 0 to {last}, ascending, got {steps}")
    return kept


def require_size(model: GatedNetwork, stimuli: StimulusSet) -> None:
    """Raise unless the stimuli have the size that the network takes."""
    if stimuli.images.shape[1:] != model.config.size:
        raise ValueError(
            f"images must be (channel, y, x) = {model.config.size} for {model.name}, got {stimuli.images.shape[1:]}; "
            "use stimuli of that size or another model"
        )


def _check(model: GatedNetwork, stimuli: StimulusSet, design: str, phases: int, batch_size: int) -> None:
    require_size(model, stimuli)
    if design not in DESIGNS:
        raise ValueError(f"design must be one of {', '.join(DESIGNS)}, got {design!r}")
    if design == "cued" and (stimuli.n_objects or 0) < 2:
        raise ValueError("design must be free for stimuli without two objects each, got 'cued'; give objects")
    if phases < 1:
        raise ValueError(f"phases must be at least 1, got {phases}")
    if stimuli.n_objects is not None and phases > stimuli.n_objects:
        raise ValueError(f"phases must be from 1 to the number of objects, {stimuli.n_objects}, got {phases}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
