"""Permutation over networks: without an effect, each one's difference is as likely to have either sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test

from neuroattn.statistics.curves import checked_row

# Up to so many networks every assignment of signs is tried; beyond, a sample.
EXACT_UP_TO = 14
N_SAMPLED = 9_999


@dataclass(frozen=True, kw_only=True)
class SignFlipResult:
    """A sign-flip test of the mean over networks.

    Attributes
    ----------
    mean
        Of the values.
    n
        Networks.
    p
        Two-sided; NaN with fewer than two networks.
    smallest_p
        The smallest p that so many networks can give, whatever the data: 2/2ⁿ, or 2 over the size of the sample.
    warning
        Empty, or that there are too few networks for any test, or for p below .05.
    """

    mean: float
    n: int
    p: float
    smallest_p: float
    warning: str


def sign_flip_test(values: npt.ArrayLike, generator: np.random.Generator) -> SignFlipResult:
    """Test that the mean over networks is 0, assuming only that without an effect values are symmetric about 0.

    The mean is compared with that under every assignment of signs, or under a sample of 9,999 beyond 14 networks; p is
    twice the smaller of both tails, at most 1.

    Parameters
    ----------
    values : array_like (network,)
        Finite; each network's mean effect over units.
    generator : numpy.random.Generator
        Draws the sample; unused up to 14 networks.

    Raises
    ------
    ValueError
        If the values are not one finite row.

    References
    ----------
    Fisher 1935, The Design of Experiments, ch. 3; Nichols & Holmes 2002, Hum. Brain Mapp. 15:1.

    Examples
    --------
    >>> result = sign_flip_test([0.3, 0.1, 0.4, -0.2, 0.6, 0.5, 0.2], np.random.default_rng(0))
    >>> result.p, result.smallest_p
    (0.0625, 0.015625)
    """
    data = checked_row(values)
    n = len(data)
    mean = float(data.mean()) if n else float("nan")
    if n < 2:
        warning = f"{n} network(s): a permutation test needs at least 2"
        return SignFlipResult(mean=mean, n=n, p=float("nan"), smallest_p=float("nan"), warning=warning)
    exact = n <= EXACT_UP_TO
    result = permutation_test(
        (data,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if exact else N_SAMPLED,
        batch=2**10,
        rng=generator,
    )
    smallest = 2 / 2**n if exact else 2 / (N_SAMPLED + 1)
    warning = f"{n} networks cannot give p below {smallest:.3g}" if smallest > 0.05 else ""
    return SignFlipResult(mean=mean, n=n, p=float(result.pvalue), smallest_p=smallest, warning=warning)
