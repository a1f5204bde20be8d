"""A finding: a claim with its verdict, and the very numbers that the verdict rests on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping  # noqa: TC003 -- read by msgspec
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuroattn.runs.plain_text import printable
from neuroattn.statistics.control_share import AS_MUCH, compared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

SUPPORTED, CONTRADICTED, ABSENT, UNDECIDED = "supported", "contradicted", "absent", "undecided"
ON_TOP = ("WARNING", "NOTE")  # begin the sentences that are said before any finding
_NUMBERS = {"value", "low", "high", "bounds limit"}  # fields of an estimate


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; what it is, in words.

    Within `bounds` it counts as no effect, or as the same; None where nothing was asked of equivalence.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str = ""
    bounds: tuple[float, float] | None = None

    @classmethod
    def of_units(cls, row: Any, what: str, bounds: tuple[float, float] | None = None) -> Estimate:
        """Return the estimate of a row of statistics, over units."""
        value, low, high = (float(row[name]) for name in ("estimate", "interval_low", "interval_high"))
        return cls(what=what, value=value, low=low, high=high, bounds=bounds)

    @classmethod
    def of_mean(cls, row: Any, what: str, bounds: tuple[float, float] | None = None, unit: str = "") -> Estimate:
        """Return the mean of a row of statistics, over networks or over the feature channels of one."""
        value, low, high = (float(row[f"cluster_mean{limit}"]) for limit in ("", "_low", "_high"))
        return cls(what=what, value=value, low=low, high=high, unit=unit, bounds=bounds)

    @property
    def asked(self) -> str:
        """The bounds in words, "" where there are none."""
        if self.bounds is None:
            return ""
        low, high = self.bounds
        return f"bound {high:g}{self.unit}" if low == -math.inf else f"bounds {low:g} to {high:g}{self.unit}"

    @property
    def number(self) -> str:
        """The number with its interval, in words where there is none."""
        if math.isnan(self.value):
            return "not measured"
        value, low, high = (f"{number:.3f}".replace("inf", "∞") for number in (self.value, self.low, self.high))
        interval = "no interval" if math.isnan(self.low) else f"[{low}, {high}]"
        return f"{value}{self.unit} {interval}"

    def __str__(self) -> str:
        return printable(f"{self.what} {self.number}")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a run says of a claim.

    Attributes
    ----------
    claim
        A sentence that can be true or false, or a question.
    verdict
        ``supported``, ``contradicted``, ``absent`` (shown by equivalence), ``undecided``, or the question's answer.
    layer, condition
        What it is about, "" for the network, or for the only condition.
    rests_on
        The estimates that decide.
    n
        Numbers at every level: networks, units, stimuli; the fewest, where the estimates rest on different ones.
    test
        Where the intervals come from.
    warnings
        What weakens it.
    biology
        What neurons do, with its source.
    """

    claim: str
    verdict: str
    layer: str = ""
    condition: str = ""
    rests_on: tuple[Estimate, ...] = ()
    n: Mapping[str, int] = field(default_factory=dict)
    test: str = ""
    warnings: tuple[str, ...] = ()
    biology: str = ""

    @property
    def numbers(self) -> str:
        """The numbers at every level, in words."""
        one = {"stimuli": "stimulus"}
        return ", ".join(
            f"{number:,} {what if number != 1 else one.get(what, what.removesuffix('s'))}"
            for what, number in self.n.items()
        )

    def __str__(self) -> str:
        about = ", ".join(part for part in (self.layer, self.condition) if part)
        numbers = "; ".join(map(str, self.rests_on)) or "no number"
        where, n = f" ({about})" if about else "", f"; n = {self.numbers}" if self.n else ""
        return printable(f"{self.verdict.upper()}  {self.claim}{where}: {numbers}{n}")


def rows_of(statistics: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Return the rows of statistics that hold these values in these columns; None is no value."""
    for column, value in where.items():
        chosen = statistics[column].isna() if value is None else statistics[column] == value
        statistics = statistics[chosen]
    return statistics


def each_of(statistics: pd.DataFrame, **where: Any) -> list[pd.Series[Any]]:
    """Return `rows_of` one by one."""
    return [row for _, row in rows_of(statistics, **where).iterrows()]


def row_of(statistics: pd.DataFrame, **where: Any) -> pd.Series[Any]:
    """Return the first of `rows_of`."""
    return rows_of(statistics, **where).iloc[0]


def numbers_of(*rows: Any) -> dict[str, int]:
    """Return the numbers at every level of rows of statistics of units, the fewest of them."""
    names = {"networks": "n_models", "feature channels": "n_channels", "units": "n_units", "stimuli": "n_stimuli"}
    return {name: min(int(row[column]) for row in rows) for name, column in names.items()}


def warnings_of(*rows: Any) -> tuple[str, ...]:
    """Return the warnings of rows of statistics, each once."""
    return tuple(dict.fromkeys(part for row in rows for part in str(row["warnings"]).split("; ") if part))


def clusters_of(row: Any) -> str:
    """Return over what the mean of a row of statistics is."""
    return "networks" if row["n_models"] > 1 else "feature channels of one network"


def verdict_of_mean(row: Any, null: float, nothing: tuple[float, float], side: int = 1) -> str:
    """Return whether the interval of the mean of a row of statistics is beyond what no effect gives.

    ``supported`` where it lies above `null` (below it with `side` −1), ``contradicted`` on the other side, ``absent``
    within `nothing`, else ``undecided``.
    """
    low, high = row["cluster_mean_low"], row["cluster_mean_high"]
    if nothing[0] < low and high < nothing[1]:
        return ABSENT
    above, below = (SUPPORTED, CONTRADICTED)[::side]
    return above if low > null else below if high < null else UNDECIDED


def intervals_of(row: Any) -> str:
    """Return where the interval over units of a row of statistics comes from."""
    return (
        "over networks, of their medians" if row["n_models"] > 1 else "from a bootstrap of feature channels and units"
    )


def other_gates(shares: pd.DataFrame, layer: str, condition: str = "") -> Iterator[Finding]:
    """Yield whether gates of other stimuli do as much, from the rows of the share that they leave."""
    for row in each_of(shares):
        yield Finding(
            claim="Do gates of other stimuli do as much?",
            verdict=compared(row),
            layer=layer,
            condition=condition,
            rests_on=(Estimate.of_units(row, "share of each unit's difference that they leave", AS_MUCH),),
            n=numbers_of(row),
            test=f"equivalence; intervals {intervals_of(row)}",
            warnings=warnings_of(row),
        )


def to_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON holds them: infinity is a text, a missing number null."""
    return [_plain(dataclasses.asdict(finding)) for finding in findings]


def from_json(records: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return the findings that `to_json` wrote; raises ValueError if they are none."""
    import msgspec

    return msgspec.convert(_restored(records), tuple[Finding, ...])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _restored(value: Any, key: str = "") -> Any:
    """Return what `_plain` was given."""
    if isinstance(value, dict):
        return {name: _restored(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_restored(part, f"{key} limit") for part in value]
    return {None: math.nan, "inf": math.inf, "-inf": -math.inf}.get(value, value) if key in _NUMBERS else value
