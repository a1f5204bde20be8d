"""Several networks as one sample: each is one observation, however many composites it saw."""

from __future__ import annotations

import pandas as pd

from neuroattn.statistics.intervals import fraction_interval, t_interval

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


def is_fraction(what: str) -> bool:
    """Return whether estimates of this name lie between 0 and 1."""
    return what.startswith(_FRACTIONS)


def over_networks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over networks of every estimate of two or more, with its 95 % interval over networks.

    Columns are those of the networks' own tables (`neuroattn.evaluation.trials.evaluate`); `sd` is over networks, `n`
    their number, and `note` tells the lowest and the highest.

    Notes
    -----
    The interval of a fraction is `neuroattn.statistics.intervals.fraction_interval`, which stays between 0 and 1 and
    has a width where all networks agree; that of another number is the t interval.
    """
    rows = []
    for what, part in table.groupby("what", sort=False):
        values = part["estimate"].to_numpy(float)
        n = len(values)
        if n < 2:
            continue
        mean, low, high = fraction_interval(values) if is_fraction(str(what)) else t_interval(values)
        rows.append(
            {
                "model": f"mean of {n} networks",
                "what": what,
                "estimate": mean,
                "interval_low": low,
                "interval_high": high,
                "sd": values.std(ddof=1),
                "n": n,
                "note": f"over networks: {values.min():.4f} to {values.max():.4f}",
            }
        )
    return pd.DataFrame(rows)
