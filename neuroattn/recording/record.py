"""Model and stimuli in, a labelled recording out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from neuroattn import dims
from neuroattn.recording.attributes import attributes
from neuroattn.recording.columns import neuroids, plain_table
from neuroattn.recording.constant import StillConstant, constant_variables, constant_warning
from neuroattn.recording.intervene import active_on
from neuroattn.recording.layout import CONSTANT, DONE, TRIALS
from neuroattn.recording.plan import Plan
from neuroattn.recording.repeat import random_states_kept, require_repeatable
from neuroattn.recording.room import choose_batch_size, require_block, require_memory, require_sink_memory, require_step
from neuroattn.recording.run import PRECISIONS, Work, rehearse
from neuroattn.recording.stream import batch_size_there, stream
from neuroattn.recording.units import Units, seen
from neuroattn.runs.local_path import local_path
from neuroattn.stimuli.stimulus_set import StimulusSet
from neuroattn.subjects.adapter import subject_of
from neuroattn.subjects.subject import ascending, device_of
from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd
    from distributed import Client
    from numpy.typing import NDArray

    from neuroattn.recording.run import Batch
    from neuroattn.subjects.adapter import Model


class Sink(Protocol):
    """What takes a recording batch by batch and makes something smaller of it."""

    @property
    def kept(self) -> dict[str, Any]:
        """What it keeps of a recording, as JSON can hold it: recordings that keep something else are not the same."""

    def begin(self) -> None:
        """Forget what an earlier recording left: it may have been interrupted."""

    def take(self, batch: Batch) -> None:
        """Take the next batch; presentations come in order. The arrays hold until the next batch: copy what lasts."""

    def result(self) -> tuple[tuple[str, ...], pd.DataFrame, dict[str, dict[str, NDArray[Any]]]]:
        """Return dims, coordinates of the first dim, and variable → array's name → array (first, step, neuroid)."""


@runtime_checkable
class SizedSink(Protocol):
    """A sink that knows beforehand what it will hold, and is asked before the first batch."""

    def n_bytes(self, plan: Plan) -> dict[str, int]:
        """Return the bytes that it will hold of each variable, at least."""


def record(  # noqa: PLR0913 -- what a user says of a recording, each by its name
    model: Model,
    stimuli: StimulusSet,
    variables: Sequence[str],
    steps: Sequence[int] | None = None,
    *,
    design: str = "free",
    phases: int | None = None,
    units: Units | Mapping[str, Units] | None = None,
    precision: str = "float32",
    batch_size: int | None = None,
    sink: Sink | None = None,
    store: str | Path | None = None,
    client: Client | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Record variables of a model while it looks at stimuli.

    Parameters
    ----------
    model
        A gated network, on the device it is to run on; or a `TimedModule`, or any torch module, which is then run once
        a stimulus. Inside ``with intervene(model, …)`` it is recorded under the interventions.
    stimuli
        What it sees. Without objects nothing is said about which object is attended.
    variables
        Names such as ``stage1/gate``; `neuroattn.models.probe.probes` lists them. Of a module: names of its modules.
    steps
        Time steps to keep, from 0, ascending; None keeps all.
    design
        ``free``: the phases of a trial in the network's own order, or the run of a module. ``cued``: both objects cued
        in fresh trials of one phase (coordinate ``cued``), in a network by the inhibition of the other one, in a
        `TimedModule` by its cue.
    phases
        Phases of a network's free trial; None takes one an object, or 2 without objects. A cued trial has one, whatever
        is given.
    units
        Which units to keep: of all variables, or variable → units; None keeps all.
    precision
        ``float32``, or ``float16`` for half the room and three digits.
    batch_size
        Stimuli that are run at once; None chooses. It moves the values by rounding only.
    sink
        Takes the batches; None keeps everything. `neuroattn.recording.reduce.Reduction` reduces. One with a method
        ``n_bytes`` (`SizedSink`) is refused before the first batch if memory does not hold what it will keep.
    store
        Path of a Zarr store to stream everything into, in memory that does not grow with the stimuli. A store that was
        interrupted goes on, with the same bytes on the same kind of machine and number of threads; one that holds
        another recording is refused. Several processes may make the same call at once, each takes what the others have
        not begun. None keeps the recording in memory.
    client
        Of a Dask cluster whose workers see `store`: the stimuli are split over them.
    configuration
        What the protocol was asked to do; kept as JSON. What was recorded stands over an entry of the same name.

    Returns
    -------
    xarray.DataTree
        One group a variable, with ``activation`` (presentation, time_step, neuroid) in the model's units ("1"), flat
        coordinates, and provenance in the root's attributes. Presentations are stimulus-major; neuroids run in
        (channel, y, x) order.

    Raises
    ------
    ValueError
        Before the first batch, if anything asked for does not exist or does not fit, or the values of a module depend
        on chance or on the batch: the message says what and what to do. Later only if a value does not fit the
        precision, or an intervention did not act in a batch.
    OSError
        If the store cannot be written, or the workers of a cluster keep dying; what was written stays valid.
    RuntimeError
        If the run of a model is not the same for all stimuli.

    Warns
    -----
    UserWarning
        If a variable is the same for all stimuli.

    Examples
    --------
    >>> import neuroattn
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate", "readout/logits"], steps=[0, 4])
    >>> dict(tree["readout/logits"]["activation"].sizes)
    {'presentation': 6, 'time_step': 2, 'neuroid': 10}
    """
    if not isinstance(stimuli, StimulusSet):
        raise ValueError(
            f"stimuli must be a StimulusSet, got {type(stimuli).__name__}; make one with "
            "neuroattn.StimulusSet(images, objects, table)"
        )
    if store is not None and sink is not None:
        raise ValueError("store must be None where a sink takes the recording; write what the sink returns instead")
    if client is not None and store is None:
        raise ValueError("store must be a path where a cluster records, got None; its workers write there")
    path = None if store is None else local_path("store", store)
    settings = json.dumps(dict(configuration or {}))  # before anything runs
    asked = batch_size is not None
    if not asked and path is not None:
        batch_size = batch_size_there(path)
    plan = make_plan(
        model,
        stimuli,
        variables,
        steps,
        design=design,
        phases=phases,
        units=units,
        precision=precision,
        batch_size=batch_size,
    )
    provenance = attributes(plan, {} if sink is None else sink.kept, json.loads(settings))
    if path is not None:
        return stream(plan, path, provenance, client, batch_size_asked=asked)
    tree, constant = _in_memory(plan, sink)
    tree.attrs = provenance
    for name in constant:
        warnings.warn(constant_warning(name, len(stimuli)), UserWarning, stacklevel=2)
    return tree


def _in_memory(plan: Plan, sink: Sink | None) -> tuple[xr.DataTree, Iterable[str]]:
    """Return what a sink makes of a recording, or everything, and the variables that are the same for all stimuli."""
    if sink is not None:
        constant = _pour(plan, sink)
        axes, first, arrays = sink.result()
    else:
        require_memory(plan)
        room = plan.work.room(len(plan.stimuli))
        first, axes = plan.fill(room), (dims.PRESENTATION,)
        arrays = {name: {dims.ACTIVATION: values} for name, values in room.items()}
        constant = constant_variables(room, plan.per_stimulus)
    tree = xr.DataTree.from_dict({name: _labelled(plan, name, arrays[name], axes, first) for name in plan.variables})
    for name in constant:
        for array in tree[name].data_vars.values():
            array.attrs[CONSTANT] = 1
    return tree, constant


def _pour(plan: Plan, sink: Sink) -> Iterable[str]:
    """Give a sink all batches; return the variables that are the same for all stimuli."""
    require_block(plan, plan.work.batch_size)
    if isinstance(sink, SizedSink):
        require_sink_memory(plan, sink.n_bytes(plan))
    watched = StillConstant(plan.per_stimulus)
    sink.begin()
    for batch in plan.batches():
        watched.watch(batch.activations)
        sink.take(batch)
    return watched.variables


def make_plan(
    model: Model,
    stimuli: StimulusSet,
    variables: Sequence[str],
    steps: Sequence[int] | None = None,
    *,
    design: str = "free",
    phases: int | None = None,
    units: Units | Mapping[str, Units] | None = None,
    precision: str = "float32",
    batch_size: int | None = None,
) -> Plan:
    """Check a recording, rehearse it on the first stimuli, and settle everything about it; see `record`."""
    _require_kinds(variables, batch_size, phases)
    names = list(variables)
    subject = subject_of(model).trials(stimuli, names, steps, design, phases)
    wanted = ascending(steps)
    subject.tapped(names)  # names are checked before anything runs
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    subject.require(stimuli)
    shown = StimulusSet(stimuli.images, stimuli.objects, plain_table(stimuli.table))
    chosen = _units_of(units, names)
    _require_groups(names)
    with random_states_kept():
        rehearsal = rehearse(subject, shown.select(slice(0, 2)), names, len(shown), wanted)
        if isinstance(subject, TimedModule) and any(shape[0] == 2 for shape in rehearsal.shapes.values()):
            # Two of whatever comes first may have been taken for the two stimuli.
            rehearsal = rehearse(subject, shown.select(slice(0, 3)), names, len(shown), wanted)
    kept = {name: _kept(name, rehearsal.steps[name], wanted) for name in names}
    sees = partial(seen, subject)
    active = active_on(subject.module)
    for intervention in () if active is None else active.interventions:
        if not set(intervention.phases or ()) <= set(rehearsal.phases):
            raise ValueError(
                f"phases must be among {sorted(set(rehearsal.phases))} for {type(intervention).__name__}, got "
                f"{list(intervention.phases or ())}"
            )
    if active is not None:
        active.require_acted()
    work = Work(
        rehearsed=rehearsal.steps,
        subject=subject,
        interventions=() if active is None else active.interventions,
        shapes=rehearsal.shapes,
        phases=rehearsal.phases,
        steps=kept,
        index={
            name: chosen[name].index(name, shape, sees) if name in chosen else None
            for name, shape in rehearsal.shapes.items()
        },
        precision=precision,
        batch_size=1,
        n_stimuli=len(shown),
    )
    work = replace(work, batch_size=_batch_size(work, rehearsal.bytes_of_a_step, batch_size))
    if isinstance(subject, TimedModule):  # a gated network is known to be
        with random_states_kept():
            require_repeatable(work, shown, rehearsal.rounding)
    return Plan(work=work, stimuli=shown, units=chosen, rehearsal=rehearsal)


def _require_kinds(variables: Sequence[str], batch_size: int | None, phases: int | None) -> None:
    """Raise unless what was given is of the kind that it must be."""
    if isinstance(variables, str):
        raise ValueError(f"variables must be a list of names, got the string {variables!r}; write [{variables!r}]")
    for name, number in (("batch_size", batch_size), ("phases", phases)):
        if number is not None and not isinstance(number, int | np.integer):
            raise ValueError(f"{name} must be a whole number, got {number!r}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def _kept(name: str, there: tuple[int, ...], wanted: list[int] | None) -> tuple[int, ...]:
    if wanted is None:
        return there
    if not set(wanted) <= set(there):
        raise ValueError(f"steps must be among {list(there)} for {name}, got {wanted}; record other steps of it apart")
    return tuple(wanted)


def _require_groups(names: Sequence[str]) -> None:
    """Raise unless every variable can be a group of its own in a file."""
    for name in names:
        parts = name.split("/")
        above = {"/".join(parts[:k]) for k in range(1, len(parts))} & set(names)
        if above:
            raise ValueError(
                f"variables must not be groups of others, got {min(above)!r} and {name!r}, which differ in steps and "
                "units; rename one"
            )
        if parts[0] in {DONE, TRIALS} or not all(part.strip(".") for part in parts):
            raise ValueError(f"variables must have names that a group can have, got {name!r}; rename it")


def _units_of(units: Units | Mapping[str, Units] | None, names: Sequence[str]) -> dict[str, Units]:
    if units is None:
        return {}
    if isinstance(units, Units):
        return dict.fromkeys(names, units)
    if not isinstance(units, Mapping) or not all(isinstance(chosen, Units) for chosen in units.values()):
        raise ValueError(f"units must be Units, or a mapping from variables to Units, got {units!r}")
    unknown = [name for name in units if name not in names]
    if unknown:
        raise ValueError(
            f"units must be of recorded variables ({', '.join(names)}), got {unknown[0]!r}; add the variable"
        )
    return dict(units)


def _batch_size(work: Work, step_bytes: int, asked: int | None) -> int:
    device = device_of(work.subject.module)
    kept = sum(map(work.bytes_of, work.steps)) * len(work.phases)
    size = choose_batch_size(device, step_bytes, kept, work.n_stimuli) if asked is None else asked
    if device.type == "cpu":
        require_step(min(size, work.n_stimuli), step_bytes)
    shuffled = any(intervention.shuffles for intervention in work.interventions)
    if shuffled and asked is None:
        size = next((b for b in range(size, 1, -1) if work.n_stimuli % b != 1), work.n_stimuli)
    if shuffled and (size < 2 or work.n_stimuli % size == 1):
        raise ValueError(
            f"batch_size must leave no batch with a single stimulus where stimuli are shuffled, got {size} for "
            f"{work.n_stimuli} stimuli; choose another"
        )
    return size


def _labelled(
    plan: Plan, name: str, arrays: Mapping[str, NDArray[Any]], axes: tuple[str, ...], first: pd.DataFrame
) -> xr.Dataset:
    """Attach the labels; from here on nothing is found by its position."""
    coordinates: dict[str, Any] = {dims.TIME_STEP: (dims.TIME_STEP, list(plan.work.steps[name]))}
    units = neuroids(plan.work.subject.name, name, plan.work.shapes[name], plan.work.index[name])
    for dim, table in ((axes[0], first), (dims.NEUROID, units)):
        for column in table:
            values = table[column].to_numpy()
            # Strings of a fixed width would be cut or padded in the file.
            coordinates[str(column)] = (dim, values if values.dtype.kind in "biuf" else values.astype(object))
    shaped = {
        array: ((axes[0], dims.TIME_STEP, dims.NEUROID), values, {"units": "1"})
        if values.ndim > 1
        else (axes[0], values)
        for array, values in arrays.items()
    }
    return xr.Dataset(shaped, coordinates)
