"""Whether values are a stimulus's own: the same when it is shown again, and whatever else is in its batch."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from neuroattn.recording.run import run_batch
from neuroattn.subjects.subject import takes_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from neuroattn.recording.run import Arrays, Work
    from neuroattn.stimuli.stimulus_set import StimulusSet

# Relative root-mean-square difference from which values are others. Batches of another size are added up in another
# order: measured on a CPU, this moves convolutional networks of up to 49 layers, transformers and recurrent networks by
# 1.3e-6 at most in float32, and by 4e-6 in half precision. Dropout of 1 % moves values by .15, a BatchNorm by the
# statistics of four stimuli by .05, quantization by the range of the batch by .009.
TOLERANCE = 1e-3
# At least so many times the distance of neighbouring numbers: other kernels round at other places, on a GPU as TF32.
ROUNDINGS, TF32 = 4, 2.0**-10
FLOOR = 1e-3  # root mean square below which a difference is not taken as relative: such units are near silent
TOGETHER = 4  # stimuli
TRACED_BYTES = 2**30  # of inputs and outputs, in the search for the module that is the first to differ


class _Call(NamedTuple):
    """A call of a module: what it was given, and what it returned."""

    path: str
    kind: str
    given: list[torch.Tensor]
    returned: list[torch.Tensor]


def require_repeatable(work: Work, stimuli: StimulusSet, rounding: float) -> None:
    """Raise unless a few stimuli have the same values alone as together, or, one at a time, the same twice.

    The first stimulus of the set, the last, and some between them are shown, because neighbours may be alike. The
    ValueError names the module that is the first to differ, and whether that is by chance or by the batch.

    Parameters
    ----------
    work, stimuli
        What is to be recorded.
    rounding
        Relative distance of neighbouring numbers, of the coarsest kind in the model.
    """
    work = replace(work, precision="float32")
    on_gpu = any(parameter.is_cuda for parameter in work.subject.module.parameters())
    tolerance = max(TOLERANCE, ROUNDINGS * max(rounding, TF32 if on_gpu else 0))
    n = min(len(stimuli), TOGETHER, max(2, work.batch_size))
    together = np.unique(np.linspace(0, len(stimuli) - 1, n).astype(np.int64))
    alone = [together[:1], together[-1:]]
    if any(intervention.shuffles for intervention in work.interventions):
        showings = [together, together]  # alone there is nobody to shuffle with
    else:
        showings = [*(alone if work.batch_size == 1 else [together]), *alone]
    before: dict[int, tuple[NDArray[np.int64], Arrays]] = {}
    for positions in showings:
        found = _values(work, stimuli, positions)
        for k, position in enumerate(positions.tolist()):
            mine = {name: values[k] for name, values in found.items()}
            there, expected = before.setdefault(position, (positions, mine))
            differing = [name for name in mine if _differ(expected[name], mine[name], tolerance)]
            if differing:
                raise ValueError(_refusal(work, stimuli, (there, positions), differing[0], tolerance))


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Leave what the user will draw as it is, whatever the model draws meanwhile."""
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 -- modules may draw from it
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


def _values(work: Work, stimuli: StimulusSet, positions: NDArray[np.int64]) -> Arrays:
    """Return variable → (stimulus, presentation, time_step, neuroid)."""
    room = work.room(len(positions))
    run_batch(work, stimuli.select(positions), positions, room)
    return {name: array.reshape(len(positions), -1, *array.shape[1:]) for name, array in room.items()}


def _differ(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> bool:
    """Return whether values (…, unit) differ by more than rounding, in any of the rows."""
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return True
    a, b = (np.where(finite, values, 0).astype(np.float64) for values in (a, b))
    scale = max(FLOOR, float(_root_mean_square(a).max(initial=0)))
    return bool((_root_mean_square(a - b) > tolerance * scale).any())


def _root_mean_square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.sqrt((values**2).mean(-1))
    return mean


def _refusal(
    work: Work, stimuli: StimulusSet, showings: tuple[NDArray[np.int64], NDArray[np.int64]], variable: str, tol: float
) -> str:
    """Return what is wrong with values that differ between two showings, and what to do."""
    first, second = showings
    again, once_more = (_values(work, stimuli, first) for _ in range(2))
    by_chance = len(first) == len(second) or any(_differ(again[name], once_more[name], tol) for name in again)
    second = first if by_chance else second
    culprit = _first_to_differ(work, stimuli, first, second, tol) or f"the variable {variable!r}"
    if by_chance:
        return (
            f"module must give a stimulus the same values each time, got others from {culprit} when shown again; "
            "take out what draws at random (dropout in a forward, noise) or is kept from call to call"
        )
    return (
        f"module must give a stimulus the same values in any batch, got others from {culprit} alone than with "
        f"{len(first) - 1} others; make it look at one stimulus at a time (BatchNorm: with running statistics), or "
        "record with batch_size=1"
    )


def _first_to_differ(
    work: Work, stimuli: StimulusSet, first: NDArray[np.int64], second: NDArray[np.int64], tolerance: float
) -> str | None:
    """Return the innermost module that was given the same in two showings and returned something else."""
    place = int(np.flatnonzero(first == second[0])[0])
    for a, b in zip(_calls(work, stimuli, first), _calls(work, stimuli, second), strict=False):
        if a.path != b.path:
            return None
        if not _any_differ(a.given, b.given, place, tolerance) and _any_differ(
            a.returned, b.returned, place, tolerance
        ):
            return f"{a.path!r} ({a.kind})" if a.path else f"the forward of the model itself ({a.kind})"
    return None


def _any_differ(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], place: int, tolerance: float) -> bool:
    return any(_tensors_differ(x, y, place, tolerance) for x, y in zip(a, b, strict=False))


def _tensors_differ(a: torch.Tensor, b: torch.Tensor, place: int, tolerance: float) -> bool:
    """Compare two tensors; where one is of several stimuli and the other of one of them, by that one alone."""
    for axis in range(min(a.ndim, b.ndim)):
        if a.shape[axis] != b.shape[axis] == 1:  # wherever the batch is
            a = a.narrow(axis, place, 1)
    if a.shape != b.shape:
        return False
    plain = [value.double().reshape(1, -1).cpu().numpy() for value in (a, b)]
    return _differ(plain[0], plain[1], tolerance)


def _calls(work: Work, stimuli: StimulusSet, positions: NDArray[np.int64]) -> list[_Call]:
    """Return every call of a module, in the order in which they return."""
    calls: list[_Call] = []
    given: list[list[torch.Tensor]] = []
    n_bytes = 0

    def copied(values: Any) -> list[torch.Tensor]:
        nonlocal n_bytes
        if n_bytes > TRACED_BYTES:
            return []
        tensors = _tensors(values)
        n_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return tensors

    def before(_module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        given.append(copied([args, kwargs]))  # a module may work in place

    def after(path: str, module: torch.nn.Module, output: Any) -> None:
        calls.append(_Call(path, type(module).__name__, given.pop(), copied(output)))

    handles: list[Any] = []
    try:
        for path, module in work.subject.module.named_modules():
            if takes_hooks(module):
                handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(module.register_forward_hook(lambda m, _args, output, path=path: after(path, m, output)))
        _values(work, stimuli, positions)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _tensors(values: Any) -> list[torch.Tensor]:
    """Return copies of the plain tensors in what a module was given or returned."""
    if isinstance(values, torch.Tensor):
        plain = values.layout is torch.strided and not (values.is_quantized or values.is_complex() or values.is_nested)
        return [values.detach().clone()] if plain else []
    if isinstance(values, dict):
        values = list(values.values())
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, list | tuple) else []
