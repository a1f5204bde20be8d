"""Effects over time steps: runs of neighbouring steps, judged together, over networks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from neuroattn.statistics.sign_flip import EXACT_UP_TO, N_SAMPLED

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import FloatArray

THRESHOLD = 0.05  # two-sided, of the t test that a step needs to join a cluster


def cluster_permutation(values: npt.ArrayLike, generator: np.random.Generator) -> pd.DataFrame:
    """Find runs of time steps in which a difference is not 0, with a p value for each run as a whole.

    A step joins a cluster if its one-sample t over networks passes the two-sided 5 % threshold; neighbours of the same
    sign are one cluster, and its mass is the sum of their t. The largest absolute mass under each assignment of signs
    to networks gives the null distribution, so that p controls the chance of any false cluster. A cluster is
    significant as a whole; where exactly it begins is not tested (Sassenhagen & Draschkow 2019).

    Parameters
    ----------
    values : array_like (network, time_step)
        Finite; each network's mean difference, attended minus unattended. At least two networks.
    generator : numpy.random.Generator
        Draws the signs beyond 14 networks.

    Returns
    -------
    DataFrame
        One row per cluster, in order of time; none where no step passes: ``first_step``, ``last_step``, ``estimate``
        (mean difference over networks and steps), ``mass``, ``p``, ``smallest_p`` (that so many networks can give;
        above .05 with fewer than six), ``n_networks``.

    Raises
    ------
    ValueError
        If the values are not a finite table of at least two networks.

    References
    ----------
    Maris & Oostenveld 2007, J. Neurosci. Methods 164:177.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> values = random.normal([0, 0, 1, 1, 0], 0.3, size=(8, 5))
    >>> cluster_permutation(values, random)[["first_step", "last_step", "p"]]
       first_step  last_step         p
    0           2          3  0.007812
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 2 or len(data) < 2 or not np.isfinite(data).all():
        raise ValueError(
            "values must be finite and have shape (network, time_step) with at least 2 networks, got shape "
            f"{data.shape} with {int((~np.isfinite(data)).sum())} not finite; give one row a network"
        )
    n = len(data)
    threshold = float(stdtrit(n - 1, 1 - THRESHOLD / 2))
    observed = _t(data[None])[0]
    exact = n <= EXACT_UP_TO
    signs = (
        np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        if exact
        else np.concatenate([np.ones((1, n)), generator.choice((1.0, -1.0), size=(N_SAMPLED, n))])
    )
    parts = np.array_split(signs, max(1, len(signs) // 500))  # so that not all permutations are in memory at once
    largest = np.concatenate([_largest_mass(_t(part[:, :, None] * data), threshold) for part in parts])
    rows = []
    for first, last in _runs(observed, threshold):
        steps = slice(first, last + 1)
        mass = float(observed[steps].sum())
        rows.append(
            {
                "first_step": first,
                "last_step": last,
                "estimate": float(data[:, steps].mean()),
                "mass": mass,
                # The observed assignment counts as one of its own, whatever rounding does.
                "p": float((largest >= abs(mass) * (1 - 1e-12)).mean()),
                "smallest_p": 2 / 2**n if exact else 1 / len(signs),
                "n_networks": n,
            }
        )
    columns = ["first_step", "last_step", "estimate", "mass", "p", "smallest_p", "n_networks"]
    return pd.DataFrame(rows, columns=columns)


def _t(values: FloatArray) -> FloatArray:
    """Return one-sample t of (permutation, network, time_step) over networks; without variance ±∞, or 0 for nothing."""
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(mean == 0, 0.0, mean / error))


def _runs(t: FloatArray, threshold: float) -> list[tuple[int, int]]:
    """Return first and last step of each run of one sign beyond the threshold."""
    sign = np.where(np.abs(t) > threshold, np.sign(t), 0).astype(int)
    edges = [*np.flatnonzero(np.diff(sign, prepend=0)), len(sign)]
    return [(int(start), int(stop) - 1) for start, stop in itertools.pairwise(edges) if sign[start]]


def _largest_mass(t: FloatArray, threshold: float) -> FloatArray:
    """Return the largest absolute mass of a cluster in each permutation, 0 without a cluster."""
    largest = np.zeros(len(t))
    for sign in (1, -1):
        running = np.zeros(len(t))
        for step in range(t.shape[1]):
            value = sign * t[:, step]
            running = np.where(value > threshold, running + value, 0.0)
            largest = np.maximum(largest, running)
    return largest
