"""Anti-aliased bars, alone and beside a digit, to measure tuning to orientation with.

The bars, widths and places follow Lei, Benjamin & Kording (2021), Object Based Attention Through Internal Gating,
arXiv:2106.04540. There the places were cut to whole pixels, so that many pictures coincided; here all differ.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from neuroattn.dims import PERIOD_DEGREES
from neuroattn.stimuli.digits import SHIFT
from neuroattn.stimuli.mnist import N_CLASSES, SIDE

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from neuroattn.stimuli.stimulus_set import StimulusSet

    Floats: TypeAlias = NDArray[np.float64]

_WIDTH = SIDE + SHIFT
_CHUNK = 256  # bars at once: the temporaries stay in the cache
# Along a row or a column of pixels, one side of a pixel's projection has no width. A sliver keeps the one formula for
# all orientations. It blurs by sliver²/24, and rounding errors grow as 1/sliver: each profile has its own best value.
_SLIVER_ACROSS = 1e-4
_SLIVER_ALONG = 1e-6
_DARKEST_GREY = 1 / 255


def bars(
    orientation: NDArray[Any],
    sigma: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    height: int = SIDE,
    width: int = _WIDTH,
    length: float = 20.0,
) -> NDArray[np.float32]:
    """Draw one bar a picture.

    With d the distance from the bar's axis and a the distance from its centre along the axis, the luminance is::

        exp(−d² / 2σ²) · [|a| < length / 2]

    averaged over the area of each pixel. A square pixel seen along a direction is a trapezoid (a box as wide as the
    size of cos θ convolved with one as wide as that of sin θ); both factors are averaged over their trapezoid in closed
    form, and multiplied.
    The product is exact at 0° and 90°, and everywhere but within a pixel of the bar's two ends; there it is up to 0.02
    off at oblique orientations. The error of rounding is below 1e-7 for σ ≥ 0.1.

    Parameters
    ----------
    orientation
        (bar,) degrees; 0 is horizontal, and it increases counter-clockwise as seen on the screen. The period is 180.
    sigma
        (bar,) standard deviation of the luminance across the bar, in pixels, above 0.
    x, y
        (bar,) centre in pixels. Pixel (row i, column j) is centred on x = j, y = i: x points right, y points down.
    height, width
        Size of the picture in pixels.
    length
        Length of the bar in pixels, above 0.

    Returns
    -------
    images
        (bar, 1, height, width) float32 in [0, 1]. What lies outside the picture is cut off.

    Raises
    ------
    ValueError
        If the four arrays are not one-dimensional, of one length and finite, or a size is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> bars(np.array([0.0]), np.array([0.5]), np.array([2.0]), np.array([1.0]), height=3, width=5, length=3.0).round(2)
    array([[[[0.  , 0.2 , 0.2 , 0.2 , 0.  ],
             [0.  , 0.86, 0.86, 0.86, 0.  ],
             [0.  , 0.2 , 0.2 , 0.2 , 0.  ]]]], dtype=float32)
    """
    given = _checked({"orientation": orientation, "sigma": sigma, "x": x, "y": y})
    for name, size in {"height": height, "width": width, "length": length}.items():
        if not size > 0:
            raise ValueError(f"{name} must be above 0 pixels, got {size}")
    images = np.empty((len(given), 1, height, width), dtype=np.float32)
    for start in range(0, len(given), _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part, 0] = _draw(given[part], height, width, length)
    return images


def bars_of(grid: pd.DataFrame, **size: Any) -> NDArray[np.float32]:
    """Draw the bars of a grid as `bars` does, and nothing in rows whose width is 0.

    >>> grid = tuning_grid(2, 1, 1, 1).assign(width=[1.0, 0.0])
    >>> bars_of(grid).any(axis=(1, 2, 3))
    array([ True, False])
    """
    shown = grid["width"].to_numpy() > 0
    drawn = bars(*(grid.loc[shown, name].to_numpy() for name in ("orientation", "width", "x", "y")), **size)
    if shown.all():
        return drawn
    images = np.zeros((len(grid), *drawn.shape[1:]), np.float32)
    images[shown] = drawn
    return images


def tuning_grid(
    n_orientations: int = 20,
    n_widths: int = 6,
    n_x: int = 11,
    n_y: int = 11,
    *,
    width: tuple[float, float] = (0.5, 2.0),
    x: tuple[float, float] = (6.0, 11.0),
    y: tuple[float, float] = (4.0, 24.0),
) -> pd.DataFrame:
    """List every combination of orientation, width and place; by default the paper's.

    Orientations are equally spaced from 0° and leave 180° out, because that is 0° again; widths and places are equally
    spaced from the lower to the upper end, both included.

    Returns
    -------
    grid
        One row a bar, ordered by orientation, then width, x and y. Columns: ``orientation`` (degrees), ``width`` (σ in
        pixels), ``x`` and ``y`` (centre in pixels), and ``half``, 0 or 1: a checkerboard over width, x and y, so that
        each half covers the whole space. Units are selected on one half and measured on the other.

    Raises
    ------
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> tuning_grid(2, 2, 1, 1)
       orientation  width    x    y  half
    0          0.0    0.5  6.0  4.0     0
    1          0.0    2.0  6.0  4.0     1
    2         90.0    0.5  6.0  4.0     0
    3         90.0    2.0  6.0  4.0     1
    """
    import pandas as pd

    numbers = {"n_orientations": n_orientations, "n_widths": n_widths, "n_x": n_x, "n_y": n_y}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    orientation_at, *other = (index.ravel() for index in np.indices(tuple(numbers.values())))
    width_at, x_at, y_at = other
    return pd.DataFrame(
        {
            "orientation": orientation_at * (PERIOD_DEGREES / n_orientations),
            "width": np.linspace(*width, n_widths)[width_at],
            "x": np.linspace(*x, n_x)[x_at],
            "y": np.linspace(*y, n_y)[y_at],
            "half": (width_at + x_at + y_at) % 2,
        }
    )


def bar_and_digit(
    grid: pd.DataFrame,
    digit_image: NDArray[np.uint8],
    label: int,
    *,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> StimulusSet:
    """Put each bar of `grid` on the left of one digit, as digits stand in composites of two.

    Parameters
    ----------
    grid
        One row a picture, with the columns ``orientation``, ``width``, ``x`` and ``y`` of `tuning_grid`. A width of 0
        leaves the bar out.
    digit_image
        (28, 28) uint8; it fills the columns 14–41 of the picture.
    label
        Class of the digit, 0–9.
    noise
        Upper end of the uniform noise that is added to the background, in [0, 1]. Background is what an 8-bit picture
        would show as black: the flanks of a bar fade, but never end.
    generator
        A generator on the CPU; needed if `noise` is above 0.

    Returns
    -------
    stimuli
        Images (bar, 1, 28, 42). Object 0 is the bar, object 1 the digit. The table is `grid` with ``location_0``,
        ``location_1`` and ``distractor_label``; it has no ``label_k``, because a bar has no class.

    Raises
    ------
    ValueError
        If a column is missing, the digit is not (28, 28) uint8, or another argument lies outside its range.

    Examples
    --------
    >>> from neuroattn.stimuli.mnist import embedded
    >>> bar_and_digit(tuning_grid(4, 1, 1, 1), embedded().images[0], label=0)
    <StimulusSet: 4 stimuli of 1 × 28 × 42, 2 objects each; stimulus_id orientation width x y half location_0 …>
    """
    from neuroattn.stimuli.stimulus_set import StimulusSet

    _check_scene(grid, digit_image, label, noise, generator)
    objects = np.zeros((len(grid), 2, 1, SIDE, _WIDTH), dtype=np.float32)
    objects[:, 0] = bars_of(grid)
    objects[:, 1, 0, :, SHIFT:] = digit_image.astype(np.float32) / 255
    images = objects.sum(axis=1)
    if generator is not None and noise > 0:
        import torch

        added = torch.rand(images.shape, generator=generator).mul_(noise).numpy()
        np.add(images, added, out=images, where=images < _DARKEST_GREY / 2)
    np.minimum(images, 1, out=images)
    table = grid.assign(location_0=0, location_1=1, distractor_label=int(label))
    return StimulusSet(images, objects, table)


def _checked(given: dict[str, NDArray[Any]]) -> Floats:
    """Return (bar, parameter)."""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or arrays["x"].ndim != 1 or arrays["x"].size == 0:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"orientation, sigma, x and y must be one-dimensional and equally long, got {listed}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    if arrays["sigma"].min() <= 0:
        raise ValueError(f"sigma must be above 0 pixels, got {arrays['sigma'].min():g}")
    return np.stack(list(arrays.values()), axis=1)


def _check_scene(
    grid: pd.DataFrame, digit_image: NDArray[np.uint8], label: int, noise: float, generator: torch.Generator | None
) -> None:
    missing = [name for name in ("orientation", "width", "x", "y") if name not in grid]
    if missing:
        raise ValueError(f"grid must have the columns orientation, width, x and y, got no {', '.join(missing)}")
    if digit_image.shape != (SIDE, SIDE) or digit_image.dtype != np.uint8:
        raise ValueError(f"digit_image must be (28, 28) uint8, got {digit_image.shape} {digit_image.dtype}")
    if not 0 <= operator.index(label) < N_CLASSES:
        raise ValueError(f"label must be in 0–9, got {label}")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must be in [0, 1], got {noise}")
    if noise > 0 and generator is None:
        raise ValueError(f"generator must be given for noise {noise}; pass torch.Generator().manual_seed(seed)")


def _draw(given: Floats, height: int, width: int, length: float) -> Floats:
    """Return (bar, y, x)."""
    orientation, sigma, x, y = (column[:, None, None] for column in given.T)
    # Reduced to one period first: 180° then is 0° to the last bit.
    angle = np.deg2rad(np.mod(orientation, PERIOD_DEGREES))
    cos, sin = np.cos(angle), np.sin(angle)
    right = np.arange(width)[None, None, :] - x
    up = y - np.arange(height)[None, :, None]  # rows count downwards, angles upwards
    along, across = right * cos + up * sin, up * cos - right * sin
    return _gaussian_average(across, sigma, np.abs(cos), np.abs(sin)) * _box_average(
        along, length, np.abs(cos), np.abs(sin)
    )


def _gaussian_average(d: Floats, sigma: Floats, p: Floats, q: Floats) -> Floats:
    """Average exp(−d²/2σ²) over a trapezoid around d, the convolution of boxes of the widths p and q.

    It is the second difference of the second antiderivative,
    ``d·σ·√(π/2)·erf(d / σ√2) + σ²·exp(−d²/2σ²)``, over p·q.
    """
    from scipy.special import erf

    def antiderivative(d: Floats) -> Floats:
        t = d / (np.sqrt(2) * sigma)
        return np.asarray(np.sqrt(np.pi / 2) * sigma * d * erf(t) + sigma**2 * np.exp(-(t**2)))

    p, q = np.maximum(p, _SLIVER_ACROSS), np.maximum(q, _SLIVER_ACROSS)
    outer, inner = (p + q) / 2, (p - q) / 2
    second_difference = (
        antiderivative(d + outer) - antiderivative(d + inner) - antiderivative(d - inner) + antiderivative(d - outer)
    )
    # Far from the bar only rounding errors are left, of either sign.
    return np.clip(second_difference / (p * q), 0, 1)


def _box_average(a: Floats, length: float, p: Floats, q: Floats) -> Floats:
    """Average [|a| < length / 2] over the same trapezoid around a: a difference of its cumulative distribution."""
    p, q = np.maximum(p, _SLIVER_ALONG), np.maximum(q, _SLIVER_ALONG)
    outer, inner = (p + q) / 2, np.abs(p - q) / 2

    def cumulative(t: Floats) -> Floats:
        t = np.clip(t, -outer, outer)
        ramps = (t + outer) ** 2 - np.maximum(t + inner, 0) ** 2 - np.maximum(t - inner, 0) ** 2
        return np.asarray(ramps / (2 * p * q))

    return np.clip(cumulative(a + length / 2) - cumulative(a - length / 2), 0, 1)
