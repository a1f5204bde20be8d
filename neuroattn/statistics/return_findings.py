"""What the statistics of inhibition of return show, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = {
    "imposed": "mask of the first phase imposed, as trained",
    "ablated": "no mask",
    "swapped": "mask of the object attended second",
    "another": "mask of another stimulus that attended the same place",
    "carried": "mask carried to a scene whose objects changed places",
    "moved, no mask": "no mask in that scene",
}


def verdict(statistics: pd.DataFrame) -> str:
    """Return whether the network avoids an object because the mask is imposed, or by itself.

    ``emergent``: it returns below chance without a mask (95 % interval); ``imposed by the mask``: it returns less often
    with the mask than without; ``absent``: neither.
    """
    ablated = _row(statistics, "return", "ablated")
    if ablated["interval_high"] < ablated["null"]:
        return "emergent"
    return "imposed by the mask" if _row(statistics, "avoidance", "imposed")["interval_low"] > 0 else "absent"


def of_place(statistics: pd.DataFrame) -> str:
    """Return what the mask inhibits: what is chosen less often with it, in the scene whose objects changed places."""
    place, thing = (_row(statistics, "avoidance", name)["interval_low"] > 0 for name in ("carried to place", "carried"))
    names = {(True, False): "the place", (False, True): "the object", (True, True): "place and object"}
    return names.get((bool(place), bool(thing)), "neither place nor object")


def findings(statistics: pd.DataFrame, n_objects: int, shown: tuple[str, str] = ("composites", "digits")) -> list[str]:
    """Return sentences with estimates, intervals and numbers, warnings first.

    Parameters
    ----------
    statistics
        `neuroattn.statistics.return_summary.summarise`, with controls.
    n_objects
        Of a picture.
    shown
        What pictures and their objects are called.
    """
    main = statistics[statistics["control"].isna()]
    contrast = _row(main, "contrast", "free", "difference")
    one = contrast["n_models"] == 1
    over = "stimuli" if one else "networks"
    lines = [
        *_control_warnings(statistics),
        (
            f"Inhibition of return, {contrast['scope']}, {int(contrast['n_stimuli']):,} {shown[0]} "
            f"of {n_objects} {shown[1]}. "
            f"Means [95 % interval over {over}]."
            + (" They are about this network, not about networks of its kind: give several seeds." if one else "")
        ),
        (
            "The paper's contrast, which is selection: gate over attended pixels "
            f"{_spread(_row(main, 'contrast', 'free', 'attended'))}, over the others "
            f"{_spread(_row(main, 'contrast', 'free', 'unattended'))} (± SD over {over}; dz = "
            f"{contrast['effect_size']:.1f})."
        ),
        "Gate over an object's own ink in the free trial: "
        + "; ".join(
            f"{row['measure']} {_interval(row)}" for row in _rows(main, "gate") if row["measure"] != "background"
        )
        + f"; background {_interval(_row(main, 'gate', 'free', 'background'))}.",
    ]
    for row in _rows(main, "return"):
        name = CONDITIONS.get(row["condition"], f"mask of {row['condition']}")
        lines.append(f"  return to the first object, {name}: {_interval(row)} (chance {row['null']:.2f})")
    lines += [
        f"  choice of what now stands at the first object's place, {CONDITIONS[row['condition']]}: {_interval(row)}"
        for row in _rows(main, "return to place")
    ]
    lines += [
        f"  {row['measure']}, first attended less never attended at the same place, mask {row['condition']}: "
        f"{_interval(row)}"
        for row in _rows(main, "matched difference")
    ]
    lags = [row for row in _rows(main, "return by lag") if row["phase"] == n_objects]
    if len(lags) > 1:
        texts = [f"{int(row['lag'])} phase{'s' if row['lag'] > 1 else ''} ago {_interval(row)}" for row in lags]
        lines.append(f"  return in phase {n_objects} to what was attended {', '.join(texts)}")
    controls = statistics[(statistics["what"] == "return") & statistics["control"].notna()]
    if len(controls):
        texts = [f"{row['control']} {row['estimate']:.3f}" for row in controls.to_dict("records")]
        lines.append(f"  return with the mask imposed in controls: {', '.join(texts)} (not defined at strength 0)")
    lines += [
        f"Verdict: avoidance of the attended object is {verdict(main)}"
        + ("." if verdict(main) == "absent" else f"; what the mask inhibits is {of_place(main)}."),
        (
            "No state but the mask outlasts a phase of these networks, so that without it the second phase is the "
            "first one again. Biology (Posner & Cohen 1984; Klein 2000): return is slower for up to five places, and "
            "moves with objects that move."
        ),
    ]
    return lines


def _control_warnings(statistics: pd.DataFrame) -> list[str]:
    """Return a line for every control, but the network itself, that avoids the object it attended."""
    rows = statistics[(statistics["what"] == "avoidance") & statistics["control"].notna()]
    shown = rows[(rows["control"] != "intact") & (rows["interval_low"] > 0)]
    return [
        f"WARNING: the control {row['control']} avoids the first object: with its mask it returns on "
        f"{row['estimate']:.3f} fewer trials than without."
        for row in shown.to_dict("records")
    ]


def _rows(statistics: pd.DataFrame, what: str) -> list[dict[str, Any]]:
    return [
        {str(key): value for key, value in row.items()}
        for row in statistics[statistics["what"] == what].to_dict("records")
    ]


def _row(statistics: pd.DataFrame, what: str, condition: str, measure: str | None = None) -> pd.Series[Any]:
    rows = statistics[(statistics["what"] == what) & (statistics["condition"] == condition)]
    return (rows if measure is None else rows[rows["measure"] == measure]).iloc[0]


def _interval(row: Any) -> str:
    return f"{row['estimate']:.3f} [{row['interval_low']:.3f}, {row['interval_high']:.3f}]"


def _spread(row: Any) -> str:
    return f"{row['estimate']:.4f} ± {row['sd']:.4f}"
