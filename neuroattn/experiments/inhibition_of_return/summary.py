"""From trials to one row an effect of inhibition of return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import statsmodels.formula.api as formula
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from neuroattn.dims import MODEL
from neuroattn.experiments.inhibition_of_return.effects import DIFFERENCE, FRACTION, GATE, NUMBER, Effect, effects
from neuroattn.experiments.inhibition_of_return.trials import NEVER
from neuroattn.statistics.estimates import with_texts
from neuroattn.statistics.intervals import fraction_interval, limited_interval, paired_difference_interval, t_interval
from neuroattn.statistics.resampling import hierarchical_bootstrap, named_generator
from neuroattn.statistics.sign_flip import sign_flip_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuroattn.statistics.intervals import MeanInterval
    from neuroattn.statistics.population import Row

COLUMNS = [
    "model", "what", "measure", "condition", "phase", "lag", "control", "estimate", "interval_low", "interval_high",
    "sd", "null", "effect_size", "n_models", "n_stimuli", "n_stimuli_most", "scope", "test", "p", "p_adjusted",
    "p_sign_flip", "smallest_p_sign_flip", "warnings",
]  # fmt: skip
# What is told of a control.
_OF_CONTROLS = {("return", "imposed"), ("avoidance", "imposed")}


def return_statistics(trials: pd.DataFrame, seed: int, n_resamples: int, control: str | None = None) -> pd.DataFrame:
    """Return an estimate for every effect, of all networks together (``model`` "") and of each of several.

    Of several networks: mean, 95 % t interval (within the limits of fractions, their differences and gates), t and
    sign-flip tests over network means. Of one: mean over stimuli, 95 % interval over stimuli (Wilson's of fractions,
    Tango's of differences of choices on the same stimuli, else a bootstrap), no p. ``sd`` and ``effect_size`` (dz) are
    over networks, or over the stimuli of one; ``n_stimuli`` and ``n_stimuli_most`` the fewest and the most of a
    network. Of a `control` the contrast and the return with the mask imposed alone. The effects:

    - ``gate``, by status and for the background, in the free trial; ``contrast``, the paper's: gate over unattended
      less that over attended pixels;
    - ``return``: the unconstrained choice is the object that the first phase attended, by condition; in scenes
      whose objects moved also ``return to place``: it is the object that stands where that one stood;
    - ``avoidance``: how much less often a mask lets that be chosen than no mask does, on the same pictures: of the
      first object by its own mask (``imposed``), by that of another stimulus of which the object at the same place
      was attended (``another``), and by the former less by the latter (``own less another``); in the scene whose
      objects moved, of the first object (``carried``) and of what stands at its place (``carried to place``);
    - ``needs own pixels``: of the stimuli on which the own mask turns the choice away, the fraction on which that
      of another stimulus does not;
    - ``matched difference``: object attended in the first phase less never attended ones, in the second phase with
      the mask imposed, at the same place (least squares with an effect of place, errors clustered by stimulus).
      Which object is attended first is not drawn by lot, so that what makes it win is in the difference;
    - ``return by lag``, ``gate by lag``: in the free trial, by how many phases ago the object was attended.
    """
    if trials.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows: list[Row] = []
    for effect in effects(trials):
        told = effect.about["what"] == "contrast" or (effect.about["what"], effect.about["condition"]) in _OF_CONTROLS
        if control is None or told:
            untested = "checks the code: without feedback no mask acts" if control == "one_step" else effect.untested
            rows += _estimates(effect._replace(untested=untested), seed, control or "", n_resamples)
    # With two objects none is never attended.
    if control is None and trials["object"].nunique() > 2:
        rows += _matched_differences(trials, seed)
    return with_texts(pd.DataFrame(rows).assign(control=control).reindex(columns=COLUMNS))


def _estimates(effect: Effect, seed: int, control: str, n_resamples: int) -> Iterator[Row]:
    """Yield the row of all networks, and those of each."""
    of_each = {
        str(name): _of_one_network(
            of_network["value"].to_numpy(np.float64),
            effect,
            named_generator(seed, control, name, effect.name),
            n_resamples,
        )
        for name, of_network in effect.values.groupby(MODEL, sort=False)
    }
    yield from _together(effect, of_each, named_generator(seed, control, effect.name))


def _together(effect: Effect, of_each: Mapping[str, Row], generator: np.random.Generator) -> Iterator[Row]:
    """Yield the row of all networks, and after it those of each; of a single one its own is that of all."""
    about = {**effect.about, "null": effect.null}
    rows = [
        {**about, "model": name, "n_models": 1, "n_stimuli_most": row["n_stimuli"], **row}
        for name, row in of_each.items()
    ]
    if len(rows) == 1:
        yield {**rows[0], "model": ""}
    elif rows:
        means, counts = np.array([row["estimate"] for row in rows]), [row["n_stimuli"] for row in rows]
        n = {"n_models": len(rows), "n_stimuli": min(counts), "n_stimuli_most": max(counts)}
        yield {**about, "model": "", **n, **_over_networks(means, effect, generator, min(counts))}
        yield from rows


def _of_one_network(numbers: np.ndarray, effect: Effect, generator: np.random.Generator, n_resamples: int) -> Row:
    if effect.kind == FRACTION:
        low, high = proportion_confint(numbers.sum(), len(numbers), method="wilson")
    elif effect.kind == DIFFERENCE:
        _, low, high = paired_difference_interval(numbers)
    else:
        low, high = hierarchical_bootstrap(numbers, [], "mean", n_resamples, generator)
    mean, sd = float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else np.nan
    return {
        "estimate": mean,
        "interval_low": low,
        "interval_high": high,
        "sd": sd,
        "effect_size": (mean - effect.null) / sd if sd > 0 else np.nan,
        "n_stimuli": len(numbers),
        "scope": "stimuli of one network",
        "test": _not_tested(effect),
    }


def _over_networks(means: np.ndarray, effect: Effect, generator: np.random.Generator, n_stimuli: int) -> Row:
    """Return mean, interval and tests over networks, each of at least so many stimuli."""
    n, null = len(means), effect.null
    mean, low, high = _interval(means, effect.kind, n_stimuli)
    sd = float(means.std(ddof=1))
    row: Row = {"estimate": mean, "interval_low": low, "interval_high": high, "sd": sd}
    row |= {"scope": f"{n} networks", "test": _not_tested(effect), "effect_size": np.nan}
    if np.isnan(null) or effect.untested:
        return row
    flipped = sign_flip_test(means - null, generator)
    row |= {"p_sign_flip": flipped.p, "smallest_p_sign_flip": flipped.smallest_p, "warnings": flipped.warning}
    row["test"] = f"two-sided one-sample t test of {n} network means against {null:.3g}"
    if sd > 1e-12:
        return row | {"effect_size": (mean - null) / sd, "p": float(stats.ttest_1samp(means, null).pvalue)}
    row["warnings"] = "; ".join([*filter(None, [flipped.warning]), "network means are equal: no t test"])
    return row


def _interval(means: np.ndarray, kind: str, n_stimuli: int) -> MeanInterval:
    """Return the mean over networks with its interval, inside the limits of what is averaged."""
    if kind == NUMBER:
        return t_interval(means)
    if kind == GATE:
        return limited_interval(np.clip(means, -1, 1), (-1, 1))  # rounding alone leads beyond
    return fraction_interval(means, (0, 1) if kind == FRACTION else (-1, 1), trials=n_stimuli)


def _not_tested(effect: Effect) -> str:
    return f"none: {effect.untested}" if effect.untested else "none"


def _matched_differences(trials: pd.DataFrame, seed: int) -> Iterator[Row]:
    """Yield the differences between the object attended first and never attended ones, of every measure."""
    rows = trials[
        (trials["phase"] == 2) & (trials["condition"] == "imposed") & (trials["first"] | trials["status"].eq(NEVER))
    ]
    measures = sorted(name for name in map(str, trials.columns) if name == "gate" or name.startswith("response_"))
    for measure in measures:
        about = {"what": "matched difference", "measure": measure, "condition": "imposed", "phase": 2, "null": 0.0}
        effect = Effect(about, pd.DataFrame(), 0.0, NUMBER)
        yield from _together(effect, _matched(rows, measure), named_generator(seed, effect.name))


def _matched(rows: pd.DataFrame, measure: str) -> dict[str, Row]:
    """Return every network's difference at the same place."""
    known = rows.dropna(subset=[measure]).assign(first=rows["first"].astype(float), value=rows[measure])
    # A place where only one kind stands tells nothing of the difference.
    both = known.groupby([MODEL, "place"])["first"].transform("nunique") == 2
    found: dict[str, Row] = {}
    for name, of_model in known[both].groupby(MODEL, sort=False):
        stimulus = pd.factorize(of_model["stimulus_id"])[0]
        fit = formula.ols("value ~ first + C(place)", of_model).fit(cov_type="cluster", cov_kwds={"groups": stimulus})
        low, high = map(float, fit.conf_int().loc["first"])
        found[str(name)] = {
            "estimate": float(fit.params["first"]),
            "interval_low": low,
            "interval_high": high,
            "n_stimuli": int(stimulus.max()) + 1,
            "scope": "stimuli of one network",
            "test": "none",
        }
    return found
