"""Levenberg–Marquardt for many small independent least-squares problems at once.

scipy's `least_squares` and `curve_fit` solve one problem per call. A layer has tens of thousands of units with a few
parameters each, so the time would go into calls; here every step is one array operation over all units yet to converge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Model: TypeAlias = Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]

# Residuals this far below the data are rounding: a noise-free problem must stop there, since no relative test can.
RELATIVE_ROUNDING = 1e-13
SMALLEST_DAMPING = 1e-9
STEP_TOLERANCE = 1e-11


@dataclass(frozen=True, kw_only=True)
class LeastSquaresFit:
    """Solutions of a batch of least-squares problems.

    Attributes
    ----------
    parameters : ndarray (unit, parameter)
    rss : ndarray (unit,)
        Residual sum of squares at `parameters`.
    converged : ndarray of bool (unit,)
        False where the iteration limit came first; the parameters are then the best ones met.
    """

    parameters: FloatArray
    rss: FloatArray
    converged: BoolArray


@dataclass(kw_only=True)
class _Active:
    """Problems that have not converged, one per row."""

    index: IntArray
    parameters: FloatArray
    residual: FloatArray
    jacobian: FloatArray
    rss: FloatArray
    damping: FloatArray

    def keep(self, mask: BoolArray) -> None:
        if not mask.all():
            for name, array in vars(self).items():
                setattr(self, name, array[mask])


def _damped_step(active: _Active, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the step, gradient and normal matrix of the parameters that may move.

    A parameter that rests on a bound and is pushed outwards is held, or its column would spoil the step of the others.
    """
    transposed = active.jacobian.transpose(0, 2, 1)
    normal = active.jacobian @ transposed
    gradient = (active.jacobian @ active.residual[:, :, None])[:, :, 0]
    held = ((active.parameters <= lower) & (gradient < 0)) | ((active.parameters >= upper) & (gradient > 0))
    gradient = np.where(held, 0.0, gradient)
    normal = np.where(held[:, :, None] | held[:, None, :], 0.0, normal)
    diagonal: FloatArray = np.diagonal(normal, axis1=1, axis2=2)
    largest = diagonal.max(axis=1, keepdims=True)
    # A column of zeros (the shape of a curve of amplitude 0, or a held parameter) would make the system singular.
    scale = np.maximum(diagonal, np.where(largest > 0, 1e-12 * largest, 1.0))
    damped = normal.copy()
    entries = np.arange(normal.shape[1])
    damped[:, entries, entries] += active.damping[:, None] * scale
    step = np.asarray(np.linalg.solve(damped, gradient[:, :, None])[:, :, 0], dtype=np.float64)
    return step, gradient, normal


def _iterate(
    model: Model, observed: FloatArray, active: _Active, lower: FloatArray, upper: FloatArray, tolerance: float
) -> BoolArray:
    """Make one step of every active problem, in place, and return which of them are finished."""
    step, gradient, normal = _damped_step(active, lower, upper)
    trial = np.clip(active.parameters + step, lower, upper)
    step = trial - active.parameters
    predicted = 2 * (step * gradient).sum(axis=1) - ((normal @ step[:, :, None])[:, :, 0] * step).sum(axis=1)
    prediction, jacobian = model(trial, active.index)
    residual = observed[active.index] - prediction
    rss = np.square(residual).sum(axis=1)
    decrease = active.rss - rss
    small_gain = (np.abs(decrease) <= tolerance * active.rss) & (predicted <= tolerance * active.rss)
    small_step = (np.abs(step) <= STEP_TOLERANCE * (np.abs(active.parameters) + STEP_TOLERANCE)).all(axis=1)

    better = decrease > 0
    active.parameters[better] = trial[better]
    active.residual[better] = residual[better]
    active.jacobian[better] = jacobian[better]
    active.rss[better] = rss[better]
    # With large residuals full steps overshoot from side to side, each a little better: damp those like failed ones.
    # After clipping the prediction can be negative, so its share says nothing about a step that failed.
    poor = ~better | (decrease < 0.25 * predicted)
    factor = np.where(poor, 5.0, np.where(decrease > 0.75 * predicted, 0.1, 1.0))
    active.damping = np.maximum(active.damping * factor, SMALLEST_DAMPING)
    return np.asarray(small_gain | small_step)


def fit_batch(
    model: Model,
    observed: FloatArray,
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    *,
    tolerance: float = 1e-11,
    max_iterations: int = 300,
) -> LeastSquaresFit:
    """Minimise ``sum((observed - prediction)**2)`` of every unit by itself, within box bounds.

    Each step solves ``(JᵀJ + λ diag(JᵀJ)) step = Jᵀ residual`` (Marquardt's scaling, so that the units of parameters do
    not matter), is clipped to the bounds, and is taken only if it lowers the sum; λ falls after a good step and rises
    after a bad one. The solution is never worse than the start, which nested models rely on. It is a local minimum.

    Parameters
    ----------
    model : callable
        ``model(parameters (k, p), index (k,)) -> (prediction (k, m), jacobian (k, p, m))``; `index` says which units
        the k rows are, and the Jacobian is the derivative of the prediction, one row per parameter.
    observed : ndarray (unit, m)
    start : ndarray (unit, p)
        Clipped to the bounds.
    lower, upper : ndarray (p,)
        Bounds shared by the units; ±inf where there is none.
    tolerance : float
        A unit is finished when both the actual and the predicted decrease are below this part of its sum.
    max_iterations : int

    Raises
    ------
    ValueError
        If the first axes of `observed` and `start` differ, or the bounds do not have one entry per parameter.

    References
    ----------
    Marquardt 1963, J. Soc. Indust. Appl. Math. 11:431; Moré 1978, Lecture Notes in Mathematics 630:105.

    Examples
    --------
    >>> time = np.array([0.0, 1.0, 2.0, 3.0])
    >>> def decay(parameters, index):
    ...     curve = np.exp(-parameters[:, 1:] * time)
    ...     return parameters[:, :1] * curve, np.stack([curve, -parameters[:, :1] * time * curve], axis=1)
    >>> observed = np.array([2 * np.exp(-0.5 * time), 3 * np.exp(-time)])
    >>> fit = fit_batch(decay, observed, np.ones((2, 2)), np.zeros(2), np.full(2, np.inf))
    >>> fit.parameters.round(3)
    array([[2. , 0.5],
           [3. , 1. ]])
    """
    _require_shapes(observed, start, lower, upper)
    parameters = np.clip(start, lower, upper)
    index = np.arange(len(start))
    prediction, jacobian = model(parameters, index)
    residual = observed - prediction
    rss = np.square(residual).sum(axis=1)
    rounding = RELATIVE_ROUNDING**2 * np.square(observed).sum(axis=1)
    converged = rss <= rounding
    active = _Active(
        index=index,
        parameters=parameters.copy(),
        residual=residual,
        jacobian=np.array(jacobian),
        rss=rss.copy(),
        damping=np.full(len(start), 1e-3),
    )
    active.keep(~converged)
    for _ in range(max_iterations):
        if not active.index.size:
            break
        finished = _iterate(model, observed, active, lower, upper, tolerance) | (active.rss <= rounding[active.index])
        parameters[active.index] = active.parameters
        rss[active.index] = active.rss
        converged[active.index] = finished
        active.keep(~finished)
    return LeastSquaresFit(parameters=parameters, rss=rss, converged=converged)


def _require_shapes(observed: FloatArray, start: FloatArray, lower: FloatArray, upper: FloatArray) -> None:
    if len(observed) != len(start):
        raise ValueError(
            f"start must have one row a unit of observed ({len(observed)}), got {len(start)}; "
            "pass the same units to both"
        )
    if lower.shape != start.shape[1:] or upper.shape != start.shape[1:]:
        raise ValueError(
            f"lower and upper must have shape {start.shape[1:]}, one entry a parameter, got {lower.shape} and "
            f"{upper.shape}; use ±inf where there is no bound"
        )
