"""From trials to one row an effect of inhibition of return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as formula
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from neuroattn.labels import MODEL
from neuroattn.statistics.population import adjust
from neuroattn.statistics.resampling import hierarchical_bootstrap
from neuroattn.statistics.return_trials import BEFORE, FREE, NEVER, NOW
from neuroattn.statistics.sign_flip import sign_flip_test

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = [
    "what", "measure", "condition", "phase", "lag", "control", "estimate", "interval_low", "interval_high", "sd",
    "null", "effect_size", "n_models", "n_stimuli", "scope", "test", "p", "p_adjusted", "p_sign_flip",
    "smallest_p_sign_flip", "warnings",
]  # fmt: skip
FRACTIONS = ("return", "return to place", "return by lag")


def summarise(trials: pd.DataFrame, generator: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    """Return an estimate for every effect.

    Parameters
    ----------
    trials
        `neuroattn.statistics.return_trials.return_trials` of one network or more.
    generator, n_resamples
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row an effect. With several networks: mean over networks, 95 % t interval, t and sign-flip tests over
        network means. With one: mean over stimuli, 95 % bootstrap interval over stimuli (Wilson's for fractions), no p.
        ``sd`` and ``effect_size`` (dz) are over networks, or over the stimuli of one. The effects:

        - ``gate``, by status and for the background, in the free trial; ``contrast``, the paper's: gate over unattended
          less that over attended pixels;
        - ``return``: the unconstrained choice is the object that the first phase attended, by condition; in scenes
          whose objects moved also ``return to place``: it is the object that stands where that one stood;
        - ``avoidance``: how much less often a mask lets that be chosen than no mask does, on the same pictures: of the
          first object (``imposed``, and ``carried`` in the scene whose objects moved), of what stands at its place
          (``carried to place``);
        - ``matched difference``: object attended in the first phase less never attended ones, in the second phase with
          the mask imposed, at the same place (least squares with an effect of place, errors clustered by stimulus).
          Which object is attended first is not drawn by lot, so that what makes it win is in the difference;
        - ``return by lag``, ``gate by lag``: in the free trial, by how many phases ago the object was attended.
    """
    rows = [
        {**about, **_estimate(values, null, generator, n_resamples, fraction=about["what"] in FRACTIONS)}
        for about, values, null in _effects(trials)
        if len(values)
    ]
    second = trials[(trials["phase"] == 2) & (trials["first"] | trials["status"].eq(NEVER))]
    measures = sorted(name for name in map(str, trials.columns) if name == "gate" or name.startswith("response_"))
    # With two objects none is never attended.
    for name in measures if trials["object"].nunique() > 2 else ():
        row = _matched(second[second["condition"] == "imposed"], name)
        if row is not None:
            rows.append({"what": "matched difference", "measure": name, "condition": "imposed", "phase": 2, **row})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def summarise_control(trials: pd.DataFrame, generator: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    """Return the return with the mask imposed, and the paper's contrast, of a control; without trials no row."""
    if trials.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows = [
        {**about, **_estimate(values, null, generator, n_resamples, fraction=about["what"] in FRACTIONS)}
        for about, values, null in _effects(trials)
        if len(values)
        and (
            about["what"] == "contrast"
            or (about["what"], about["condition"]) in {("return", "imposed"), ("avoidance", "imposed")}
        )
    ]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def adjusted(statistics: pd.DataFrame) -> pd.DataFrame:
    """Add Benjamini–Hochberg adjusted p values; a family is all effects of the networks, or of one control."""
    control = statistics["control"].astype(object).where(statistics["control"].notna(), "")
    return statistics.assign(p_adjusted=statistics.groupby(control, sort=False)["p"].transform(adjust))[COLUMNS]


def _effects(trials: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame, float]]:
    """Yield what an effect is, its value of each stimulus (model, value), and what no effect would give."""
    free = trials[trials["condition"] == FREE]
    key = [MODEL, "stimulus_id"]
    for status in (NOW, BEFORE, NEVER):
        shown = free[free["status"] == status]
        if len(shown):
            yield {"what": "gate", "measure": status, "condition": FREE}, _mean_of(shown, key, "gate"), np.nan
    yield {"what": "gate", "measure": "background", "condition": FREE}, _mean_of(free, key, "gate_background"), np.nan
    difference = free.assign(value=free["gate_unattended"] - free["gate_attended"])
    for measure, column in (("attended", "gate_attended"), ("unattended", "gate_unattended"), ("difference", "value")):
        null = 0.0 if measure == "difference" else np.nan
        yield {"what": "contrast", "measure": measure, "condition": FREE}, _mean_of(difference, key, column), null
    chance = 1 / trials["object"].nunique()
    for condition, shown in trials[trials["condition"] != FREE].groupby("condition", sort=False):
        about: dict[str, Any] = {"what": "return", "condition": condition, "phase": 2}
        yield about, _mean_of(shown[shown["first"]], key, "chosen"), chance
        if condition in {"carried", "moved, no mask"}:
            about = {**about, "what": "return to place"}
            yield about, _mean_of(shown[shown["inhibited_place"]], key, "chosen"), chance
    for name, condition, without, which in (
        ("imposed", "imposed", "ablated", "first"),
        ("carried", "carried", "moved, no mask", "first"),
        ("carried to place", "carried", "moved, no mask", "inhibited_place"),
    ):
        kept = trials[trials[which] & trials["condition"].isin([condition, without])]
        both = kept.pivot_table(values="chosen", index=key, columns="condition", aggfunc="mean").dropna()
        if len(both):
            values = (both[without] - both[condition]).astype(float).rename("value").reset_index()
            yield {"what": "avoidance", "condition": name, "phase": 2}, values, 0.0
    for (phase, lag), shown in free[free["lag"].notna()].groupby(["phase", "lag"]):
        about = {"condition": FREE, "phase": phase, "lag": lag}
        yield {"what": "return by lag", **about}, _mean_of(shown, key, "chosen"), chance
        yield {"what": "gate by lag", "measure": "gate", **about}, _mean_of(shown, key, "gate"), np.nan


def _mean_of(rows: pd.DataFrame, key: list[str], column: str) -> pd.DataFrame:
    """Return the mean of a column for each stimulus of each network, without those that have none."""
    means = rows.groupby(key, sort=True)[column].mean().dropna().rename("value")
    return means.reset_index()


def _estimate(
    values: pd.DataFrame, null: float, generator: np.random.Generator, n_resamples: int, *, fraction: bool
) -> dict[str, Any]:
    numbers = values["value"].to_numpy(np.float64)
    means = values.groupby(MODEL)["value"].mean().to_numpy(np.float64)
    about = {"null": null, "n_models": len(means), "n_stimuli": len(values) // max(len(means), 1)}
    if len(means) > 1:
        return about | _over_networks(means, null, generator)
    if fraction:
        low, high = proportion_confint(numbers.sum(), len(numbers), method="wilson")
    else:
        low, high = hierarchical_bootstrap(numbers, [], "mean", n_resamples, generator)
    sd = float(numbers.std(ddof=1))
    return about | {
        "estimate": float(numbers.mean()),
        "interval_low": low,
        "interval_high": high,
        "sd": sd,
        "effect_size": (numbers.mean() - null) / sd if sd > 0 else np.nan,
        "scope": "stimuli of one network",
        "test": "none",
    }


def _over_networks(means: np.ndarray, null: float, generator: np.random.Generator) -> dict[str, Any]:
    """Return mean, t interval and tests over networks."""
    n, mean, sd = len(means), float(means.mean()), float(means.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n)
    row: dict[str, Any] = {"estimate": mean, "interval_low": mean - half, "interval_high": mean + half, "sd": sd}
    row |= {"scope": f"{n} networks", "test": "none", "effect_size": np.nan}
    if not np.isnan(null):
        flipped = sign_flip_test(means - null, generator)
        row |= {"p_sign_flip": flipped.p, "smallest_p_sign_flip": flipped.smallest_p, "warnings": flipped.warning}
        row["test"] = f"two-sided one-sample t test of {n} network means against {null:.3g}"
        if sd > 1e-12:
            row |= {"effect_size": (mean - null) / sd, "p": float(stats.ttest_1samp(means, null).pvalue)}
        else:
            row["warnings"] = "; ".join([*filter(None, [flipped.warning]), "network means are equal: no t test"])
    return row


def _matched(rows: pd.DataFrame, measure: str) -> dict[str, Any] | None:
    """Return the difference between the object attended first and never attended ones at the same place."""
    known = rows.dropna(subset=[measure]).assign(first=rows["first"].astype(float), value=rows[measure])
    # A place where only one kind stands tells nothing of the difference.
    both = known.groupby([MODEL, "place"])["first"].transform("nunique") == 2
    known = known[both]
    estimates, fits = [], []
    for _, of_model in known.groupby(MODEL):
        fit = formula.ols("value ~ first + C(place)", of_model).fit(
            cov_type="cluster", cov_kwds={"groups": pd.factorize(of_model["stimulus_id"])[0]}
        )
        fits.append(fit)
        estimates.append(float(fit.params["first"]))
    if not estimates:
        return None
    about = {
        "null": 0.0,
        "n_models": len(estimates),
        "n_stimuli": int(known.groupby(MODEL)["stimulus_id"].nunique().min()),
    }
    if len(estimates) > 1:
        return about | _over_networks(np.array(estimates), 0.0, np.random.default_rng(0))
    low, high = fits[0].conf_int().loc["first"]
    return about | {
        "estimate": estimates[0],
        "interval_low": float(low),
        "interval_high": float(high),
        "scope": "stimuli of one network",
        "test": "none",
    }
