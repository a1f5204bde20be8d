"""Several networks as one sample: each is one observation, however many composites it saw."""

from __future__ import annotations

import pandas as pd
from scipy import stats


def over_networks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over networks of every estimate, with a 95 % t interval over networks.

    Parameters
    ----------
    table
        `neuroattn.evaluation.digits.evaluate` of networks that take the same number of digits.

    Returns
    -------
    pandas.DataFrame
        As from `evaluate`; `sd` is over networks, `n` their number, and `note` tells the lowest and the highest.
        What only one network has an estimate of has no row.
    """
    rows = []
    for what, part in table.groupby("what", sort=False):
        values = part["estimate"].to_numpy(float)
        n = len(values)
        if n < 2:
            continue
        half = stats.t.ppf(0.975, n - 1) * stats.sem(values)
        rows.append(
            {
                "model": f"mean of {n} networks",
                "what": what,
                "estimate": values.mean(),
                "interval_low": values.mean() - half,
                "interval_high": values.mean() + half,
                "sd": values.std(ddof=1),
                "n": n,
                "note": f"over networks: {values.min():.4f} to {values.max():.4f}",
            }
        )
    return pd.DataFrame(rows)
