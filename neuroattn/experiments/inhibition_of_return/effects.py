"""The effects of inhibition of return: what each is of every stimulus, and what no effect would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neuroattn.dims import MODEL
from neuroattn.experiments.inhibition_of_return.trials import BEFORE, FREE, NEVER, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

# What the mean of an effect's values is: of choices, of differences of two choices, of a gate, or of other numbers.
FRACTION, DIFFERENCE, GATE, NUMBER = "fraction", "difference", "gate", "number"
# What avoidance is called, and with which masks, of which object or place, the choice is compared.
AVOIDANCE = {
    "imposed": ("imposed", "ablated", "first"),
    "another": ("another", "ablated", "first"),
    "own less another": ("imposed", "another", "first"),
    "carried": ("carried", "moved, no mask", "first"),
    "carried to place": ("carried", "moved, no mask", "inhibited_place"),
}
_KEY = [MODEL, "stimulus_id"]


class Effect(NamedTuple):
    """An effect: its names, and its value of every stimulus (``model, value``).

    `about` holds ``what, measure, condition, phase, lag``; `null` is what no effect would give, NaN where there is no
    such number; `kind` what the values are; `untested` why it is not tested, "" if it is.
    """

    about: dict[str, Any]
    values: pd.DataFrame
    null: float
    kind: str
    untested: str = ""

    @property
    def name(self) -> str:
        """What it is called, from which its random numbers are drawn."""
        return "/".join(f"{key}={value}" for key, value in self.about.items())


def effects(trials: pd.DataFrame) -> Iterator[Effect]:
    """Yield every effect that the trials of one network or more tell something of."""
    every = (*_gates(trials), *_returns(trials), *_avoidance(trials), *_by_lag(trials))
    yield from (effect for effect in every if len(effect.values))


def _gates(trials: pd.DataFrame) -> Iterator[Effect]:
    free = trials[trials["condition"] == FREE]
    for status in (NOW, BEFORE, NEVER):
        shown = free[free["status"] == status]
        yield Effect({"what": "gate", "measure": status, "condition": FREE}, _mean_of(shown, "gate"), np.nan, GATE)
    about = {"what": "gate", "measure": "background", "condition": FREE}
    yield Effect(about, _mean_of(free, "gate_background"), np.nan, GATE)
    difference = free.assign(value=free["gate_unattended"] - free["gate_attended"])
    for measure, column in (("attended", "gate_attended"), ("unattended", "gate_unattended"), ("difference", "value")):
        about = {"what": "contrast", "measure": measure, "condition": FREE}
        null, kind = (0.0, NUMBER) if measure == "difference" else (np.nan, GATE)
        yield Effect(about, _mean_of(difference, column), null, kind)


def _returns(trials: pd.DataFrame) -> Iterator[Effect]:
    n_objects = trials["object"].nunique()
    for condition, shown in trials[trials["condition"] != FREE].groupby("condition", sort=False):
        about: dict[str, Any] = {"what": "return", "condition": condition, "phase": 2}
        untested = "follows from the architecture" if condition == "ablated" else ""
        yield Effect(about, _mean_of(shown[shown["first"]], "chosen"), 1 / n_objects, FRACTION, untested)
        if condition in {"carried", "moved, no mask"}:
            at_place = _mean_of(shown[shown["inhibited_place"]], "chosen")
            untested = "with two objects all but the return" if n_objects == 2 else ""
            yield Effect({**about, "what": "return to place"}, at_place, 1 / n_objects, FRACTION, untested)


def _avoidance(trials: pd.DataFrame) -> Iterator[Effect]:
    for name, (condition, without, which) in AVOIDANCE.items():
        both = _side_by_side(trials[trials[which]], condition, without)
        about = {"what": "avoidance", "condition": name, "phase": 2}
        # Where without a mask the choice is always the first object, the difference is the fraction that is not.
        always = without == "ablated" and bool((both[without] == 1).all())
        opposite = name == "carried to place" and trials["object"].nunique() == 2
        untested = "with two objects the opposite of carried" if opposite else ""
        values = _values(both[without] - both[condition])
        yield Effect(about, values, 0.0, FRACTION if always else DIFFERENCE, untested)
    three = _side_by_side(trials[trials["first"]], "imposed", "ablated", "another")
    avoided = three[(three["ablated"] == 1) & (three["imposed"] == 0)]
    about = {"what": "needs own pixels", "condition": "another", "phase": 2}
    yield Effect(about, _values(avoided["another"]), np.nan, FRACTION, "a share of what own less another tests")


def _by_lag(trials: pd.DataFrame) -> Iterator[Effect]:
    free, chance = trials[trials["condition"] == FREE], 1 / trials["object"].nunique()
    for (phase, lag), shown in free[free["lag"].notna()].groupby(["phase", "lag"]):
        about = {"condition": FREE, "phase": phase, "lag": lag}
        yield Effect({"what": "return by lag", **about}, _mean_of(shown, "chosen"), chance, FRACTION)
        yield Effect({"what": "gate by lag", "measure": "gate", **about}, _mean_of(shown, "gate"), np.nan, GATE)


def _mean_of(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean of a column for each stimulus of each network, without those that have none."""
    return _values(rows.groupby(_KEY, sort=False)[column].mean().dropna())


def _side_by_side(trials: pd.DataFrame, *conditions: str) -> pd.DataFrame:
    """Return the choices (stimulus of a network, condition), of stimuli whose choice is defined in all of them."""
    kept = trials[trials["condition"].isin(conditions)]
    table = kept.pivot_table(values="chosen", index=_KEY, columns="condition", aggfunc="mean", sort=False)
    return table.reindex(columns=list(conditions)).dropna().astype(float)


def _values(values: pd.Series[float]) -> pd.DataFrame:
    return values.rename("value").reset_index()
