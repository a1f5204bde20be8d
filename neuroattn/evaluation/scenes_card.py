"""The model card of networks of scenes: what each does with the scenes that its own training held out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from neuroattn.evaluation.card import by_what, hashes, interval, of_recipes, span, time_taken
from neuroattn.evaluation.network_scenes import held_out_scenes, trained_on_note
from neuroattn.evaluation.networks import over_networks
from neuroattn.evaluation.scenes import evaluate_scenes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes

HEADER = """# Shipped networks of scenes

Made by `python -m neuroattn.evaluation scenes-card` from the files' own metadata; do not edit.

Each network is evaluated on the scenes that its own training held out, with every object and photograph of theirs;
other networks stand beside it on the same scenes. Intervals are 95 %, bootstraps over scenes; of means over networks,
t over networks, on logits. A decision is right if it names the class of the attended object. The mean over classes
is of the classes that these scenes have. Chance is the mean over classes when decisions are shuffled over phases;
majority is the fraction right when the most common class is always named. Gates are means ± SD over scenes. A network
beside that does not say what it was trained with, such as a published one, may have seen these scenes."""
COLUMNS = (
    "network",
    "scenes",
    "mean over classes",
    "chance",
    "accuracy",
    "majority",
    "macro F1",
    "all covered",
    "gate attended",
    "unattended",
)


def scenes_card(
    files: Sequence[Path],
    about: Sequence[Mapping[str, Any]],
    models: Sequence[GatedNetwork],
    others: Mapping[str, GatedNetwork],
    scenes: Scenes,
) -> str:
    """Return a model card in Markdown.

    Parameters
    ----------
    files
        Checkpoints.
    about
        What each says of itself (`neuroattn.models.checkpoint.read_metadata`).
    models
        The networks themselves.
    others
        Names or files, and networks, to stand beside; each where it was not trained on the scenes.
    scenes
        All that the networks were trained with.

    Raises
    ------
    ValueError
        If a network does not say what it held out, or that is not among the scenes.
    """
    lines = [HEADER]
    for recipe, indices in of_recipes(about).items():
        lines += ["", f"## {span([about[index]['name'] for index in indices])}", ""]
        lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
        tables: list[pd.DataFrame] = []
        for index in indices:
            held_out = held_out_scenes(str(files[index]), scenes)
            beside = {name: one for name, one in others.items() if not trained_on_note(one, held_out)}
            for name, model in {str(files[index]): models[index], **beside}.items():
                table = evaluate_scenes(model, held_out).table
                lines.append(_row(f"`{model.name}`", str(len(held_out)), by_what(table)))
                mine = name == str(files[index])
                tables.append(table.assign(kind="these networks" if mine else _kind(model), network=model.name))
        lines += _means(pd.concat(tables, ignore_index=True))
        chosen = [about[index] for index in indices]
        lines += ["", f"Recipe: {recipe}.", "", *_data(chosen), "", time_taken(chosen), "", *_begun(chosen)]
        lines += hashes([files[index] for index in indices])
    return "\n".join([*lines, "", "Released under the package's licence.", ""])


def _kind(model: GatedNetwork) -> str:
    """Return what networks beside have in common: the name, but for the seed."""
    return f"`{model.name.rstrip('0123456789').rstrip('-_')}`"


def _row(name: str, n_scenes: str, of: Mapping[str, Mapping[str, Any]]) -> str:
    gates = [
        f"{of[what]['estimate']:.3f} ± {of[what]['sd']:.3f}" if what in of else "–"
        for what in ("gate_attended", "gate_unattended")
    ]
    cells = [
        name,
        n_scenes,
        interval(of["mean_over_classes"]),
        f"{of['chance_mean_over_classes']['estimate']:.4f}",
        interval(of["accuracy"]),
        f"{of['majority_accuracy']['estimate']:.4f}",
        interval(of["macro_f1"]),
        interval(of["all_objects_covered"]),
        *gates,
    ]
    return f"| {' | '.join(cells)} |"


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
        told = [interval(row) if several else f"{row['estimate']:.4f}" for row in (own, accuracy)]
        lines.append(
            f"Mean over classes, {kind} on {n_sets} sets of held-out scenes: {told[0]}, chance "
            f"{chance['estimate']:.4f}; accuracy {told[1]}, majority {majority['estimate']:.4f}."
        )
    return ["", *lines] if lines else []


def _data(about: Sequence[Mapping[str, Any]]) -> list[str]:
    trained = [one["training"] for one in about]
    found = {(one["scenes"]["what"], one["scenes"]["sha256"]) for one in trained}
    cutouts = sorted({one["n_cutouts"] for one in trained})
    held_out = sorted({len(one["held_out_images"]) for one in trained})
    return [
        f"Data: {what} (SHA-256 `{sha}`); {_either(held_out)} scenes held out, {_either(cutouts)} objects cut out "
        "of the other photographs for composites."
        for what, sha in sorted(found)
    ]


def _begun(about: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return with whose weights networks began, a line each."""
    began = [(one["name"], one["training"]["start"]) for one in about if one["training"].get("start")]
    lines = [
        f"`{name}` began with the weights of `{start['name']}` (SHA-256 of them `{start['weights_sha256'][:16]}…`); "
        "that training is not in the time above."
        for name, start in began
    ]
    return [*lines, ""] if lines else []


def _either(numbers: Sequence[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
