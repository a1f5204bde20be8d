"""Permutation over networks: the sign of each one's effect is as likely either way if there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test

# All signs of so many networks are gone through; of more, a sample.
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
        That so many networks can give at all: 2/2ⁿ, or what the sample of sign patterns allows. Above .05 the test
        cannot reject, whatever the data.
    warning
        Empty, or that the test cannot reach 5 %.
    """

    mean: float
    n: int
    p: float
    smallest_p: float
    warning: str


def sign_flip_test(values: npt.ArrayLike, generator: np.random.Generator) -> SignFlipResult:
    """Test that the mean over networks is 0, assuming nothing but that effects are symmetric about 0 if there is none.

    The mean is compared with that under every assignment of signs, or a sample of 9,999 of them beyond 14 networks; p
    is twice the smaller of both tails, at most 1.

    Parameters
    ----------
    values : array_like (network,)
        Finite; one a network: its mean effect over units.
    generator : numpy.random.Generator
        Draws the sample; not used where all signs are gone through.

    Raises
    ------
    ValueError
        If the values are not one finite row.

    References
    ----------
    Fisher 1935, The Design of Experiments, ch. 3; Nichols & Holmes 2002, Hum. Brain Mapp. 15:1.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not np.isfinite(data).all():
        raise ValueError(
            f"values must be one row of finite numbers, got shape {data.shape} with {int((~np.isfinite(data)).sum())} "
            "not finite; drop and count these first"
        )
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
