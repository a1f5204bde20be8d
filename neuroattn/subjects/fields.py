"""Receptive fields: which pixels of the picture move a unit, bottom up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Operations that move no value from place to place, as autograd names them.
_PLACE_BY_PLACE = frozenset({
    "Abs", "Add", "Alias", "Clamp", "ClampMax", "ClampMin", "Clone", "Copy", "CudnnBatchNorm", "Div", "Elu", "Exp",
    "Gelu", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "Log", "Maximum", "Minimum", "Mul", "NativeBatchNorm",
    "NativeDropout", "Neg", "Pow", "Relu", "Sigmoid", "Silu", "Softplus", "Sqrt", "Square", "Sub", "Tanh", "Threshold",
    "ToCopy",
})  # fmt: skip
# What of pooling and convolutions autograd keeps, as it names them.
_WINDOWS = {
    "Convolution": ("weight", "stride", "padding", "dilation"),
    "MaxPool2DWithIndices": ("kernel_size", "stride", "padding", "dilation"),
    "AvgPool2D": ("kernel_size", "stride", "padding"),
}
_PICTURES = 8  # in whose gradients a field is looked for, where geometry does not tell it


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The receptive fields of a variable's places: boxes of pixels, within the picture.

    Attributes
    ----------
    top, bottom, left, right
        (y, x) of the variable's map: rows `top` to `bottom` − 1 and columns `left` to `right` − 1 of the picture. An
        empty box belongs to a place that no pixel moves.
    """

    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def pixels(self, masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many pixels of masks (..., y, x) each place has in its field, (..., y, x) of the map."""
        # Sums over boxes are differences of the sums over all pixels above and to the left.
        edges = [(0, 0)] * (masks.ndim - 2) + [(1, 0), (1, 0)]
        above = np.pad(masks.astype(np.int64), edges).cumsum(-2).cumsum(-1)
        (t, b), (le, r) = (self.top, self.bottom), (self.left, self.right)
        return np.asarray(above[..., b, r] - above[..., t, r] - above[..., b, le] + above[..., t, le])


def squares(spacing: int, side: int, shape: tuple[int, int]) -> Fields:
    """Return fields of which that of (y, x) is the square of `side` pixels from (y, x) · `spacing` on."""
    return _of_axes((spacing, 0, side), (spacing, 0, side), shape, None)


def own_object(pixels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return which object each place sees alone in each picture, −1 where there is none.

    Parameters
    ----------
    pixels
        (picture, object, y, x) how many of an object's pixels lie in the field of a place (`Fields.pixels`).
    share
        Fraction, above one half, of all objects' pixels in a field that the own object must have: with 1 it is the only
        one.

    Returns
    -------
    numpy.ndarray
        (picture, y, x).

    Examples
    --------
    >>> import numpy as np
    >>> own_object(np.array([[[[9, 8, 0]], [[0, 2, 0]]]]), share=0.9)
    array([[[ 0, -1, -1]]])
    """
    most = pixels.max(1)
    return np.where((most > 0) & (most >= share * pixels.sum(1)), pixels.argmax(1), -1)


def fields_of(image: torch.Tensor, value: torch.Tensor) -> Fields:
    """Return the receptive fields of a map that was computed from pictures.

    Convolutions, pooling and what works place by place tell them by geometry, whichever paths lead from the pictures to
    the map. Where anything else lies on a path, the field of a place is the box of all pixels that its gradient reaches
    in any of the pictures and channels: rectifiers and maxima hide pixels, and so there should be several pictures.

    Parameters
    ----------
    image
        (batch, channel, y, x), which autograd tracks.
    value
        (batch, channel, y, x), computed from it.

    Raises
    ------
    ValueError
        If autograd knows of no path from the pictures to the value.
    """
    if value.grad_fn is None:
        raise ValueError(
            "receptive fields must be found along gradients, got a value that has none; leave torch.no_grad out"
        )
    shape, size = (int(value.shape[-2]), int(value.shape[-1])), (int(image.shape[-2]), int(image.shape[-1]))
    order = _towards(value.grad_fn, image)
    if not order:
        raise ValueError("receptive fields must be of a map that depends on the pictures, got one that does not")
    axes = _geometry(image, order)
    return _by_gradient(image, value) if axes is None else _of_axes(*axes, shape, size)


def random_pictures(size: tuple[int, int, int]) -> torch.Tensor:
    """Return pictures (batch, channel, y, x) of a size in which receptive fields are looked for."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(_PICTURES, *size, generator=generator)


class _Axis(NamedTuple):
    """Along one axis, place i sees pixels `spacing`·i + `first` to `spacing`·i + `end` − 1."""

    spacing: int
    first: int
    end: int

    def through(self, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
        """Return what is seen of the input of a layer whose output is seen so."""
        first = stride * self.first - padding
        return _Axis(stride * self.spacing, first, stride * (self.end - 1) - padding + dilation * (kernel - 1) + 1)


def _of_axes(
    y: tuple[int, int, int], x: tuple[int, int, int], shape: tuple[int, int], size: tuple[int, int] | None
) -> Fields:
    edges = []
    for axis, (spacing, first, end) in enumerate((y, x)):
        for offset in (first, end):
            line = np.arange(shape[axis]) * spacing + offset
            line = line if size is None else line.clip(0, size[axis])
            edges.append(np.broadcast_to(line[:, None] if axis == 0 else line[None], shape))
    return Fields(top=edges[0], bottom=edges[1], left=edges[2], right=edges[3])


def _geometry(image: torch.Tensor, order: dict[Any, None]) -> tuple[_Axis, _Axis] | None:
    """Return what the places of a map see along y and x; None where an operation's geometry is not known."""
    seen = {next(iter(order)): (_Axis(1, 0, 1), _Axis(1, 0, 1))}
    for node in order:
        if getattr(node, "variable", None) is image:
            return seen[node]
        edges = [edge for edge in node.next_functions if edge[0] in order]
        below = _below(node, seen[node], edges)
        if below is None:
            return None
        for following, _ in edges:
            y, x = (_hull(old, new) for old, new in zip(seen.get(following, below), below, strict=True))
            if y is None or x is None:
                return None
            seen[following] = y, x
    return None


def _towards(last: Any, image: torch.Tensor) -> dict[Any, None]:
    """Return the operations that lead from pictures to a value, each before those that its inputs come from."""
    leads: dict[Any, bool] = {}
    done: list[Any] = []
    stack = [(last, False)]
    while stack:
        node, seen = stack.pop()
        inputs = [following for following, _ in node.next_functions if following is not None]
        if seen:
            leads[node] = getattr(node, "variable", None) is image or any(leads[one] for one in inputs)
            done.append(node)
        elif node not in leads:
            leads[node] = False
            stack.append((node, True))
            stack += [(following, False) for following in inputs if following not in leads]
    return {node: None for node in reversed(done) if leads[node]}


def _below(node: Any, seen: tuple[_Axis, _Axis], edges: list[tuple[Any, int]]) -> tuple[_Axis, _Axis] | None:
    """Return what is seen of an operation's inputs; None where its geometry is not known."""
    name = re.sub(r"Backward\d*$", "", node.name())
    if name == "NativeBatchNorm" and _saved(node, "training"):
        return None  # by means over all places
    if name in _PLACE_BY_PLACE or (name == "Cat" and _saved(node, "dim") == 1):
        # What is broadcast over places is of other places.
        size = _place_size(node, 0)
        return seen if all(_place_size(*edge) == size for edge in edges) else None
    weights_depend_on_it = len(edges) > 1 or edges[0][0] is not node.next_functions[0][0]
    if name not in _WINDOWS or weights_depend_on_it or (name == "Convolution" and _saved(node, "transposed")):
        return None
    first, *others = (_saved(node, what) for what in _WINDOWS[name])
    kernel = _of_both(first.shape[2:] if name == "Convolution" else first)
    stride, padding, dilation = (_of_both(values) for values in (*others, (1,))[:3])
    windows = zip(seen, kernel, stride or kernel, padding, dilation, strict=True)
    y, x = (axis.through(*window) for axis, *window in windows)
    return y, x


def _saved(node: Any, what: str) -> Any:
    """Return what autograd keeps of an operation."""
    return getattr(node, f"_saved_{what}")


def _of_both(values: Sequence[int]) -> tuple[int, ...]:
    return (values[0], values[0]) if len(values) == 1 else tuple(values)


def _place_size(node: Any, output: int) -> tuple[int, ...]:
    """Return (y, x) of what an operation put out."""
    if hasattr(node, "variable"):
        return tuple(node.variable.shape[-2:])
    return tuple(node._input_metadata[output].shape[-2:])  # noqa: SLF001 -- torch has no public name for it


def _hull(one: _Axis, other: _Axis) -> _Axis | None:
    """Return what is seen along either of two paths; None where they differ in spacing."""
    if one.spacing != other.spacing:
        return None
    return _Axis(one.spacing, min(one.first, other.first), max(one.end, other.end))


def _by_gradient(image: torch.Tensor, value: torch.Tensor) -> Fields:
    """Return the boxes of the pixels that the gradient of each place reaches."""
    shape = value.shape[-2:]
    boxes = np.zeros((4, *shape), np.int64)
    for y, x in np.ndindex(*shape):
        place = value[..., y, x].sum()
        (gradient,) = torch.autograd.grad(place, image, retain_graph=True)
        reached = (gradient != 0).flatten(0, 1).any(0).cpu()
        rows, columns = (torch.nonzero(reached.any(axis)).ravel().tolist() for axis in (1, 0))
        if rows:
            boxes[:, y, x] = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Fields(top=boxes[0], bottom=boxes[1], left=boxes[2], right=boxes[3])
