"""What a control leaves of each unit's difference between the states, as a share of the intact one.

Indices of the network itself and of a control cannot be compared where one is at its ceiling, and two intervals that
overlap say nothing of equality. The share of each unit can: it is 1 where the control does as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn.dims import NEUROID_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

SHARE = "share_of_shuffled_gates"  # name of the measure
AS_MUCH = (0.8, 1.25)  # shares of the intact difference that count as equal to it
_ROUNDING = 1e-5  # differences below this fraction of a response are rounding of float32


def share_of(intact: pd.Series[float], other: pd.Series[float], size: pd.Series[float]) -> NDArray[np.float64]:
    """Return each unit's difference A − N in a control as a share of the intact one, on the same stimuli.

    `size` is A + N of the network itself; a difference that is rounding beside it has no share (NaN).

    >>> import pandas as pd
    >>> share_of(pd.Series([0.2, 0.0]), pd.Series([0.1, 0.1]), pd.Series([1.0, 1.0]))
    array([0.5, nan])
    """
    difference = intact.to_numpy(np.float64)
    known = np.abs(difference) > _ROUNDING * size.to_numpy(np.float64)
    share: NDArray[np.float64] = np.full(len(difference), np.nan)
    return np.divide(other.to_numpy(np.float64), difference, out=share, where=known)


def with_shares(
    units: pd.DataFrame, controls: Mapping[str, pd.DataFrame], suffixes: Sequence[str] = ("",)
) -> pd.DataFrame:
    """Return units with what gates of other stimuli leave of their difference, ``share_of_shuffled_gates{suffix}``.

    Stimuli for which a batch held no other with the same side attended are left out of the control alone: the share
    compares means over all of the controls' stimuli with means over those whose gates were swapped. `controls` gives
    the same units with ``neuroid_id, difference{suffix}`` (A − N) and ``total{suffix}`` (A + N); without ``intact`` and
    ``shuffled_gates`` the units come back as they are.

    >>> import pandas as pd
    >>> intact = pd.DataFrame({"neuroid_id": [0, 1], "difference": [0.2, 0.4], "total": [1.0, 1.0]})
    >>> controls = {"intact": intact, "shuffled_gates": intact.assign(difference=0.1)}
    >>> with_shares(intact, controls)["share_of_shuffled_gates"].tolist()
    [0.5, 0.25]
    """
    if not {"intact", "shuffled_gates"} <= set(controls):
        return units
    intact, shuffled = (
        controls[name].set_index(NEUROID_ID).reindex(units[NEUROID_ID]).reset_index()
        for name in ("intact", "shuffled_gates")
    )
    shares = {
        f"{SHARE}{suffix}": share_of(
            intact[f"difference{suffix}"], shuffled[f"difference{suffix}"], intact[f"total{suffix}"]
        )
        for suffix in suffixes
    }
    return units.assign(**shares)


def clusters(row: pd.Series[Any]) -> int:
    """Return over how many networks, or feature channels of one network, a row of statistics is.

    >>> import pandas as pd
    >>> clusters(pd.Series({"n_models": 1, "n_channels": 20}))
    20
    """
    return int(row["n_models"] if row["n_models"] > 1 else row["n_channels"])


def compared(row: pd.Series[Any]) -> str:
    """Return how a share of the intact difference compares with 1: as much, less, more or undecided.

    Its interval must lie within `AS_MUCH` for as much, and wholly beyond it for less or more.

    >>> import pandas as pd
    >>> compared(pd.Series({"n_models": 3, "n_channels": 60, "interval_low": 0.1, "interval_high": 0.3}))
    'less'
    """
    low, high = AS_MUCH
    if clusters(row) < 2:  # an interval from one has no width, and says nothing
        return "undecided"
    if row["interval_low"] >= low and row["interval_high"] <= high:
        return "as much"
    if row["interval_high"] < low:
        return "less"
    return "more" if row["interval_low"] > high else "undecided"
