"""Model cards: what networks are, from their own metadata, and what they do, from an evaluation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pandas as pd

from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.scenes import evaluate_scenes
from neuroattn.models.metadata import says
from neuroattn.stimuli.shown import held_out_scenes, trained_on_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes

    Files = Mapping[Path, GatedNetwork]
    Row = Mapping[str, Any]

# What a card needs of a network's metadata, whatever it was trained on, and what on digits and on scenes.
_NEEDED = (
    *("training.options", "training.epochs.seconds", "training.epochs.composites_per_second", "training.device"),
    *("provenance.platform", "provenance.torch"),
)
_OF_DIGITS = ("digits.what", "digits.n")
_OF_SCENES = (
    *("scenes.what", "held_out_images", "n_cutouts"),
    *("options.n_objects", "options.labels", "options.size"),
)
# Options that tell networks of one recipe apart.
_OWN = ("name", "seed", "device")
DIGITS = """# Shipped networks

Made by `python -m neuroattn.evaluation card` from the files' own metadata; do not edit.

Evaluated on {shown}.
Intervals are 95 %: a bootstrap over composites for accuracies, Wilson's over composites for the other
fractions, and t over networks, on logits, where a mean of networks is given. Gates are means ± SD over
composites. No network has seen the official test set or the 5,000 digits that travel with the package.
Networks of scenes have a card of their own."""
SCENES = """# Shipped networks of scenes

Made by `python -m neuroattn.evaluation scenes-card` from the files' own metadata; do not edit.

Each network is evaluated on the scenes that its own training held out, with every object and photograph of theirs;
other networks stand beside it on the same scenes. Intervals are 95 %, bootstraps over scenes; of means over networks,
t over networks, on logits. A decision is right if it names the class of the attended object. The mean over classes
is of the classes that these scenes have. Chance is the mean over classes when decisions are shuffled over phases;
majority is the fraction right when the most common class is always named. Gates are means ± SD over scenes. A network
beside that does not say what it was trained with, such as a published one, may have seen these scenes."""


def require_described(files: Files, *, of_scenes: bool) -> None:
    """Raise unless every network says how it was trained, on digits or on scenes, as far as a card needs it."""
    needed = (*_NEEDED, *(f"training.{name}" for name in (_OF_SCENES if of_scenes else _OF_DIGITS)))
    for file, network in files.items():
        if not says({"training": network.about.training, "provenance": network.about.provenance}, *needed):
            trained = "trained on scenes" if of_scenes else "trained"
            raise ValueError(f"models must say how they were {trained}, got {str(file)!r}, whose metadata does not")


def digits_card(files: Files, table: pd.DataFrame, shown: str) -> str:
    """Return the model card of networks of digits (`require_described`), in Markdown.

    `table` is what `neuroattn.evaluation.trials.evaluate` returns of all of them, on what `shown` says in words.
    """

    def section(chosen: Files) -> list[str]:
        rows = table[table["model"].isin([network.name for network in chosen.values()])]
        heads = ("network", "seed", "accuracy", "all right", "all covered", "attended first", "gate attended")
        return [
            *_summary(rows),
            "",
            *_heads(*heads, "unattended"),
            *(_of_digits(network, rows[rows["model"] == network.name]) for network in chosen.values()),
        ]

    return _card(DIGITS.format(shown=shown), files, section)


def scenes_card(files: Files, others: Mapping[str, GatedNetwork], scenes: Scenes) -> str:
    """Return the model card of networks of scenes (`require_described`), in Markdown.

    Each is evaluated on those of `scenes` that its own training held out; `others` stand beside it, where they were not
    trained on these.

    Raises
    ------
    ValueError
        If what a network held out is not among the scenes.
    """

    def section(chosen: Files) -> list[str]:
        lines = _heads(
            *("network", "scenes", "mean over classes", "chance", "accuracy", "majority", "macro F1", "all covered"),
            *("gate attended", "unattended"),
        )
        tables: list[pd.DataFrame] = []
        for file, network in chosen.items():
            held_out = held_out_scenes(scenes, network.about, str(file))
            beside = [other for other in others.values() if not trained_on_note(held_out, other)]
            for kind, model in [("these networks", network), *((_kind(other), other) for other in beside)]:
                table = evaluate_scenes(model, held_out).table
                lines.append(_of_scenes(model.name, len(held_out), by_what(table)))
                tables.append(table.assign(kind=kind, network=model.name))
        return lines + _means(pd.concat(tables, ignore_index=True))

    return _card(SCENES, files, section)


def _card(header: str, files: Files, section: Callable[[Files], list[str]]) -> str:
    """Return a card: a section a recipe, and in it what networks of the recipe do, and what they were trained on."""
    recipes: dict[tuple[str, ...], dict[Path, GatedNetwork]] = {}
    for file, network in files.items():
        options = _recipe(network.about.training)
        recipes.setdefault(tuple(sorted(options)), {})[file] = network  # versions list them in their own order
    lines = [header]
    for chosen in recipes.values():
        names = [f"`{network.name}`" for network in chosen.values()]
        trainings = [network.about.training for network in chosen.values()]
        lines += ["", f"## {names[0] if len(names) == 1 else f'{names[0]} to {names[-1]}'}", "", *section(chosen)]
        lines += [
            "",
            f"Recipe: {', '.join(_recipe(trainings[0]))}.",
            "",
            *_data(trainings),
            "",
            _time(chosen.values()),
            "",
            *_begun(chosen),
        ]
        lines += ["| file | SHA-256 |", "|---|---|"]
        lines += [f"| `{file.name}` | `{hashlib.sha256(file.read_bytes()).hexdigest()}` |" for file in chosen]
    return "\n".join([*lines, "", "Released under the package's licence.", ""])


def _recipe(training: Mapping[str, Any]) -> list[str]:
    begun = "start" in training  # with weights that were not drawn
    own = (*_OWN, "initial") if begun else _OWN
    options = {key: value for key, value in training["options"].items() if key not in own}
    first = ["begun with the weights of another network"] if begun else []
    return [*first, *(f"{key} {_plain(value)}" for key, value in options.items())]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _heads(*heads: str) -> list[str]:
    return [_line(heads), "|---" * len(heads) + "|"]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _summary(rows: pd.DataFrame) -> list[str]:
    accuracy = rows[rows["what"] == "accuracy"]["estimate"]
    always = [
        f"`{row['model']}` ({row['note']})"
        for row in rows.to_dict("records")
        if str(row["what"]).startswith("attended_first") and row["estimate"] >= 0.99
    ]
    lines = []
    if len(accuracy) > 1:
        mean = _interval(by_what(over_networks(rows))["accuracy"])
        lines.append(
            f"Accuracy, mean of {len(accuracy)} networks: {mean}, from {accuracy.min():.4f} to {accuracy.max():.4f}."
        )
    if always:
        lines.append(
            f"{len(always)} of {len(accuracy)} attend the same place first in at least 99 % of trials: "
            f"{', '.join(always)}. In their free order, place and phase are confounded."
        )
    else:
        lines.append("None attends the same place first in 99 % of trials or more.")
    return lines


def _of_digits(network: GatedNetwork, rows: pd.DataFrame) -> str:
    of = by_what(rows)
    places = ", ".join(
        f"{row['note']} {100 * row['estimate']:.1f} %" for what, row in of.items() if what.startswith("attended_first")
    )
    fractions = (_interval(of[what]) for what in ("accuracy", "all_objects_right", "all_objects_covered"))
    return _line([f"`{network.name}`", str(network.seed), *fractions, places, *_gates(of)])


def _of_scenes(name: str, n_scenes: int, of: Mapping[str, Row]) -> str:
    chance, majority = (f"{of[what]['estimate']:.4f}" for what in ("chance_mean_over_classes", "majority_accuracy"))
    own, accuracy, macro_f1, covered = (
        _interval(of[what]) for what in ("mean_over_classes", "accuracy", "macro_f1", "all_objects_covered")
    )
    return _line([f"`{name}`", str(n_scenes), own, chance, accuracy, majority, macro_f1, covered, *_gates(of)])


def _gates(of: Mapping[str, Row]) -> list[str]:
    # A network of strength 0 has no gating to contrast.
    return [
        f"{of[what]['estimate']:.3f} ± {of[what]['sd']:.3f}" if what in of else "–"
        for what in ("gate_attended", "gate_unattended")
    ]


def by_what(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the rows of an evaluation by what they estimate."""
    return {str(row["what"]): {str(key): value for key, value in row.items()} for row in table.to_dict("records")}


def _interval(row: Row) -> str:
    return f"{row['estimate']:.4f} [{row['interval_low']:.4f}, {row['interval_high']:.4f}]"


def _kind(network: GatedNetwork) -> str:
    """Return what networks beside have in common: the name, but for the seed."""
    return f"`{network.name.rstrip('0123456789').rstrip('-_')}`"


def _means(tables: pd.DataFrame) -> list[str]:
    """Return the mean of each kind of networks; one network on several sets of scenes is one observation."""
    shown = ("mean_over_classes", "chance_mean_over_classes", "accuracy", "majority_accuracy")
    lines = []
    for kind, of_kind in tables[tables["what"].isin(shown)].groupby("kind", sort=False):
        n_sets = int((of_kind["what"] == shown[0]).sum())
        if n_sets < 2:
            continue
        of_network = of_kind.groupby(["what", "network"])["estimate"].mean().reset_index()
        several = len(set(of_network["network"])) > 1
        of = by_what(over_networks(of_network) if several else of_network)
        own, chance, accuracy, majority = (of[what] for what in shown)
        told = [_interval(row) if several else f"{row['estimate']:.4f}" for row in (own, accuracy)]
        lines.append(
            f"Mean over classes, {kind} on {n_sets} sets of held-out scenes: {told[0]}, chance "
            f"{chance['estimate']:.4f}; accuracy {told[1]}, majority {majority['estimate']:.4f}."
        )
    return ["", *lines] if lines else []


def _data(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what networks were trained on, a line for each that differs."""
    if "scenes" not in trainings[0]:
        found = {(one["what"], one["n"], one["sha256"]) for one in (training["digits"] for training in trainings)}
        return [f"Data: {what}, {n:,} digits (SHA-256 `{sha}`)." for what, n, sha in sorted(found)]
    of_scenes = {(training["scenes"]["what"], training["scenes"]["sha256"]) for training in trainings}
    cutouts = _from_to([training["n_cutouts"] for training in trainings])
    held_out = _from_to([len(training["held_out_images"]) for training in trainings])
    return [
        f"Data: {what} (SHA-256 `{sha}`); {held_out} scenes held out, {cutouts} objects cut out of the other "
        "photographs for composites."
        for what, sha in sorted(of_scenes)
    ]


def _time(networks: Iterable[GatedNetwork]) -> str:
    """Return time and machine of trainings of one recipe."""
    described = [network.about for network in networks]
    epochs = [about.training["epochs"] for about in described]
    minutes = _from_to([sum(epoch["seconds"] for epoch in one) / 60 for one in epochs], "")
    rates = _from_to([epoch["composites_per_second"] for one in epochs for epoch in one], "")
    machines = {_machine(about.training, about.provenance) for about in described}
    return f"Time: {minutes} minutes a network ({rates} composites/s), on {'; '.join(sorted(machines))}."


def _machine(training: Mapping[str, Any], provenance: Mapping[str, str]) -> str:
    where = provenance.get("processor") or provenance["platform"]
    threads = f", {training['threads']} threads" if "threads" in training else ""
    if training.get("threads") == 1:
        threads = ", one thread"
    precision = f", {training['precision']}" if "precision" in training else ""
    return f"{training['device']} ({where}{threads}{precision}, torch {provenance['torch']})"


def _begun(files: Files) -> list[str]:
    """Return with whose weights networks began, a line each."""
    began = [(network.name, network.about.training.get("start")) for network in files.values()]
    lines = [
        f"`{name}` began with the weights of `{start['name']}` (SHA-256 of them `{start['weights_sha256'][:16]}…`); "
        "that training is not in the time above."
        for name, start in began
        if start
    ]
    return [*lines, ""] if lines else []


def _from_to(values: Sequence[float], thousands: str = ",") -> str:
    low, high = f"{min(values):{thousands}.0f}", f"{max(values):{thousands}.0f}"
    return low if low == high else f"{low} to {high}"
