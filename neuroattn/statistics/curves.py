"""Tuning curves as arrays: the von Mises curve with its derivatives and bounds, and checks of arrays that come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuroattn.dims import PERIOD_DEGREES

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import BoolArray, FloatArray

# Below the minimum a curve cannot be told from a cosine, and baseline and amplitude trade off against each other.
KAPPA_MINIMUM = 0.1
# Full width 9.6 degrees: sampling every 9 degrees resolves nothing narrower.
KAPPA_MAXIMUM = 50.0
# A curve has four parameters, and the AICc of the largest nested model is defined from this many on.
MINIMUM_ORIENTATIONS = 6

RADIANS_PER_DEGREE = 2 * np.pi / PERIOD_DEGREES
# Bounds of (baseline, amplitude, log κ, preferred orientation).
LOWER = np.array([-np.inf, 0.0, np.log(KAPPA_MINIMUM), -np.inf])
UPPER = np.array([np.inf, np.inf, np.log(KAPPA_MAXIMUM), np.inf])


def curve_and_jacobian(orientation: FloatArray, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return von Mises curves (k, m) and their derivatives (k, 4, m).

    Parameters
    ----------
    orientation : ndarray (m,)
        Degrees.
    parameters : ndarray (k, 4)
        Baseline, amplitude, log κ and preferred orientation (degrees). The logarithm keeps the steps of a fit in
        proportion over the range of κ.

    Examples
    --------
    >>> curve, jacobian = curve_and_jacobian(np.array([0.0, 90.0]), np.array([[0.1, 2.0, 0.0, 0.0]]))
    >>> curve.round(3)
    array([[2.1  , 0.371]])
    >>> jacobian.shape
    (1, 4, 2)
    """
    baseline, amplitude, kappa = parameters[:, :1], parameters[:, 1:2], np.exp(parameters[:, 2:3])
    angle = RADIANS_PER_DEGREE * (orientation - parameters[:, 3:])
    depth = kappa * (np.cos(angle) - 1)
    curve = np.exp(depth)
    scaled = amplitude * curve
    by_preferred = scaled * np.sin(angle) * (kappa * RADIANS_PER_DEGREE)
    return baseline + scaled, np.stack([np.ones_like(curve), curve, scaled * depth, by_preferred], axis=1)


def checked_orientation(orientation: npt.ArrayLike) -> FloatArray:
    """Return orientations (m,) as float64, or raise ValueError if no tuning curve can be fitted on them.

    >>> checked_orientation([0, 90, 180])
    Traceback (most recent call last):
    ValueError: orientation must hold at least 6 values that differ modulo 180, got 2; record more orientations
    """
    angles = np.asarray(orientation, dtype=np.float64)
    if angles.ndim != 1:
        raise ValueError(f"orientation must have shape (m,), got {angles.shape}; pass one orientation a column")
    if not np.isfinite(angles).all():
        raise ValueError("orientation must be finite, got NaN or inf; give every column its orientation in degrees")
    # Rounded, so that 0 and 180 count once although the remainder of a computed 180 may not be exactly 0.
    distinct = len(np.unique(np.mod(np.round(angles, 6), PERIOD_DEGREES)))
    if distinct < MINIMUM_ORIENTATIONS:
        raise ValueError(
            f"orientation must hold at least {MINIMUM_ORIENTATIONS} values that differ modulo 180, got {distinct}; "
            "record more orientations"
        )
    return angles


def checked_responses(name: str, responses: npt.ArrayLike, n_columns: int | None) -> FloatArray:
    """Return `responses` (unit, m) as float64, or raise ValueError calling them `name`.

    There must be `n_columns` columns; None takes any number.

    >>> checked_responses("response", [[1, float("nan")], [2, 3]], 2)
    Traceback (most recent call last):
    ValueError: response must be finite, got NaN or inf in 1 of 2 units; drop and count these units first
    """
    curves = np.asarray(responses, dtype=np.float64)
    columns = "m" if n_columns is None else str(n_columns)
    if curves.ndim != 2 or (n_columns is not None and curves.shape[1] != n_columns):
        raise ValueError(
            f"{name} must have shape (unit, {columns}), got {curves.shape}; "
            "pass one row a unit and one column an orientation"
        )
    finite = np.isfinite(curves).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name} must be finite, got NaN or inf in {int((~finite).sum())} of {len(curves)} units; "
            "drop and count these units first"
        )
    return curves


def checked_states(
    attended: npt.ArrayLike, unattended: npt.ArrayLike, n_columns: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return both states (unit, m) as float64, or raise ValueError unless they are of the same units and columns.

    >>> checked_states([[1, 2]], [[1, 2], [3, 4]])
    Traceback (most recent call last):
    ValueError: attended and unattended must hold the same units, got 1 and 2 rows; pair the states ...
    """
    second = checked_responses("unattended", unattended, n_columns)
    first = checked_responses("attended", attended, second.shape[1])
    if len(first) != len(second):
        raise ValueError(
            f"attended and unattended must hold the same units, got {len(first)} and {len(second)} rows; "
            "pair the states before comparing them"
        )
    return first, second


def checked_row(values: npt.ArrayLike) -> FloatArray:
    """Return `values` (n,) as float64, or raise ValueError unless they are one row of finite numbers.

    >>> checked_row([1, float("inf"), 3])
    Traceback (most recent call last):
    ValueError: values must be one row of finite numbers, got shape (3,) with 1 not finite; drop and count these first
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not np.isfinite(data).all():
        raise ValueError(
            f"values must be one row of finite numbers, got shape {data.shape} with {int((~np.isfinite(data)).sum())} "
            "not finite; drop and count these first"
        )
    return data


def is_constant(curves: FloatArray) -> BoolArray:
    """Return which rows of (unit, m) vary by no more than the rounding of their values.

    >>> is_constant(np.array([[0.1, 0.1 + 2e-17], [0.1, 0.2]]))
    array([ True, False])
    """
    if not curves.shape[1]:
        return np.ones(len(curves), dtype=bool)
    return np.asarray(np.ptp(curves, axis=1) <= 8 * np.finfo(np.float64).eps * np.abs(curves).max(axis=1))
