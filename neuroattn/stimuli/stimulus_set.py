"""A set of stimuli: the pictures, the objects that they are made of, and one table row a stimulus."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from neuroattn.dims import STIMULUS_ID
from neuroattn.runs.plain_text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

Index: TypeAlias = "int | slice | Sequence[int] | NDArray[Any]"

_AXES = {
    "images": ("stimulus", "channel", "y", "x"),
    "objects": ("stimulus", "object", "channel", "y", "x"),
}
_MOST_NAMES = 7  # of columns in a repr


@dataclass(frozen=True, eq=False, init=False, repr=False)
class StimulusSet:
    """Pictures with the objects that they are made of and a table that says what they are.

    The table may have any columns. A recorder understands these, for object k = 0, 1, … along the object axis:

    - ``stimulus_id``: unique; 0 … n − 1 is put first where the table has none.
    - ``label_{k}``: class of object k.
    - ``location_{k}``: place of object k counted from the left; 0 is the leftmost.

    Parameters
    ----------
    images
        (stimulus, channel, y, x) luminance in [0, 1], floating point, an array or a tensor; kept as float32.
        A float32 array is not copied.
    objects
        (stimulus, object, channel, y, x), each object alone on black, in [0, 1]; or None, when nothing can be said
        about which object is attended.
    table
        One row a stimulus, in the order of `images`; or None, for a table of ids alone. It is copied, and its index is
        replaced by 0 … n − 1.
    notes
        What whoever reads results on these stimuli must know, such as what was left out; no part of their identity.

    Raises
    ------
    ValueError
        If the set is empty, a value is not finite or outside [0, 1], a dtype is not floating point, shapes or lengths
        do not match, a column name occurs twice, or stimulus ids are missing or repeated.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> images = np.random.default_rng(0).random((3, 1, 28, 42))
    >>> stimuli = StimulusSet(images, table=pd.DataFrame({"label_0": [7, 2, 7], "width": [0.5, 1.0, 1.5]}))
    >>> stimuli
    <StimulusSet: 3 stimuli of 1 × 28 × 42, 2 classes; stimulus_id label_0 width>
    >>> stimuli[stimuli.table["label_0"] == 7].table
       stimulus_id  label_0  width
    0            0        7    0.5
    1            2        7    1.5
    """

    images: NDArray[np.float32]
    objects: NDArray[np.float32] | None
    table: pd.DataFrame
    notes: tuple[str, ...]

    def __init__(
        self,
        images: NDArray[Any] | Tensor,
        objects: NDArray[Any] | Tensor | None = None,
        table: pd.DataFrame | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        checked = _pictures("images", images)
        parts = None if objects is None else _objects(objects, checked)
        object.__setattr__(self, "images", checked)
        object.__setattr__(self, "objects", parts)
        object.__setattr__(self, "table", _table(table, len(checked)))
        object.__setattr__(self, "notes", notes)

    def __len__(self) -> int:
        """Count the stimuli."""
        return len(self.images)

    def __repr__(self) -> str:
        """Return a line with sizes, numbers, and names of columns."""
        number, size = len(self), " × ".join(map(str, self.images.shape[1:]))
        counts = [] if self.n_objects is None else [f"{self.n_objects} objects each"]
        labels = self.table.filter(regex=r"^label_\d+$")
        counts += [f"{pd.unique(labels.to_numpy().ravel()).size} classes"] * (labels.size > 0)
        names = [shown(name).strip("'") for name in self.table.columns[:_MOST_NAMES]]
        more = ["…"] * (self.table.shape[1] > _MOST_NAMES)
        return f"<StimulusSet: {', '.join([f'{number} stimuli of {size}', *counts])}; {' '.join([*names, *more])}>"

    def __getitem__(self, index: Index) -> StimulusSet:
        """Return ``self.select(index)``."""
        return self.select(index)

    @property
    def size(self) -> tuple[int, int, int]:
        """(channel, y, x) of the pictures."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def n_objects(self) -> int | None:
        """Number of objects of every stimulus; None where the objects are not known."""
        return None if self.objects is None else self.objects.shape[1]

    def select(self, index: Index) -> StimulusSet:
        """Return the stimuli at `index` with their objects and rows; ids stay as they are.

        Parameters
        ----------
        index
            A position (the result holds that one stimulus), a slice, an array of positions, or a mask.

        Raises
        ------
        IndexError
            If a position lies outside the set.
        ValueError
            If nothing is selected.
        """
        positions = np.atleast_1d(np.arange(len(self))[index])
        if len(positions) == 0:
            raise ValueError("index must select at least one stimulus, got none; check the condition it was made from")
        kept: Any = index if isinstance(index, slice) else positions
        objects = None if self.objects is None else self.objects[kept]
        return StimulusSet(self.images[kept], objects, self.table.iloc[positions], self.notes)

    def identity(self) -> str:
        """Return the SHA-256, in hex, of the images, the objects and the table.

        It is the same in every process and for every memory layout. The order of the columns does not count; the order
        of the stimuli does.
        """
        digest = hashlib.sha256()
        _add_array(digest, "images", self.images)
        if self.objects is not None:
            _add_array(digest, "objects", self.objects)
        for name in sorted(map(str, self.table.columns)):
            _add_column(digest, name, self.table[name])
        return digest.hexdigest()


def _pictures(name: str, given: NDArray[Any] | Tensor) -> NDArray[np.float32]:
    """Return `given` as float32 once its axes, dtype and values are what they must be."""
    axes = _AXES[name]
    array = _as_array(given)
    if array.ndim != len(axes):
        raise ValueError(f"{name} must have the axes ({', '.join(axes)}), got shape {array.shape}; add or drop an axis")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name} must be floating point in [0, 1], got {array.dtype}; divide 8-bit pictures by 255 first"
        )
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one stimulus and one pixel, got shape {array.shape}")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {np.sum(~finite)} of {len(array)} stimuli, "
            f"first in stimulus {np.argmin(finite)}; repair or drop them"
        )
    if low < 0 or high > 1:
        raise ValueError(f"{name} must be in [0, 1], got values from {low:g} to {high:g}; rescale them")
    return np.asarray(array, dtype=np.float32)


def _as_array(given: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Return an array; a tensor is known by its methods, so that torch need not be imported to ask."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "detach"):
        tensor = given.detach().cpu()
        return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())
    return np.asarray(given)


def _objects(given: NDArray[Any] | Tensor, images: NDArray[np.float32]) -> NDArray[np.float32]:
    objects = _pictures("objects", given)
    n, *picture = images.shape
    if (n, *picture) != (objects.shape[0], *objects.shape[2:]):
        needed = ", ".join(map(str, (n, "object", *picture)))
        raise ValueError(
            f"objects must have the shape ({needed}) to match the images, got {objects.shape}; draw objects and images "
            "on the same canvas"
        )
    return objects


def _table(given: pd.DataFrame | None, n: int) -> pd.DataFrame:
    if given is None:
        return pd.DataFrame({STIMULUS_ID: np.arange(n)})
    if len(given) != n:
        raise ValueError(f"table must have one row a stimulus, got {len(given)} rows for {n} stimuli")
    table = given.reset_index(drop=given.index.name != STIMULUS_ID)
    if not table.columns.is_unique:
        repeated = table.columns[table.columns.duplicated()][0]
        raise ValueError(f"table must have different column names, got {repeated!r} twice; rename one")
    if STIMULUS_ID not in table:
        table.insert(0, STIMULUS_ID, np.arange(n))
    ids = table[STIMULUS_ID]
    if ids.isna().any():
        raise ValueError(f"{STIMULUS_ID} must be known for every stimulus, got none in row {ids.isna().argmax()}")
    if not ids.is_unique:
        raise ValueError(
            f"{STIMULUS_ID} must be unique, got {ids[ids.duplicated()].iloc[0]} more than once; "
            f"renumber the rows or drop the column"
        )
    return table


def _add_array(digest: hashlib._Hash, name: str, array: NDArray[Any]) -> None:
    # Name, dtype and shape go in first, so that equal bytes under another meaning give another identity.
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest.update(f"{name}:{plain.dtype.kind}{plain.dtype.itemsize}:{plain.shape};".encode())
    digest.update(plain.reshape(-1).view(np.uint8).data)


def _add_column(digest: hashlib._Hash, name: str, column: pd.Series[Any]) -> None:
    # Integers and floats of any width count by value; everything else by its text, whatever pandas stores it as.
    if column.dtype.kind in "iu" and not column.hasnans:
        _add_array(digest, name, column.to_numpy(dtype=np.int64))
    elif column.dtype.kind == "f":
        _add_array(digest, name, column.to_numpy(dtype=np.float64))
    else:
        texts = ["" if missing else f"={value}" for value, missing in zip(column, column.isna(), strict=True)]
        digest.update(f"{name}:text:{len(texts)};".encode())
        for text in texts:
            digest.update(f"{len(text)}:{text}".encode())
