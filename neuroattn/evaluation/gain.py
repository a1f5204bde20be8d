"""What a gain does for detection, over networks: a table, verdicts beside their numbers, and a card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from neuroattn.compute.device import choose_device
from neuroattn.evaluation.detection import cells, detect
from neuroattn.models.checkpoint import checkpoint_path, is_gated, load_models, shipped_models
from neuroattn.models.gain_cnn import N_STAGES, GainCNN
from neuroattn.runs.output_file import replacing, require_folder, require_new, write_csv
from neuroattn.runs.plain_text import printable
from neuroattn.statistics.equivalence import equivalence_test
from neuroattn.statistics.intervals import t_interval
from neuroattn.stimuli.mnist import load
from neuroattn.stimuli.shown import n_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuroattn.evaluation.gain_config import GainEvaluationConfig

    Tell = Callable[[str], None]

CONDITION = ["kind", "layer", "positive_only", "control"]
MEASURES = ["performance", "hits", "false_alarms", "sensitivity", "criterion", "naming"]
NOTHING = 0.02  # performance: a change within is none
FEWEST = (
    0.05  # false alarms without attention: with fewer, hits alone can change, and d′ then twice as much as criterion
)


class Claim(NamedTuple):
    """A claim with its verdict and the mean over networks that this rests on."""

    claim: str
    verdict: str
    estimate: float
    low: float
    high: float
    n: int
    unit: str

    def __str__(self) -> str:
        interval = f" [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        networks = "network" if self.n == 1 else "networks"
        return (
            f"{self.verdict.upper()}  {self.claim}: {self.estimate:.3f}{interval} {self.unit}; n = {self.n} {networks}"
        )


def changes(detected: pd.DataFrame) -> pd.DataFrame:
    """Return what every gain changes, on the half that did not choose its strength, from `detect` of one network.

    Returns
    -------
    pandas.DataFrame
        One row a kind, layer, sign, control and measure: ``without`` and ``change``, means over classes, ``sem`` of the
        change over classes, ``n`` classes, and the mean ``strength`` chosen.
    """
    choosing, measuring = (detected[detected["chooses"] == half].drop(columns="chooses") for half in (True, False))
    without = measuring[measuring["kind"] == "none"].set_index("class")[MEASURES]
    rows = []
    for condition, part in choosing[choosing["kind"] != "none"].groupby(CONDITION):
        # Of equal strengths the weakest.
        ranked = part.sort_values(["class", "performance", "strength"], ascending=[True, False, True])
        chosen = ranked.groupby("class").first()["strength"]
        of = dict(zip(CONDITION, condition, strict=True))
        same = (measuring[CONDITION] == pd.Series(of)).all(axis=1)
        table = measuring[same].set_index(["class", "strength"])[MEASURES]
        found = table.loc[list(chosen.items())].droplevel("strength")
        change = found - without
        rows += [
            {
                **of,
                "what": name,
                "without": without[name].mean(),
                "change": change[name].mean(),
                "sem": change[name].sem(),
                "n": len(change),
                "strength": chosen.mean(),
            }
            for name in MEASURES
        ]
    return pd.DataFrame(rows)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Return the verdicts on networks' `changes`, told apart by a column ``model``; intervals are t over networks."""
    last, points = N_STAGES, "of performance"
    feature = _of(table, "feature", last, "performance")
    first = _of(table, "feature", 1, "performance")
    shuffled, uniform = (_of(table, "feature", last, "performance", name) for name in ("shuffled", "uniform"))
    larger = {
        kind: np.abs(_of(table, kind, layer, "criterion")) - np.abs(_of(table, kind, layer, "sensitivity"))
        for kind, layer in (("feature", last), ("place", 1))
    }
    return [
        _above(f"Feature gain at stage {last} helps detection", feature, points),
        _above(
            "It helps more at the last stage than at the first",
            feature - first,
            points,
        ),
        _above("It helps more than the same gains on other channels", feature - shuffled, points),
        _none(f"The same gain of all channels (f = 1) changes detection by less than {NOTHING:g}", uniform, points),
        _above("Place gain at stage 1 helps detection", _of(table, "place", 1, "performance"), points),
        _above("Place gain at stage 1 helps to name the attended digit", _of(table, "place", 1, "naming"), "of naming"),
        _told(_above("Feature gain changes the criterion more than sensitivity", larger["feature"], "z"), table),
        _told(_above("Place gain changes sensitivity more than the criterion", -larger["place"], "z"), table),
    ]


def _told(claim: Claim, table: pd.DataFrame) -> Claim:
    """Return a claim on sensitivity and criterion, which nothing decides where there are hardly any false alarms."""
    if table.loc[table["what"] == "false_alarms", "without"].mean() >= FEWEST:
        return claim
    return claim._replace(verdict="undecided", unit=f"{claim.unit}, told by hits alone")


def _of(table: pd.DataFrame, kind: str, layer: int, what: str, control: str = "") -> np.ndarray:
    """Return the change of a measure in every network."""
    wanted = {"kind": kind, "layer": layer, "positive_only": False, "control": control, "what": what}
    found = table[(table[[*wanted]] == pd.Series(wanted)).all(axis=1)]
    return found.sort_values("model")["change"].to_numpy(float)


def _above(claim: str, values: np.ndarray, unit: str) -> Claim:
    mean, low, high = t_interval(values)
    decides = low < high  # networks that agree to the last digit have an interval without width, which decides nothing
    verdict = "undecided" if not decides or low <= 0 <= high else "supported" if low > 0 else "contradicted"
    return Claim(claim, verdict, mean, low, high, len(values), unit)


def _none(claim: str, values: np.ndarray, unit: str) -> Claim:
    mean, low, high = t_interval(values)
    verdict = "undecided"
    if low < high:
        if equivalence_test(values, -NOTHING, NOTHING).p < 0.05:
            verdict = "supported"
        elif low > NOTHING or high < -NOTHING:
            verdict = "contradicted"
    return Claim(claim, verdict, mean, low, high, len(values), unit)


def evaluate_gain(config: GainEvaluationConfig, tell: Tell) -> None:
    """Evaluate plain networks with a gain and without; tell verdicts and numbers, and write what is asked for.

    Raises
    ------
    ValueError
        If a network is no plain one or does not take such pictures, or a file cannot be written.
    """
    require_new("out", config.out)
    require_folder("card", config.card)
    names = config.models or tuple(name for name in shipped_models() if not is_gated(name))
    if not names:
        raise ValueError("models must name a plain network, got none, and none is shipped; train one first")
    networks: dict[str, GainCNN] = {}
    for name, network in zip(names, load_models(names, device=choose_device(config.device)), strict=True):
        if not isinstance(network, GainCNN):
            raise ValueError(f"models must be plain networks, got {network.name!r}, a gated one; leave it out")
        if n_digits(network) != 2:
            raise ValueError(f"models must take composites of two digits, got {network.name!r} of more; leave it out")
        networks[name] = network
    every = list(cells(load(config.data, config.digits), 10, config.composites, noise=config.noise, seed=config.seed))
    parts = [changes(detect(one, every, config.strengths)).assign(model=one.name) for one in networks.values()]
    table = pd.concat(parts, ignore_index=True)
    found, means = claims(table), _means(table)
    if config.out is not None:
        write_csv(table[["model", *[name for name in table if name != "model"]]], config.out)
    if config.card is not None:
        text = _card(networks, found, means, [_shown(config), _without(table)])
        with replacing(Path(config.card)) as file:
            file.write_text(printable(text), encoding="utf-8")
    tell(_shown(config))
    tell(_without(table))
    for claim in found:
        tell(str(claim))
    tell("")
    tell(means.to_string(index=False, float_format="{:.3f}".format))


def _shown(config: GainEvaluationConfig) -> str:
    return (
        f"{config.composites} composites with each class and {config.composites} without it (noise {config.noise:g}, "
        f"seed {config.seed}); one half chose β of {', '.join(f'{s:g}' for s in config.strengths)} for each class, the "
        "other half is shown"
    )


def _without(table: pd.DataFrame) -> str:
    """Return what networks do without attention, in words."""
    without = table.groupby("what")["without"].mean()
    return (
        f"Without attention: performance {without['performance']:.3f}, hits {without['hits']:.3f}, false alarms "
        f"{without['false_alarms']:.3f}, the attended digit named {without['naming']:.3f}. Where hits alone change, as "
        "they must where there are hardly any false alarms, d′ changes twice as much as the criterion, whatever "
        "attention does."
    )


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means over networks of every condition, a column a measure."""
    condition = [*CONDITION, "strength"]
    strength = table.groupby([*CONDITION, "what"], sort=False)["strength"].transform("mean")
    wide = table.assign(strength=strength).pivot_table("change", condition, "what", aggfunc="mean")[MEASURES]
    wide = wide.reset_index()
    wide["layer"] = wide["layer"].map(lambda layer: "all, β/10" if layer == 0 else str(layer))
    wide["sign"] = np.where(wide.pop("positive_only"), "positive", "both")
    return wide[["kind", "layer", "sign", "control", "strength", *MEASURES]]


def _card(networks: dict[str, GainCNN], found: Sequence[Claim], means: pd.DataFrame, shown: Sequence[str]) -> str:
    first = next(iter(networks.values())).about
    recipe = ", ".join(
        f"{key} {value}" for key, value in first.options.items() if key not in {"name", "seed", "device"}
    )
    digits = first.training["digits"]
    paragraphs = [
        "# Plain networks with a gain",
        (
            "Made by `python -m neuroattn.evaluation gain --card FILE` from the files' own metadata; do not edit.\n"
            "Feed-forward networks that name single digits; attention is a gain on their units (Lindsay & Miller\n"
            "2018, eLife 7:e38105). Accuracies are of held-out single digits; yes/no accuracy is balanced."
        ),
        _table(
            ["network", "seed", "accuracy", "yes/no accuracy", "minutes", "SHA-256"],
            [_row(name, network) for name, network in networks.items()],
        ),
        (
            f"Recipe: {recipe}. Data: {digits['what']}, {digits['n']:,} digits (SHA-256 `{digits['sha256']}`). "
            f"Computed on {first.training['device']} ({first.provenance['processor']}, threads: "
            f"{first.training['threads']}, torch {first.provenance['torch']})."
        ),
        f"## Detection in composites\n\n{'. '.join(shown)} Means over networks with 95 % t intervals.",
        "\n".join(f"- {claim}" for claim in found),
        (
            "Changes from no attention, means over networks and classes; `strength` is the mean β chosen. `shuffled`: "
            "tuning of other channels; `uniform`: f = 1."
        ),
        _table(list(means.columns), [list(row) for row in means.itertuples(index=False)]),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _row(name: str, network: GainCNN) -> list[object]:
    last = network.about.training["epochs"][-1]
    sha = hashlib.sha256(checkpoint_path(name).read_bytes()).hexdigest()
    minutes = f"{last['seconds'] / 60:.1f}"
    return [
        f"`{network.name}`", network.seed, last["validation_accuracy"], last["detection_accuracy"], minutes, f"`{sha}`"
    ]  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells_of = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(heads), ["---"] * len(heads), *cells_of])
