"""Tuning curves as arrays: the von Mises curve with its derivatives, its limits, and the checks of what comes in."""

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
        Baseline, amplitude, log kappa and preferred orientation (degrees). The logarithm keeps the steps of the fit
        in proportion over the range of κ.
    """
    baseline, amplitude, kappa = parameters[:, :1], parameters[:, 1:2], np.exp(parameters[:, 2:3])
    angle = RADIANS_PER_DEGREE * (orientation - parameters[:, 3:])
    depth = kappa * (np.cos(angle) - 1)
    curve = np.exp(depth)
    jacobian = np.empty((len(parameters), 4, len(orientation)))
    jacobian[:, 0] = 1.0
    jacobian[:, 1] = curve
    scaled = amplitude * curve
    jacobian[:, 2] = scaled * depth
    jacobian[:, 3] = scaled * np.sin(angle) * (kappa * RADIANS_PER_DEGREE)
    return baseline + scaled, jacobian


def checked_orientation(orientation: npt.ArrayLike) -> FloatArray:
    """Return `orientation` as a float64 array (m,), or raise ValueError if no tuning curve can be fitted on it."""
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
    """Return `responses` as a float64 array (unit, m), or raise ValueError naming the argument.

    Parameters
    ----------
    name : str
        What the caller calls it.
    responses : array_like
    n_columns : int or None
        How many columns there must be; None for any number.
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


def require_same_units(attended: FloatArray, unattended: FloatArray) -> None:
    """Raise ValueError unless both arrays have the same number of rows."""
    if len(attended) != len(unattended):
        raise ValueError(
            f"attended and unattended must hold the same units, got {len(attended)} and {len(unattended)} rows; "
            "pair the states before comparing them"
        )


def is_constant(curves: FloatArray) -> BoolArray:
    """Return which rows of (unit, m) vary by no more than the rounding of their values."""
    if not curves.shape[1]:
        return np.ones(len(curves), dtype=bool)
    return np.asarray(np.ptp(curves, axis=1) <= 8 * np.finfo(np.float64).eps * np.abs(curves).max(axis=1))
