"""Which units of a variable: by number, channel, window, random sample, or receptive field."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.models.state_hash import array_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from neuroattn.subjects.subject import Subject

    # A variable and a mask (y, x) of the image → the places (y, x) of the variable that see it.
    Sees = Callable[[str, NDArray[np.bool_]], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """A part of a variable's units: those that fit every condition that is given.

    Attributes
    ----------
    channels
        Feature channels, from 0.
    y, x
        Window (first, last) of rows and of columns of the variable's map; the last is not in it.
    field
        (y, x) boolean mask of the image: units whose receptive field overlaps it. A unit of a vector sees everything.
    numbers
        Units by their number, in (channel, y, x) order of the whole variable.
    sample
        So many units, drawn at random from those that fit the other conditions, another draw for every variable.
    seed
        Of the draw.

    Examples
    --------
    >>> import neuroattn
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> units = Units(channels=[0], y=(4, 9), sample=10)
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage1/gate"], units=units)
    >>> tree["stage1/gate"]["activation"].shape
    (6, 5, 10)
    """

    channels: Sequence[int] | None = None
    y: tuple[int, int] | None = None
    x: tuple[int, int] | None = None
    field: NDArray[np.bool_] | None = None
    numbers: Sequence[int] | NDArray[np.int64] | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the variable."""
        for name, window in (("y", self.y), ("x", self.x)):
            whole = isinstance(window, Sequence | np.ndarray) and len(window) == 2
            if window is not None and not (whole and 0 <= window[0] < window[1]):
                raise ValueError(f"{name} must be a window (first, last) with 0 ≤ first < last, got {window}")
        if self.channels is not None and not isinstance(self.channels, Sequence | np.ndarray):
            raise ValueError(f"channels must be a list of numbers, got {self.channels}; write [{self.channels}]")
        if self.field is not None:
            mask = np.asarray(self.field)
            if mask.ndim != 2 or mask.dtype != bool:
                raise ValueError(
                    f"field must be a boolean mask (y, x) of the image, got {mask.dtype} of shape {mask.shape}"
                )
            object.__setattr__(self, "field", mask)
        if self.sample is not None and self.sample < 1:
            raise ValueError(f"sample must be at least 1, got {self.sample}")

    def index(self, variable: str, shape: tuple[int, ...], sees: Sees) -> NDArray[np.int64]:
        """Return the numbers of the units, ascending, in (channel, y, x) order of the whole variable.

        Parameters
        ----------
        variable
            Its name.
        shape
            (channel, y, x) or (channel,) of the variable.
        sees
            Tells which places of the variable see a mask of the image.

        Raises
        ------
        ValueError
            If a channel or window lies outside the variable, or nothing or less than the sample is left.
        """
        n_channels, height, width = whole = (*shape, 1, 1)[:3]
        fits = np.ones(whole, bool)
        if self.channels is not None:
            fits &= _of_channels(self.channels, variable, n_channels)[:, None, None]
        for name, window, size, axis in (("y", self.y, height, 1), ("x", self.x, width, 2)):
            if window is None:
                continue
            if window[1] > size:
                raise ValueError(
                    f"{name} must be a window within (0, {size}) for {variable}, got {tuple(window)}; give each "
                    "variable its own units"
                )
            inside = (np.arange(size) >= window[0]) & (np.arange(size) < window[1])
            fits &= np.expand_dims(inside, tuple({0, 1, 2} - {axis}))
        if self.field is not None and len(shape) > 1:
            fits &= sees(variable, self.field)
        if self.numbers is not None:
            fits &= _listed(np.asarray(self.numbers), variable, fits.size).reshape(whole)
        numbers = np.flatnonzero(fits)
        if len(numbers) == 0:
            raise ValueError(f"units must leave at least one unit of {variable}, got none; widen the window or field")
        if self.sample is None:
            return numbers
        if self.sample > len(numbers):
            raise ValueError(
                f"sample must be at most the {len(numbers)} units of {variable} to draw from, got {self.sample}"
            )
        generator = np.random.default_rng([self.seed, *variable.encode()])
        return np.sort(generator.choice(numbers, self.sample, replace=False))

    def describe(self) -> dict[str, Any]:
        """Return the conditions as JSON can hold them; a mask by its SHA-256."""
        described: dict[str, Any] = {}
        if self.channels is not None:
            described["channels"] = sorted({operator.index(channel) for channel in self.channels})
        described |= {name: [int(w) for w in window] for name, window in (("y", self.y), ("x", self.x)) if window}
        if self.field is not None:
            described["field_sha256"] = array_hash(self.field)
        if self.numbers is not None:
            described["numbers_sha256"] = array_hash(np.unique(np.asarray(self.numbers, dtype=np.int64)))
        if self.sample is not None:
            described |= {"sample": int(self.sample), "seed": int(self.seed)}
        return described


def _of_channels(channels: Sequence[int], variable: str, n_channels: int) -> NDArray[np.bool_]:
    """Return which channels of a variable are listed."""
    chosen = [operator.index(channel) for channel in channels]
    if not chosen or min(chosen) < 0 or max(chosen) >= n_channels:
        raise ValueError(
            f"channels must be from 0 to {n_channels - 1} for {variable}, got {list(channels)}; give each variable its "
            "own units"
        )
    return np.asarray(np.isin(np.arange(n_channels), chosen))


def _listed(numbers: NDArray[np.int64], variable: str, size: int) -> NDArray[np.bool_]:
    """Return which units of a variable are listed."""
    if len(numbers) and not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"numbers must be whole numbers for {variable}, got {numbers.dtype}; np.flatnonzero makes them"
        )
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= size:
        raise ValueError(
            f"numbers must be from 0 to {size - 1} for {variable}, at least one, got {numbers[:4].tolist()}"
            f"{' …' if len(numbers) > 4 else ''}; give each variable its own units"
        )
    return np.asarray(np.isin(np.arange(size), numbers))


def seen(subject: Subject, variable: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which places (y, x) of a subject's variable have a pixel of a mask (y, x) in their receptive field."""
    height, width = mask.shape
    return subject.fields(variable, (height, width)).pixels(mask) > 0
