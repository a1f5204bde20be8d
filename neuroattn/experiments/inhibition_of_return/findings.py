"""What the statistics of inhibition of return show: verdicts, each with the numbers that it rests on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neuroattn.experiments.finding import (
    ABSENT,
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    Finding,
    each_of,
    row_of,
    rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

AVOIDANCE = {
    "imposed": "of the first object, by its own mask",
    "another": (
        "of the first object, by the mask of another stimulus that attended the object at the same place from the left"
    ),
    "own less another": "by the own mask less by that of another stimulus",
    "carried": "of the first object where it now stands, by its mask carried along",
    "carried to place": "of what now stands at its place, by that mask",
}
# Within it of 0, avoidance counts as none; beyond it, as there.
BOUND = 0.1
BIOLOGY = "people are slow to go back to where they attended before (Posner & Cohen 1984; Klein 2000)"
PLACE, OBJECT, BOTH, NEITHER = "the place", "the object", "place and object", "neither place nor object"


def verdict(statistics: pd.DataFrame, bound: float = BOUND) -> str:
    """Return whether the network avoids an object because the mask is imposed, or by itself.

    Decided on 95 % intervals: ``emergent``, that of return without a mask lies below chance; ``imposed by the mask``,
    that of avoidance by the own mask lies above the bound; ``absent``, it lies within ± the bound; else ``undecided``.
    Without a mask these networks always return, so that any change of choice is avoidance: it counts from the bound on.
    """
    ablated = _row(statistics, "return", "ablated")
    if ablated is not None and ablated["interval_high"] < ablated["null"]:
        return "emergent"
    own = _row(statistics, "avoidance", "imposed")
    if acts(own, bound):
        return "imposed by the mask"
    return ABSENT if _within(own, bound) else UNDECIDED


def inhibited(statistics: pd.DataFrame, bound: float = BOUND) -> str:
    """Return what the mask inhibits: the place whatever stands there, the object wherever it stands, both, or neither.

    Decided on 95 % intervals of avoidance. A mask acts where its interval lies above the bound. ``the place``: both the
    mask of another stimulus (another object at the place) and the carried mask (on what now stands there) act, and the
    first object, moved elsewhere, is not avoided beyond the bound. ``the object``: that one is avoided, and another
    stimulus's mask makes it be avoided no more than the bound. ``place and object``: that one is avoided, and another's
    mask acts. ``neither place nor object``: all three intervals lie within ± the bound. Else ``undecided``.
    """
    another, carried, at_place = (
        _row(statistics, "avoidance", name) for name in ("another", "carried", "carried to place")
    )
    if acts(another, bound) and acts(at_place, bound) and _at_most(carried, bound):
        return PLACE
    if acts(carried, bound) and _at_most(another, bound):
        return OBJECT
    if acts(carried, bound) and acts(another, bound):
        return BOTH
    return NEITHER if all(_within(row, bound) for row in (another, carried, at_place)) else UNDECIDED


def own_pixels(statistics: pd.DataFrame, bound: float = BOUND) -> str:
    """Return how much of the avoidance needs the object's own pixels: another stimulus's mask has others there.

    Decided on the 95 % interval of avoidance by the own mask less by another's: ``part``, it lies above the bound;
    ``none``, it does not reach beyond; else ``undecided``.
    """
    difference = _row(statistics, "avoidance", "own less another")
    if acts(difference, bound):
        return "part"
    return "none" if _at_most(difference, bound) else UNDECIDED


def acts(row: Any, bound: float) -> bool:
    """Return whether avoidance lies above the bound."""
    return row is not None and bool(row["interval_low"] > bound)


def _at_most(row: Any, bound: float) -> bool:
    return row is not None and bool(row["interval_high"] <= bound)


def _within(row: Any, bound: float) -> bool:
    return _at_most(row, bound) and bool(row["interval_low"] >= -bound)


def _row(statistics: pd.DataFrame, what: str, condition: str) -> pd.Series[Any] | None:
    """Return the row of all networks; None where no stimulus tells of the effect."""
    return next(iter(each_of(statistics, model="", what=what, condition=condition)), None)


def findings(
    statistics: pd.DataFrame, n_objects: int, bound: float = BOUND, *, aligned: bool = True
) -> tuple[Finding, ...]:
    """Return what is claimed of avoidance, and of what the mask inhibits where there is any.

    `bound` is that of avoidance that counts; `aligned` whether objects of one place lie at the same pixels in all
    pictures.
    """
    main = rows_of(statistics, model="", control="")
    whose = verdict(main, bound)
    claim = "The mask that a phase leaves imposes avoidance of the object that was attended"
    if whose == "emergent":
        return (_emergent(main, claim),)
    answer = SUPPORTED if whose == "imposed by the mask" else whose
    found = [_finding(main, claim, answer, ("imposed",), (-bound, bound), biology=BIOLOGY)]
    if whose in {ABSENT, UNDECIDED}:
        return tuple(found)
    few = ("with two objects the rows of the carried mask are one number with either sign",) if n_objects == 2 else ()
    what, rows = inhibited(main, bound), ("another", "carried", "carried to place")
    # A mask acts above the bound, and does not act at or below it; neither is shown by equivalence alone.
    bounds = (-bound if what == NEITHER else -math.inf, bound)
    found.append(_finding(main, "What does the mask inhibit: a place, or an object?", what, rows, bounds, few))
    if aligned:
        own = {"part": SUPPORTED, "none": CONTRADICTED}.get(own_pixels(main, bound), UNDECIDED)
        part = "Part of the avoidance needs the object's own pixels"
        found.append(_finding(main, part, own, ("own less another",), (-math.inf, bound)))
    return tuple(found)


def _emergent(main: pd.DataFrame, claim: str) -> Finding:
    """Return that a network avoids by itself, which is decided on its return without a mask."""
    row = row_of(main, what="return", condition="ablated")
    return Finding(
        claim=claim,
        verdict=CONTRADICTED,
        rests_on=(Estimate.of_units(row, f"return without a mask, chance {row['null']:.2f}"),),
        n=_numbers([row]),
        test=f"interval over {_clusters([row])}, below chance",
        warnings=("without a mask the network avoids it by itself",),
    )


def _finding(
    main: pd.DataFrame,
    claim: str,
    answer: str,
    conditions: Sequence[str],
    bounds: tuple[float, float],
    warnings: tuple[str, ...] = (),
    biology: str = "",
) -> Finding:
    rows = [row for name in conditions if (row := _row(main, "avoidance", name)) is not None]
    return Finding(
        claim=claim,
        verdict=answer,
        rests_on=tuple(Estimate.of_units(row, f"avoidance {AVOIDANCE[row['condition']]}", bounds) for row in rows),
        n=_numbers(rows),
        test=f"intervals over {_clusters(rows)}",
        warnings=warnings,
        biology=biology,
    )


def _numbers(rows: Sequence[Any]) -> dict[str, int]:
    if not rows:
        return {}
    return {"networks": int(rows[0]["n_models"]), "stimuli": min(int(row["n_stimuli"]) for row in rows)}


def _clusters(rows: Sequence[Any]) -> str:
    return "networks" if rows and rows[0]["n_models"] > 1 else "stimuli of one network"
