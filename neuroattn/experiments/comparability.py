"""Whether the networks of a run are alike enough for a mean over them: by their recipes and accuracies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuroattn.models.about import About
    from neuroattn.subjects.subject import Subject

# What differs between two seeds of one recipe, and moves neither weights nor data.
_NO_RECIPE = {"name", "seed", "device", "precision", "data", "out", "images", "annotations", "cache", "workers"}
_FAR_APART = 0.05  # in accuracy


def comparability_warnings(subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return what must be said before a mean over networks: that their recipes, or their accuracies, are far apart.

    Of published weights neither recipe nor accuracy is told.
    """
    if len(subjects) < 2:
        return ()
    lines = []
    recipes = [_recipe(subject.about) for subject in subjects]
    if any(one != recipes[0] for one in recipes):
        known = [one for one in recipes if one]
        differing = sorted({key for one in known for key in one if any(other.get(key) != one[key] for other in known)})
        lines.append(
            f"WARNING: the networks are of different recipes ({', '.join(differing) or 'of some none is told'}): a "
            "mean over them is one over recipes too. statistics.csv has a row a network."
        )
    accuracies = {subject.name: subject.about.accuracy for subject in subjects if subject.about.accuracy is not None}
    if accuracies and max(accuracies.values()) - min(accuracies.values()) > _FAR_APART:
        worst, best = (pick(accuracies, key=accuracies.__getitem__) for pick in (min, max))
        lines.append(
            f"WARNING: the networks differ in accuracy, from {accuracies[worst]:.2f} ({worst}) to "
            f"{accuracies[best]:.2f} ({best}) in their own validation: what a poor one shows says little of a good one."
        )
    return tuple(lines)


def _recipe(about: About) -> dict[str, Any]:
    return {key: value for key, value in about.options.items() if key not in _NO_RECIPE}
