"""What the statistics of inhibition of return show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.experiments.finding import ABSENT, UNDECIDED, each_of, row_of, rows_of
from neuroattn.experiments.inhibition_of_return.findings import (
    AVOIDANCE,
    BOUND,
    acts,
    inhibited,
    own_pixels,
    verdict,
)
from neuroattn.experiments.wording import caveat, interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


CONDITIONS = {
    "imposed": "mask of the first phase imposed, as trained",
    "ablated": "no mask",
    "swapped": "mask of the object attended second",
    "another": "mask of another stimulus that attended the object at the same place from the left",
    "carried": "mask carried to a scene whose objects changed places",
    "moved, no mask": "no mask in that scene",
}


UNALIGNED = (
    "whether it needs the object's own pixels cannot be told of photographs, in which the object of another stimulus "
    "has the same rank from the left and lies elsewhere"
)


def sentences(
    statistics: pd.DataFrame,
    n_objects: int,
    shown: tuple[str, str] = ("composites", "digits"),
    bound: float = BOUND,
) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    `shown` is what pictures and their objects are called; `bound` that of avoidance that counts.
    """
    together = rows_of(statistics, model="")
    main = rows_of(together, control="")
    return [
        *_control_warnings(together, bound),
        *_of_gates(main, n_objects, shown),
        *_of_choices(main, n_objects),
        *_of_controls(together),
        *_verdict(main, n_objects, bound, aligned=shown[1] == "digits"),
    ]


def _of_gates(main: pd.DataFrame, n_objects: int, shown: tuple[str, str]) -> Iterator[str]:
    contrast, *sides = (
        row_of(main, what="contrast", measure=name) for name in ("difference", "attended", "unattended")
    )
    over = "stimuli" if contrast["n_models"] == 1 else "networks"
    yield (
        f"Inhibition of return, {contrast['scope']}, {_number(contrast)} {shown[0]} of {n_objects} {shown[1]}. "
        f"Means [95 % interval over {over}].{caveat(contrast['scope'])}"
    )
    attended, unattended = (f"{row['estimate']:.4f} ± {row['sd']:.4f}" for row in sides)
    yield (
        f"The paper's contrast, which is selection: gate over attended pixels {attended}, over the others {unattended} "
        f"(± SD over {over}; dz = {contrast['effect_size']:.1f})."
    )
    gates = each_of(main, what="gate")
    texts = [f"{row['measure']} {interval(row)}" for row in gates]
    yield f"Gate over an object's own pixels in the free trial, and over the background: {'; '.join(texts)}."


def _of_choices(main: pd.DataFrame, n_objects: int) -> Iterator[str]:
    for row in each_of(main, what="return"):
        name = CONDITIONS.get(row["condition"], f"mask of {row['condition']}")
        if row["condition"] == "ablated":
            yield f"  return to the first object, {name}: {row['estimate']:.3f}, which follows from the architecture"
        else:
            yield f"  return to the first object, {name}: {interval(row)} ({_n(row)}, chance {row['null']:.2f})"
    for row in each_of(main, what="return to place"):
        name = CONDITIONS[row["condition"]]
        yield f"  choice of what now stands at the first object's place, {name}: {interval(row)} ({_n(row)})"
    for row in each_of(main, what="matched difference"):
        yield (
            f"  {row['measure']}, first attended less never attended at the same place, mask {row['condition']}: "
            f"{interval(row)} ({_n(row)})"
        )
    lags = [row for row in each_of(main, what="return by lag") if row["phase"] == n_objects]
    if len(lags) > 1:
        texts = [f"{int(row['lag'])} phase{'s' if row['lag'] > 1 else ''} ago {interval(row)}" for row in lags]
        yield f"  return in phase {n_objects} to what was attended {', '.join(texts)}"


def _of_controls(together: pd.DataFrame) -> Iterator[str]:
    rows = each_of(together[together["control"] != ""], what="return")
    texts = [f"{row['control']} {interval(row)} ({_n(row)})" for row in rows if row["control"] != "one_step"]
    if texts:
        yield f"  return with the mask imposed in controls: {', '.join(texts)}"
    checks = [f"{row['estimate']:.3f} with one time step, where no mask acts" for row in rows
              if row["control"] == "one_step"]  # fmt: skip
    if rows:
        checks.append("not defined at strength 0")
        yield f"  checks of the code, which follow from the architecture: return {', '.join(checks)}"


def _verdict(main: pd.DataFrame, n_objects: int, bound: float, *, aligned: bool) -> Iterator[str]:
    """Yield the verdict with what it rests on; `aligned` if objects of one place lie at the same pixels."""
    whose = verdict(main, bound)
    text = f"Verdict: avoidance of the attended object is {whose}"
    if whose not in {ABSENT, UNDECIDED}:
        text += f"; what the mask inhibits is {inhibited(main, bound)}; "
        text += (
            {
                "part": "part of the avoidance needs the object's own pixels",
                "none": "the object's own pixels are not needed",
                UNDECIDED: "whether it needs the object's own pixels is undecided",
            }[own_pixels(main, bound)]
            if aligned
            else UNALIGNED
        )
    yield f"{text}."
    yield (
        "It rests on avoidance: how much less often a mask lets an object be chosen than no mask, on the same "
        f"pictures. That counts as there where the interval lies above {bound:g}, and as none within ±{bound:g}."
    )
    for row in each_of(main, what="avoidance"):
        yield f"  avoidance {AVOIDANCE[row['condition']]}: {interval(row)} ({_n(row)})"
    for row in each_of(main, what="needs own pixels"):
        yield f"  of the stimuli that the own mask turns away, another's does not on {interval(row)} ({_n(row)})"
    if n_objects == 2 and each_of(main, what="avoidance"):
        yield (
            "  (with two objects avoidance of the first one where it now stands, and of what stands at its place, are "
            "one number with either sign, tested once; inhibition of both alike would look there like none)"
        )
    yield (
        "No state but the mask outlasts a phase of these networks: without it the second phase is the first one again, "
        "and the return of 1.000 follows from that. Biology (Posner & Cohen 1984; Klein 2000): return is slower for up "
        "to five places, and moves with objects that move."
    )


def _control_warnings(together: pd.DataFrame, bound: float) -> list[str]:
    """Return a line for every control, but the network itself, that avoids the object it attended."""
    rows = each_of(together[together["control"] != ""], what="avoidance")
    return [
        f"WARNING: the control {row['control']} avoids the first object: with its mask it returns on a fraction of "
        f"trials that is lower by {interval(row)} than without."
        for row in rows
        if row["control"] != "intact" and acts(row, bound)
    ]


def _number(row: Any) -> str:
    fewest, most = int(row["n_stimuli"]), int(row["n_stimuli_most"])
    return f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"


def _n(row: Any) -> str:
    return f"n = {_number(row)}"
