"""Which part of a tuning curve attention changes: five nested models of a unit's two curves, compared by AICc.

In order, each holding the one before it:

=============  ==========================================================  ==========
name           attended curve, given the unattended one                    parameters
=============  ==========================================================  ==========
same           the same curve                                              4
gain           multiplied by g ≥ 0, baseline included                      5
gain_offset    multiplied by g and shifted by o (own baseline, amplitude)  6
width          also an own κ                                               7
shift          also an own preferred orientation (two independent curves)  8
=============  ==========================================================  ==========
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from neuroattn.statistics.curves import (
    LOWER,
    UPPER,
    checked_orientation,
    checked_states,
    curve_and_jacobian,
)
from neuroattn.statistics.least_squares import FloatArray, LeastSquaresFit, fit_batch
from neuroattn.statistics.tuning_curve import fit_tuning

# For every model, which of its parameters each of the eight (b, a, log κ, θ₀ unattended; the same attended) is. `gain`
# has w in [0, 2] with g = w / (2 - w): unlike g, w stays finite where the best fit has no unattended response.
_COLUMNS = {
    "same": [0, 1, 2, 3, 0, 1, 2, 3],
    "gain": [0, 1, 2, 3, 0, 1, 2, 3],
    "gain_offset": [0, 1, 2, 3, 4, 5, 2, 3],
    "width": [0, 1, 2, 3, 4, 5, 6, 3],
    "shift": [0, 1, 2, 3, 4, 5, 6, 7],
}
MODELS = tuple(_COLUMNS)
N_PARAMETERS = {"same": 4, "gain": 5, "gain_offset": 6, "width": 7, "shift": 8}

# Residuals below a millionth of the response are the precision of float32 activations, not a difference of models.
_RELATIVE_PRECISION = 1e-6
CHUNK = 1024  # units whose working arrays stay in the processor's cache


def compare_models(
    orientation: npt.ArrayLike,
    attended: npt.ArrayLike,
    unattended: npt.ArrayLike,
    *,
    attended_fit: pd.DataFrame | None = None,
    unattended_fit: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Fit five nested models to both states of every unit jointly, and say which one AICc prefers.

    With n = 2m points and k parameters, the noise variance counted as one,
    ``AICc = n ln(rss / n) + 2k + 2k(k + 1) / (n - k - 1)``. Residuals are taken to be independent, normal and of equal
    variance over orientations and states. Every model starts from the solution of the smaller one or from the two
    separate fits, whichever is better, so that the residual sum never rises along the chain. Sums below the precision
    of the responses count as equal, hence two identical curves are `same`. The bounds are those of `fit_tuning`.

    Parameters
    ----------
    orientation : array_like (m,)
        Degrees; at least six that differ modulo 180.
    attended, unattended : array_like (unit, m)
        Finite, the same units and orientations.
    attended_fit, unattended_fit : DataFrame, optional
        `fit_tuning` of these arrays; fitted here if absent.

    Returns
    -------
    DataFrame
        One row per unit, in input order: ``rss_{model}`` and ``aicc_{model}`` for each of `MODELS`, ``best_model``
        (string) and ``converged`` (all five fits).

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or there are too few orientations.

    References
    ----------
    Hurvich & Tsai 1989, Biometrika 76:297; McAdams & Maunsell 1999, J. Neurosci. 19:431.

    Examples
    --------
    >>> from neuroattn.statistics.tuning_curve import von_mises
    >>> orientation = np.arange(0, 180, 15)
    >>> unattended = von_mises(orientation, 0.2, [[1.0], [2.0]], 2, [[40.0], [70.0]])
    >>> attended = np.stack([1.4 * unattended[0], 1.4 * unattended[1] + 0.8])
    >>> compare_models(orientation, attended, unattended)["best_model"].tolist()
    ['gain', 'gain_offset']
    """
    angles = checked_orientation(orientation)
    second, first = checked_states(attended, unattended, len(angles))
    scale = np.maximum(np.ptp(first, axis=1), np.ptp(second, axis=1))[:, None]
    scale = np.where(scale > 0, scale, 1.0)
    separate = np.concatenate(
        [
            _separate_parameters("unattended_fit", unattended_fit, angles, first, scale),
            _separate_parameters("attended_fit", attended_fit, angles, second, scale),
        ],
        axis=1,
    )
    both = np.concatenate([first, second], axis=1)
    # The sum over both states is least for a shared curve when it is for the mean of the states.
    shared = _separate_parameters("", None, angles, (first + second) / 2, scale)
    rss, converged = np.empty((len(both), len(MODELS))), np.ones(len(both), dtype=bool)
    for start in range(0, len(both), CHUNK):
        rows = slice(start, start + CHUNK)
        rss[rows], converged[rows] = _fit_chain(angles, both[rows] / scale[rows], shared[rows], separate[rows])
    rss *= scale**2
    return _table(rss, np.square(both).sum(axis=1), both.shape[1], converged)


def _table(rss: FloatArray, total: FloatArray, n: int, converged: npt.NDArray[np.bool_]) -> pd.DataFrame:
    k = np.array([N_PARAMETERS[name] + 1 for name in MODELS])
    floor = np.maximum(_RELATIVE_PRECISION**2 * total, np.finfo(np.float64).tiny)
    aicc = n * np.log(np.maximum(rss, floor[:, None]) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    best = np.asarray(MODELS, dtype=object)[aicc.argmin(axis=1)]
    columns: dict[str, object] = {f"rss_{name}": rss[:, i] for i, name in enumerate(MODELS)}
    columns |= {f"aicc_{name}": aicc[:, i] for i, name in enumerate(MODELS)}
    return pd.DataFrame(columns | {"best_model": pd.array(best, dtype="string"), "converged": converged})


def _separate_parameters(
    name: str, fit: pd.DataFrame | None, orientation: FloatArray, response: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return (baseline, amplitude, log κ, θ₀) of one state's own fit, in units of `scale`."""
    table = fit_tuning(orientation, response) if fit is None else fit
    if len(table) != len(response):
        raise ValueError(
            f"{name} must have one row a unit ({len(response)}), got {len(table)}; pass the fit of the same array"
        )
    parameters = table[["baseline", "amplitude", "kappa", "preferred"]].to_numpy(np.float64, copy=True)
    parameters[:, :2] /= scale
    # A flat curve has no shape; any will do as a start.
    parameters[:, 2] = np.log(np.where(np.isnan(parameters[:, 2]), 1.0, parameters[:, 2]))
    parameters[:, 3] = np.nan_to_num(parameters[:, 3])
    return parameters


def _fit_chain(
    orientation: FloatArray, both: FloatArray, shared: FloatArray, separate: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Fit the models from the smallest to the largest; return their rss (unit, model) and whether all converged."""
    rss = np.empty((len(both), len(MODELS)))
    converged = np.ones(len(both), dtype=bool)
    smaller = np.concatenate([shared, shared], axis=1)
    for column, name in enumerate(MODELS):
        guesses = [smaller, *_guesses(name, orientation, both, separate)]
        fit = _fit_from_best(name, orientation, both, [_contract(name, guess) for guess in guesses])
        rss[:, column] = fit.rss
        converged &= fit.converged
        smaller = _expand(name, fit.parameters)
    return rss, converged


def _fit_from_best(name: str, orientation: FloatArray, both: FloatArray, starts: list[FloatArray]) -> LeastSquaresFit:
    sums = [np.square(both - predict(name, orientation, start)[0]).sum(axis=1) for start in starts]
    best = np.argmin(sums, axis=0)
    start = np.stack(starts)[best, np.arange(len(both))]
    lower, upper = np.concatenate([LOWER, LOWER]), np.concatenate([UPPER, UPPER])
    if name == "gain":
        lower, upper = np.append(LOWER, 0.0), np.append(UPPER, 2.0)
    n = N_PARAMETERS[name]
    return fit_batch(lambda values, _: predict(name, orientation, values), both, start, lower[:n], upper[:n])


def predict(name: str, orientation: FloatArray, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a model's curves of both states, unattended first (k, 2m), and their derivatives (k, p, 2m).

    Parameters
    ----------
    name
        One of `MODELS`.
    orientation
        (m,) degrees.
    parameters
        (k, p) of the model: baseline, amplitude, log κ and preferred orientation unattended, then those attended that
        differ. For ``gain`` the fifth is w, which splits a curve C: (2 - w) C unattended, w C attended.

    Examples
    --------
    >>> predict("gain", np.array([0.0, 90.0]), np.array([[0.0, 1.0, 0.0, 0.0, 1.5]]))[0].round(3)
    array([[0.5  , 0.068, 1.5  , 0.203]])
    """
    full = _expand(name, parameters)
    m = len(orientation)
    states = [curve_and_jacobian(orientation, full[:, :4]), curve_and_jacobian(orientation, full[:, 4:])]
    jacobian = np.zeros((len(parameters), parameters.shape[1], 2 * m))
    jacobian[:, :4, :m] = states[0][1]
    jacobian[:, _COLUMNS[name][4:], m:] = states[1][1]
    if name == "gain":
        share, curve = parameters[:, 4, None, None], parameters[:, :2, None]
        jacobian[:, 4, :m] = -(curve * jacobian[:, :2, :m]).sum(axis=1)
        jacobian[:, 4, m:] = (curve * jacobian[:, :2, m:]).sum(axis=1)
        jacobian[:, :2, :m] *= 2 - share
        jacobian[:, :2, m:] *= share
    return np.concatenate([states[0][0], states[1][0]], axis=1), jacobian


def _expand(name: str, parameters: FloatArray) -> FloatArray:
    """Return the eight parameters of two independent curves that a model's parameters stand for."""
    full = parameters[:, _COLUMNS[name]]
    if name == "gain":
        full[:, :2] *= 2 - parameters[:, 4:]
        full[:, 4:6] *= parameters[:, 4:]
    return full


def _contract(name: str, full: FloatArray) -> FloatArray:
    """Return a model's parameters for two curves, exactly those if the model can express them."""
    if name != "gain":
        return full[:, : N_PARAMETERS[name]]
    total = full[:, :2] + full[:, 4:6]
    # Of baseline and amplitude the one with the larger sum gives the share without a division by about zero.
    larger = np.abs(total).argmax(axis=1)[:, None]
    divisor = np.take_along_axis(total, larger, axis=1)
    share = 2 * np.take_along_axis(full[:, 4:6], larger, axis=1) / np.where(divisor == 0, np.inf, divisor)
    return np.concatenate([total / 2, full[:, 2:4], np.where(divisor == 0, 1.0, np.clip(share, 0.0, 2.0))], axis=1)


def _guesses(name: str, orientation: FloatArray, both: FloatArray, separate: FloatArray) -> list[FloatArray]:
    """Return starts, as eight parameters, that take the shape of the curves from the separate fits of the states."""
    if name == "same":
        return []
    if name == "shift":
        return [separate]
    guesses = []
    for kappa, preferred in ((2, 3), (6, 7)):
        own_width = (2, 6) if name == "width" else (kappa, kappa)
        curves = [
            _best_linear(orientation, state, separate[:, [column, preferred]])
            for state, column in zip(np.split(both, 2, axis=1), own_width, strict=True)
        ]
        guesses.append(np.concatenate(curves, axis=1))
    return guesses


def _best_linear(orientation: FloatArray, response: FloatArray, shape: FloatArray) -> FloatArray:
    """Return (baseline, amplitude, log κ, θ₀) with the best baseline and amplitude ≥ 0 for a given (log κ, θ₀)."""
    unit_curve = np.concatenate([np.zeros((len(shape), 1)), np.ones((len(shape), 1)), shape], axis=1)
    curve = curve_and_jacobian(orientation, unit_curve)[0]
    mean = curve.mean(axis=1)
    deviation = curve - mean[:, None]
    power = np.square(deviation).sum(axis=1)
    amplitude = np.maximum((deviation * response).sum(axis=1) / np.where(power > 0, power, np.inf), 0.0)
    return np.column_stack([response.mean(axis=1) - amplitude * mean, amplitude, shape])
