"""Several networks as one sample: each is one observation, however many composites it saw."""

from __future__ import annotations

import pandas as pd
from scipy import stats

# How the names of estimates that lie between 0 and 1 begin.
_FRACTIONS = (
    "accuracy",
    "all_objects_",
    "attended_first_",
    "chance_",
    "gate_overlap",
    "macro_f1",
    "majority_accuracy",
    "mean_over_classes",
    "segmentation_ap",
)


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

    Notes
    -----
    The t interval of a few fractions can reach beyond 0 and 1. It is cut there, and `note` says so: no mean of
    fractions lies beyond, so the interval holds the true mean as often as before.
    """
    rows = []
    for what, part in table.groupby("what", sort=False):
        values = part["estimate"].to_numpy(float)
        n = len(values)
        if n < 2:
            continue
        half = stats.t.ppf(0.975, n - 1) * stats.sem(values)
        low, high = values.mean() - half, values.mean() + half
        note = f"over networks: {values.min():.4f} to {values.max():.4f}"
        if str(what).startswith(_FRACTIONS):
            if cut := [name for name, beyond in (("0", low < 0), ("1", high > 1)) if beyond]:
                note += f"; interval cut at {' and '.join(cut)}"
            low, high = max(low, 0.0), min(high, 1.0)
        rows.append(
            {
                "model": f"mean of {n} networks",
                "what": what,
                "estimate": values.mean(),
                "interval_low": low,
                "interval_high": high,
                "sd": values.std(ddof=1),
                "n": n,
                "note": note,
            }
        )
    return pd.DataFrame(rows)
