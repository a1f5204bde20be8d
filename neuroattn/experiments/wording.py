"""How all protocols word intervals, numbers and controls in their sentences."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from neuroattn.experiments.contrast import CHECKS
from neuroattn.experiments.finding import UNDECIDED
from neuroattn.statistics.control_share import AS_MUCH, compared

if TYPE_CHECKING:
    import pandas as pd

ONE_NETWORK = "units of one network"  # a scope
# A ratio of the responses in two states → the only state with a response, and the column that counts such units.
_ONLY = {math.inf: ("attended", "n_infinite"), 0.0: ("unattended", "n_zero")}
_NO_MEAN = re.compile(r"the median of (\d+) networks between the smallest and the largest, an interval of (\S+) %")


def caveat(scope: str) -> str:
    """Return what must be said of the intervals of a single network, "" of several."""
    if scope not in {ONE_NETWORK, "stimuli of one network"}:
        return ""
    return " Intervals and tests are about this network, not about networks of its kind: give several seeds."


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many decimals."""
    return f"{value:.{digits}f}".replace("inf", "∞")


def interval(
    row: Any, digits: int = 3, unit: str = "", *, of: str = "", limits: tuple[float, float] | None = None
) -> str:
    """Return an estimate with its interval, and what that is where it is no interval of the usual kind.

    `of` may be ``cluster_mean``, for the mean over networks, or over the channels of one; `limits` are those between
    which the estimate lies by its definition. Of a ratio that is ∞ or 0 it says how many units are silent in a state.
    """
    names = (of, f"{of}_low", f"{of}_high") if of else ("estimate", "interval_low", "interval_high")
    middle, low, high = (number(row[name], digits) for name in names)
    only = ""
    if not of and (state := _ONLY.get(row["estimate"])) is not None and row.get(state[1], 0) > 0:
        only = f": {row[state[1]]:,.0f} of {row['n_units']:,.0f} units respond only when {state[0]}"
    if row[names[1]] == row[names[2]]:
        alike = ("channels" if of else "resamples") if str(row["scope"]).endswith("of one network") else "networks"
        at_limit = "at the limit" if row[names[0]] in (limits or ()) else "agree"
        return f"{middle}{unit}{only or f' (all {alike} {at_limit})'}"
    if not of and (no_mean := _NO_MEAN.search(str(row["warnings"]))):
        return f"{middle}{unit} [{low}, {high}] (smallest to largest of {no_mean[1]} networks, {no_mean[2]} %){only}"
    return f"{middle}{unit} [{low}, {high}]{only}"


def share(row: Any) -> str:
    """Return a share of units with its interval, in per cent."""
    return f"{row['estimate']:.0%} [{row['interval_low']:.0%}, {row['interval_high']:.0%}]"


def units(row: Any) -> str:
    """Return of how many units a row is."""
    return f"n = {int(row['n_units']):,}"


def excluded(counts: pd.DataFrame, kind: str) -> str:
    """Return how many units are in each class of a kind (``n_excluded``), "" if there is none."""
    rows = counts[counts["what"].str.startswith(kind)]
    pairs = zip(rows["estimate"], rows["what"], strict=True)
    return ", ".join(f"{int(number):,} {what.partition(': ')[2]}" for number, what in pairs)


def other_gates(row: Any, digits: int = 3) -> str:
    """Return what gates of other stimuli leave of the difference between the states."""
    answer = compared(row)
    verdict = answer if answer == UNDECIDED else f"gates of other stimuli do {answer}"
    return (
        f"    difference A − N under gates of other stimuli, as a share of each unit's own: {interval(row, digits)}, "
        f"{units(row)} ({int(row['n_missing']):,} without a difference): {verdict} "
        f"(as much: {AS_MUCH[0]:g} to {AS_MUCH[1]:g})"
    )


def control_warning(row: Any, what: str, where: str) -> str:
    """Return the warning that a control shows an effect, which in those that check the code there cannot be."""
    impossible = ", where attention cannot act; distrust this run" if row["control"] in CHECKS else ""
    return f"WARNING: the control {row['control']} shows a {what} of {row['estimate']:.3f} in {where}{impossible}."


def checks(controls: pd.Series[str]) -> list[str]:
    """Return what those of the controls that check the code are called."""
    return [text for name, text in CHECKS.items() if name in set(controls)]
