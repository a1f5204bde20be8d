"""The model card: what networks are, from their own metadata, and what they do, from an evaluation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from neuroattn.evaluation.networks import over_networks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

# What a card needs of a network's metadata, whatever it was trained on.
NEEDED = (
    *("training.options", "training.epochs.seconds", "training.epochs.composites_per_second", "training.device"),
    *("provenance.platform", "provenance.torch"),
)
# Options that tell networks of one recipe apart.
_OWN = ("name", "seed", "device")


def card(files: Sequence[Path], about: Sequence[Mapping[str, Any]], table: pd.DataFrame, shown: str) -> str:
    """Return a model card in Markdown.

    Parameters
    ----------
    files
        Checkpoints.
    about
        What each says of itself (`neuroattn.models.checkpoint.read_metadata`).
    table
        `neuroattn.evaluation.digits.evaluate` of all of them, in one table.
    shown
        What they were evaluated on, in words.
    """
    lines = [
        "# Shipped networks",
        "",
        "Made by `python -m neuroattn.evaluation card` from the files' own metadata; do not edit.",
        "",
        f"Evaluated on {shown}.",
        "Intervals are 95 %: a bootstrap over composites for accuracies, Wilson's over composites for the other",
        "fractions, and t over networks, on logits, where a mean of networks is given. Gates are means ± SD over",
        "composites. No network has seen the official test set or the 5,000 digits that travel with the package.",
        "Networks of scenes have a card of their own.",
    ]
    for recipe, indices in of_recipes(about).items():
        names = [about[index]["name"] for index in indices]
        rows = table[table["model"].isin(names)]
        lines += ["", f"## {span(names)}", "", *_summary(rows), ""]
        lines += [
            "| network | seed | accuracy | all right | all covered | attended first | gate attended | unattended |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        lines += [_row(about[index], rows[rows["model"] == about[index]["name"]]) for index in indices]
        lines += ["", f"Recipe: {recipe}.", "", *_data([about[index] for index in indices]), ""]
        lines += [time_taken([about[index] for index in indices]), ""]
        lines += hashes([files[index] for index in indices])
    return "\n".join([*lines, "", "Released under the package's licence.", ""])


def of_recipes(about: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Return each recipe and the numbers of the networks that are trained by it."""
    recipes: dict[str, list[int]] = {}
    for index, one in enumerate(about):
        recipes.setdefault(_recipe(one), []).append(index)
    return recipes


def hashes(files: Sequence[Path]) -> list[str]:
    """Return a table of files' hashes."""
    rows = [f"| `{file.name}` | `{hashlib.sha256(file.read_bytes()).hexdigest()}` |" for file in files]
    return ["| file | SHA-256 |", "|---|---|", *rows]


def _recipe(about: Mapping[str, Any]) -> str:
    begun = "start" in about["training"]  # with weights that were not drawn
    own = (*_OWN, "initial") if begun else _OWN
    options = {key: value for key, value in about["training"]["options"].items() if key not in own}
    first = "begun with the weights of another network, " if begun else ""
    return first + ", ".join(f"{key} {_plain(value)}" for key, value in options.items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def span(names: Sequence[str]) -> str:
    """Return names as the first and the last of them."""
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` to `{names[-1]}`"


def _summary(rows: pd.DataFrame) -> list[str]:
    accuracy = rows[rows["what"] == "accuracy"]["estimate"]
    always = [
        f"`{row['model']}` ({row['note']})"
        for row in rows.to_dict("records")
        if str(row["what"]).startswith("attended_first") and row["estimate"] >= 0.99
    ]
    lines = []
    if len(accuracy) > 1:
        mean = by_what(over_networks(rows))["accuracy"]
        lines.append(
            f"Accuracy, mean of {len(accuracy)} networks: {mean['estimate']:.4f} "
            f"[{mean['interval_low']:.4f}, {mean['interval_high']:.4f}], from {accuracy.min():.4f} to "
            f"{accuracy.max():.4f}."
        )
    if always:
        lines.append(
            f"{len(always)} of {len(accuracy)} attend the same place first in at least 99 % of trials: "
            f"{', '.join(always)}. In their free order, place and phase are confounded."
        )
    else:
        lines.append("None attends the same place first in 99 % of trials or more.")
    return lines


def _row(about: Mapping[str, Any], rows: pd.DataFrame) -> str:
    of = by_what(rows)
    places = ", ".join(
        f"{row['note']} {100 * row['estimate']:.1f} %" for what, row in of.items() if what.startswith("attended_first")
    )
    # A network of strength 0 has no gating to contrast.
    gates = [
        f"{of[what]['estimate']:.3f} ± {of[what]['sd']:.3f}" if what in of else "–"
        for what in ("gate_attended", "gate_unattended")
    ]
    cells = [
        f"`{about['name']}`",
        str(about["seed"]),
        interval(of["accuracy"]),
        interval(of["all_objects_right"]),
        interval(of["all_objects_covered"]),
        places,
        *gates,
    ]
    return f"| {' | '.join(cells)} |"


def by_what(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the rows of an evaluation by what they estimate."""
    return {str(row["what"]): {str(key): value for key, value in row.items()} for row in table.to_dict("records")}


def interval(row: Mapping[str, Any]) -> str:
    """Return an estimate with its interval."""
    return f"{row['estimate']:.4f} [{row['interval_low']:.4f}, {row['interval_high']:.4f}]"


def _data(about: Sequence[Mapping[str, Any]]) -> list[str]:
    digits = [one["training"]["digits"] for one in about]
    found = {(one["what"], one["n"], one["sha256"]) for one in digits}
    return [f"Data: {what}, {n:,} digits (SHA-256 `{sha}`)." for what, n, sha in sorted(found)]


def time_taken(about: Sequence[Mapping[str, Any]]) -> str:
    """Return time and machine of trainings of one recipe."""
    trained = [one["training"] for one in about]
    minutes = [sum(epoch["seconds"] for epoch in one["epochs"]) / 60 for one in trained]
    rates = [epoch["composites_per_second"] for one in trained for epoch in one["epochs"]]
    machines = {_machine(one) for one in about}
    rate = f"{_from_to(rates)} composites/s"
    return f"Time: {_from_to(minutes)} minutes a network ({rate}), on {'; '.join(sorted(machines))}."


def _from_to(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _machine(about: Mapping[str, Any]) -> str:
    training, made = about["training"], about["provenance"]
    where = made.get("processor") or made["platform"]
    threads = f", {training['threads']} threads" if "threads" in training else ""
    if training.get("threads") == 1:
        threads = ", one thread"
    precision = f", {training['precision']}" if "precision" in training else ""
    return f"{training['device']} ({where}{threads}{precision}, torch {made['torch']})"
