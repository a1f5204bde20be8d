"""Published numbers beside recomputed ones: theirs, ours, interval, tolerance, verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuroattn.statistics.intervals import fraction_interval, t_interval
from neuroattn.statistics.tuning_curve import axial_difference, regress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuroattn.statistics.least_squares import FloatArray

REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run"
COLUMNS = [
    "name", "source", "theirs", "tolerance", "published_weights", "verdict_published", "ours", "interval_low",
    "interval_high", "n_networks", "verdict", "explanation",
]  # fmt: skip


def paper_tuning(orientation: FloatArray, attended: FloatArray, unattended: FloatArray) -> dict[str, float]:
    """Return the medians that sum up tuning curves in two states, over units whose curve peaks above 0.1 in either.

    Of (unit, orientation) responses: ``correlation`` of the two curves, ``slope`` and ``intercept`` of the attended on
    the unattended one, ``peak_ratio``, ``peak_shift`` (degrees, its size), ``n_units``. NaN without a unit.
    """
    peaks = np.maximum(attended.max(axis=1, initial=0), unattended.max(axis=1, initial=0))
    a, n = attended[peaks > 0.1], unattended[peaks > 0.1]
    names = ("correlation", "slope", "intercept", "peak_ratio", "peak_shift")
    if not len(a):
        return {**dict.fromkeys(names, np.nan), "n_units": 0}
    table = regress(a, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        table["peak_ratio"] = a.max(axis=1) / n.max(axis=1)
    table["peak_shift"] = np.abs(axial_difference(orientation[a.argmax(axis=1)], orientation[n.argmax(axis=1)]))
    medians = table[list(names)].replace([np.inf, -np.inf], np.nan).median()
    return {**{name: float(medians[name]) for name in names}, "n_units": len(a)}


def compare(
    published: Sequence[Mapping[str, Any]],
    theirs: Sequence[float | None],
    ours: Sequence[Sequence[float] | None],
    reasons: Mapping[str, str],
) -> pd.DataFrame:
    """Set published numbers beside recomputed ones, a row each.

    Parameters
    ----------
    published
        Entries with ``name, value, tolerance, source``; ``fraction``, whether it and its interval must lie between 0
        and 1; ``networks: published`` where a number is about the published weights alone; ``differs`` and
        ``published_differs``, explanations in case ours, or that of the published weights, does; ``why``, where it
        cannot be run at all.
    theirs, ours
        The number on the published weights, and that of each of our networks; None where it was not computed.
    reasons
        Kind of number (``of``) → why it was not computed.

    Returns
    -------
    pandas.DataFrame
        With `COLUMNS`. A verdict is ``reproduced`` (no further from the published number than the tolerance),
        ``differs`` or ``not run``.
    """
    rows = []
    for entry, their, our in zip(published, theirs, ours, strict=True):
        value, tolerance = float(entry["value"]), float(entry["tolerance"])
        row = {"name": entry["name"], "source": entry["source"], "theirs": value, "tolerance": tolerance}
        row |= {
            "published_weights": np.nan if their is None else their,
            "verdict_published": _verdict(their, value, tolerance),
        }
        row |= _mean(our, fraction=entry.get("fraction", False))
        row["verdict"] = _verdict(row["ours"] if our else None, value, tolerance)
        row["explanation"] = _explanation(entry, row, reasons)
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _verdict(number: float | None, value: float, tolerance: float) -> str:
    if number is None or np.isnan(number):
        return NOT_RUN
    # A difference of just the tolerance must not be one of rounding.
    return REPRODUCED if abs(number - value) <= tolerance * (1 + 1e-9) else DIFFERS


def _mean(numbers: Sequence[float] | None, *, fraction: bool) -> dict[str, Any]:
    if not numbers:
        return {"ours": np.nan, "interval_low": np.nan, "interval_high": np.nan, "n_networks": 0}
    mean, low, high = fraction_interval(numbers) if fraction else t_interval(numbers)
    return {"ours": mean, "interval_low": low, "interval_high": high, "n_networks": len(numbers)}


def _explanation(entry: Mapping[str, Any], row: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    if "why" in entry:
        return f"not run: {entry['why']}"
    texts = []
    if row["verdict"] == DIFFERS:
        texts.append(f"ours: {entry.get('differs', 'not explained')}")
    if row["verdict"] == NOT_RUN:
        about = "about the published weights alone" if entry.get("networks") == "published" else ""
        texts.append(about or f"ours not run: {reasons.get(entry['of'], 'no network of ours takes part')}")
    if row["verdict_published"] == DIFFERS:
        texts.append(f"published weights: {entry.get('published_differs', 'not explained')}")
    return "; ".join(texts)
