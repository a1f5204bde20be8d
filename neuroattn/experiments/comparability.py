"""Whether the networks of a run are alike enough for a mean over them: by their recipes and accuracies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuroattn.models.checkpoint import checkpoint_path, read_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

# What differs between two seeds of one recipe, and moves neither weights nor data.
_NO_RECIPE = {"name", "seed", "device", "precision", "data", "out", "images", "annotations", "cache", "workers"}
_FAR_APART = 0.05  # in accuracy


def comparability_warnings(names: Sequence[str]) -> tuple[str, ...]:
    """Return what must be said before a mean over networks: that their recipes, or their accuracies, are far apart.

    Parameters
    ----------
    names
        Names or files of the networks. Of published weights neither recipe nor accuracy is told.
    """
    training = {name: _training(name) for name in names}
    if len(training) < 2:
        return ()
    lines = []
    recipes = [_recipe(told) for told in training.values()]
    if any(one != recipes[0] for one in recipes):
        known = [one for one in recipes if one]
        differing = sorted({key for one in known for key in one if any(other.get(key) != one[key] for other in known)})
        lines.append(
            f"WARNING: the networks are of different recipes ({', '.join(differing) or 'of some none is told'}): a "
            "mean over them is one over recipes too. statistics.csv has a row a network."
        )
    accuracies = {name: accuracy for name, told in training.items() if (accuracy := _accuracy(told)) is not None}
    if accuracies and max(accuracies.values()) - min(accuracies.values()) > _FAR_APART:
        worst, best = (pick(accuracies, key=accuracies.__getitem__) for pick in (min, max))
        lines.append(
            f"WARNING: the networks differ in accuracy, from {accuracies[worst]:.2f} ({worst}) to "
            f"{accuracies[best]:.2f} ({best}) in their own validation: what a poor one shows says little of a good one."
        )
    return tuple(lines)


def _training(name: str) -> dict[str, Any]:
    if checkpoint_path(name).suffix == ".pt":
        return {}
    training: dict[str, Any] = read_metadata(name)["training"]
    return training


def _recipe(training: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in training.get("options", {}).items() if key not in _NO_RECIPE}


def _accuracy(training: dict[str, Any]) -> float | None:
    epochs = training.get("epochs") or [{}]
    accuracy = epochs[-1].get("validation_accuracy")
    return None if accuracy is None else float(accuracy)
