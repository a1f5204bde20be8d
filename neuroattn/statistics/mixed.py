"""A linear mixed model of attention by layer, with networks as the sample."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from neuroattn.dims import LAYER, MODEL
from neuroattn.statistics.curves import is_constant

if TYPE_CHECKING:
    from neuroattn.statistics.least_squares import FloatArray

CONFIDENCE = 0.95
_NEGLIGIBLE = 1e-9
MOST_UNEQUAL = 4.0  # ratio of the layers' variances, which the model takes as one


def mixed_model(units: pd.DataFrame, value: str) -> pd.DataFrame:
    """Fit ``response ~ attention × layer`` with a random effect of attention by network, and by layer within it.

    Each unit of network j in layer l has two responses to the same stimuli, attended and not, and an intercept of its
    own (units are nested in networks). The model is fitted to their difference, in which that intercept and the layers'
    mean responses cancel::

        difference_jlu = attention_l + b_j + c_jl + e_jlu,   b_j ~ N(0, σ_b²), c_jl ~ N(0, σ_c²), e_jlu ~ N(0, σ²)

    by restricted maximum likelihood (statsmodels' MixedLM, by Nelder and Mead's method): the model of the responses
    themselves with a random intercept per unit, but without a parameter per unit. Tests and intervals use t on
    (networks − 1) degrees of freedom, because networks are independent samples and units are not; statsmodels' own z
    would reject too often with few networks.

    Variances are the same in all layers. Where they are not, the test is too cautious in a layer of small variance and
    too bold in one of large variance: give an effect that is comparable over layers, such as a modulation index, or one
    layer alone, which makes it a t test over network means.

    Parameters
    ----------
    units : DataFrame
        One row per unit, with the columns ``model``, ``layer`` and `value`. Units with NaN are dropped and counted.
    value : str
        Mean response attended minus unattended.

    Returns
    -------
    DataFrame
        A row for attention in each layer (``what``: ``attention``), and one for the difference of attention's effect
        between each layer and the first one in the table (``attention × layer``): ``layer``, ``against`` (the layer
        compared with, "" for none), ``estimate``, ``interval_low``, ``interval_high`` (95 %), ``standard_error``,
        ``effect_size`` (dz: mean over the standard deviation of the networks' means), ``t``, ``df``, ``p``,
        ``n_models``, ``n_units``, ``n_missing``, ``converged``, ``warnings`` (statsmodels' own, too). Where units of a
        network do not differ, errors and p are NaN, and ``warnings`` says so.

    Raises
    ------
    ValueError
        If a column is missing, an effect is infinite, there are fewer than two networks, a network lacks a layer, or
        each has a single unit in each, so that units and networks cannot be told apart.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> units = pd.DataFrame({"model": np.repeat([*"abcdef"], 50), "layer": "stage1"})
    >>> units["index"] = np.repeat(random.normal(0.1, 0.1, 6), 50) + random.normal(0, 0.2, 300)
    >>> mixed_model(units, "index")[["what", "layer", "estimate", "df", "p"]].round(4)
            what   layer  estimate  df       p
    0  attention  stage1    0.1011   5  0.0015
    """
    import statsmodels.formula.api as formula

    table = _checked(units, value)
    layers: list[str] = list(table[LAYER].cat.categories)
    layered = {"layer": "0 + C(layer)"} if len(layers) > 1 else None
    model = formula.mixedlm("difference ~ 0 + C(layer)", table, groups="model", re_formula="1", vc_formula=layered)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Near a variance of 0 methods with gradients stop short of the optimum, and there are two variances at most.
        try:
            result = model.fit(reml=True, method="nm")
        except np.linalg.LinAlgError:  # Nelder and Mead's method cannot step off a variance of exactly 0
            result = model.fit(reml=True, method="powell")
    fixed = slice(len(layers))
    means, covariance = result.fe_params.to_numpy(), result.cov_params().to_numpy()[fixed, fixed]
    of_network = table.pivot_table(values="difference", index=MODEL, columns=LAYER, observed=True).to_numpy(np.float64)
    notes = [" ".join(str(warning.message).split()) for warning in caught]
    squares = _squares_around_means(table)
    if float(squares.mean()) <= _NEGLIGIBLE * float(table["difference"].var()):
        covariance = np.full_like(covariance, np.nan)
        notes.append("units of a network do not differ within a layer, which leaves no noise to model: test the means")
    variances = squares.groupby(table[LAYER], observed=True).mean()
    if variances.min() > 0 and (unequal := variances.max() / variances.min()) > MOST_UNEQUAL:
        notes.append(
            f"the variance over units of one layer is {unequal:.3g} times that of another: of the layer that varies "
            "more the test is too bold, and its own t test over networks decides"
        )
    contrasts = np.eye(len(layers))
    named = [("attention", layer, "", contrast) for layer, contrast in zip(layers, contrasts, strict=True)]
    named += [
        ("attention × layer", layer, layers[0], contrast - contrasts[0])
        for layer, contrast in zip(layers[1:], contrasts[1:], strict=True)
    ]
    rows = [
        {"what": what, "layer": layer, "against": against, **_row(contrast, means, covariance, of_network)}
        for what, layer, against, contrast in named
    ]
    return pd.DataFrame(rows).assign(
        n_models=table[MODEL].nunique(),
        n_units=len(table),
        n_missing=len(units) - len(table),
        converged=bool(result.converged),
        warnings="; ".join(dict.fromkeys(notes)),
    )


def _squares_around_means(table: pd.DataFrame) -> pd.Series[float]:
    """Return units' squared distances from the mean of their layer and network."""
    means = table.groupby([MODEL, LAYER], observed=True)["difference"].transform("mean")
    return (table["difference"] - means) ** 2


def _row(contrast: FloatArray, means: FloatArray, covariance: FloatArray, of_network: FloatArray) -> dict[str, float]:
    """Return estimate, interval and test of a contrast of layers; `of_network` has their means (network, layer)."""
    estimate, squared = float(contrast @ means), float(contrast @ covariance @ contrast)
    error = float(np.sqrt(squared)) if squared > 0 else np.nan  # of differences without any noise
    values = of_network @ contrast
    spread = np.nan if is_constant(values[None])[0] else float(values.std(ddof=1))
    df = len(of_network) - 1
    half = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * error
    t = estimate / error
    return {
        "estimate": estimate,
        "interval_low": estimate - half,
        "interval_high": estimate + half,
        "standard_error": error,
        "effect_size": float(values.mean()) / spread,
        "t": t,
        "df": df,
        "p": float(2 * stdtr(df, -abs(t))),
    }


def _checked(units: pd.DataFrame, value: str) -> pd.DataFrame:
    missing = [column for column in (MODEL, LAYER, value) if column not in units.columns]
    if missing:
        raise ValueError(
            f"units must have the columns {MODEL}, {LAYER} and {value}, got none named {', '.join(missing)}; "
            "pass a unit table"
        )
    table = pd.DataFrame(
        {
            MODEL: units[MODEL].astype(str).to_numpy(),
            LAYER: pd.Categorical(units[LAYER].astype(str), units[LAYER].astype(str).unique()),
            "difference": units[value].to_numpy(np.float64, na_value=np.nan),
        }
    ).dropna()
    infinite = int(np.isinf(table["difference"]).sum())
    if infinite:
        raise ValueError(f"{value} must be finite, got {infinite} infinite values; take differences, not ratios")
    n_models = table[MODEL].nunique()
    if table.groupby([MODEL, LAYER], observed=True).size().max() < 2 <= n_models:
        raise ValueError(
            "units must be at least 2 in a layer of a network, got 1 in each; test the networks' values by a t test"
        )
    if n_models < 2:
        raise ValueError(f"units must be of at least 2 networks, got {n_models}; one is no sample of networks")
    layers = set(table[LAYER])
    for model, of_model in table.groupby(MODEL):
        lacking = sorted(layers - set(of_model[LAYER]))
        if lacking:
            raise ValueError(
                f"units must be of every layer in every network, got none of {lacking[0]} in {model}; leave out that "
                "network or layer"
            )
    return table
