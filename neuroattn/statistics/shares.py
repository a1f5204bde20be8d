"""Shares of units for which something holds, with intervals that have a width and stay within 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neuroattn.dims import CHANNEL, MODEL
from neuroattn.statistics.intervals import MeanInterval, fraction_interval
from neuroattn.statistics.resampling import hierarchical_bootstrap

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from neuroattn.statistics.population import Row


def share(
    units: pd.DataFrame, holds: pd.Series[bool], generator: np.random.Generator | None = None, n_resamples: int = 2000
) -> Row:
    """Return the share of units for which something holds: ``estimate, interval_low, interval_high`` (95 %), numbers.

    Of several networks it is the mean of their shares with `fraction_interval` over networks. Of one network it has a
    hierarchical bootstrap of feature channels and units (none without a generator); where no resample differs, because
    all units agree, the exact interval with every channel as one trial.

    >>> import pandas as pd
    >>> units = pd.DataFrame({"model": [*"aaaabbbb"], "channel": 0})
    >>> row = share(units, pd.Series([1, 1, 0, 0, 1, 1, 1, 0], dtype=bool))
    >>> row["estimate"], row["n_models"], row["n_units"]
    (0.625, 2, 8)
    """
    values = np.asarray(holds, np.float64)
    networks = units[MODEL].to_numpy()
    if len(set(networks)) > 1:
        of_network = [values[networks == name] for name in dict.fromkeys(networks)]
        interval = fraction_interval([one.mean() for one in of_network], trials=min(map(len, of_network)))
    else:
        interval = _of_one_network(values, units, generator, n_resamples)
    return {"estimate": interval.mean, "interval_low": interval.low, "interval_high": interval.high, **numbers(units)}


def numbers(units: pd.DataFrame) -> dict[str, int]:
    """Return how many networks, feature channels and units there are.

    >>> import pandas as pd
    >>> numbers(pd.DataFrame({"model": [*"aab"], "channel": [0, 1, 0]}))
    {'n_models': 2, 'n_channels': 3, 'n_units': 3}
    """
    return {
        "n_models": units[MODEL].nunique(),
        "n_channels": units.groupby([MODEL, CHANNEL], observed=True).ngroups,
        "n_units": len(units),
    }


def _of_one_network(
    values: NDArray[np.float64], units: pd.DataFrame, generator: np.random.Generator | None, n_resamples: int
) -> MeanInterval:
    mean = float(values.mean())
    if generator is None:
        return MeanInterval(mean, np.nan, np.nan)
    clusters = [units[MODEL].to_numpy(), units[CHANNEL].to_numpy()]
    low, high = hierarchical_bootstrap(values, clusters, "mean", n_resamples, generator)
    if low == high:
        return fraction_interval(np.full(units[CHANNEL].nunique(), mean))
    return MeanInterval(mean, low, high)
