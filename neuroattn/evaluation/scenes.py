"""Accuracy, choices, gating contrast and segmentation by the gate of networks on scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from neuroattn.evaluation.coco_results import SceneResults
from neuroattn.evaluation.trials import RESAMPLES, fraction, row, run_trials, summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.evaluation.trials import Outcomes
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.scenes import Scenes

_SHUFFLES = 1000


class SceneEvaluation(NamedTuple):
    """What a network does with scenes.

    Attributes
    ----------
    table
        One row an estimate, as from `neuroattn.evaluation.trials.summary`.
    classes
        One row a class that occurs: ``class, n, recall, recall_low, recall_high, precision, f1``.
    supercategories
        One row a supercategory that is attended: ``supercategory, n, recall, recall_low, recall_high``, the fraction of
        its objects whose category is named. No row where classes are supercategories, or categories have none.
    confusion
        (class attended, class decided) counts of phases.
    results
        Every phase as a detection in COCO's format: the gate as the attended object's outline.
    """

    table: pd.DataFrame
    classes: pd.DataFrame
    supercategories: pd.DataFrame
    confusion: NDArray[np.int64]
    results: SceneResults


def evaluate_scenes(model: GatedNetwork, scenes: Scenes, batch_size: int = 64) -> SceneEvaluation:
    """Return what a network does with scenes.

    Parameters
    ----------
    model
        Takes pictures of the scenes' size and has as many classes as they have.
    scenes
        At least two.
    batch_size
        Scenes at once.

    Notes
    -----
    Beside the accuracy, which common classes rule, stand the mean over classes of the fraction of right decisions, and
    macro F1, over the classes that objects have or decisions name. Their intervals are bootstraps of scenes
    (percentiles of 2,000 resamples); a resample without a class leaves it out. ``chance_…`` is the mean over 1,000
    shuffles of the decisions over all phases, with the middle 95 % of them as interval: what the network's preference
    for some classes gives when it looks at other pictures. ``majority_accuracy`` is that of naming the most common
    class always.
    """
    results = SceneResults(scenes)
    outcomes = run_trials(model, scenes, batch_size, results.add)
    sizes = ["the largest object", *(f"the object of size rank {k + 1}" for k in range(1, scenes.n_objects))]
    table = pd.concat(
        [
            summary(outcomes, sizes, "scenes"),
            classification(outcomes.label, outcomes.decided, len(scenes.classes)),
            results.table(),
        ],
        ignore_index=True,
    )
    table.insert(0, "model", model.name)
    confusion = _confusion(outcomes.label, outcomes.decided, len(scenes.classes))
    above = _of_supercategories(outcomes, scenes)
    return SceneEvaluation(table, _of_classes(confusion, scenes.classes), above, confusion, results)


def class_rows(found: SceneEvaluation) -> pd.DataFrame:
    """Return what is found of classes in the columns of its ``table``, and two more.

    Returns
    -------
    pandas.DataFrame
        One row an estimate and ``class``; `n` is what it is a fraction of. Recall has a 95 % Wilson interval over
        phases. ``recall_in_supercategory`` has the supercategory as class. The estimates of ``confusion`` are counts of
        phases: the attended object is of ``class``, the decision is ``decided``.
    """
    classes, of_class = found.classes.set_index("class"), found.confusion.sum(1)
    place = np.flatnonzero(of_class + found.confusion.sum(0))
    counts = pd.DataFrame(found.confusion[np.ix_(place, place)], classes.index, classes.index)
    decided = counts.sum(axis=0)
    parts = []
    for what, of, n in (
        ("recall", classes, classes["n"]),
        ("precision", classes, decided),
        ("f1", classes, classes["n"] + decided),
        ("recall_in_supercategory", found.supercategories.set_index("supercategory"), found.supercategories["n"]),
    ):
        part = pd.DataFrame({"what": what, "class": of.index, "estimate": of[what.partition("_")[0]].to_numpy()})
        if what.startswith("recall"):
            part = part.assign(interval_low=of["recall_low"].to_numpy(), interval_high=of["recall_high"].to_numpy())
        parts.append(part.assign(n=n.to_numpy()))
    pairs = counts.reset_index().melt(id_vars="class", var_name="decided", value_name="estimate")
    parts.append(pairs.assign(what="confusion", n=classes["n"].loc[pairs["class"]].to_numpy()))
    rows = pd.concat(parts, ignore_index=True)
    rows.insert(0, "model", found.table["model"].iloc[0])
    return rows


def _confusion(label: NDArray[np.int64], decided: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return (class attended, class decided) counts."""
    pairs = np.bincount((label * n_classes + decided).ravel(), minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def class_scores(confusion: NDArray[np.float64] | NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean over classes of the fraction of right decisions, and macro F1, of (…, class, class) counts.

    The mean is over the classes that objects have; macro F1 is over those that objects have or decisions name.
    """
    right, of_class = np.einsum("...ii->...i", confusion), confusion.sum(-1)
    either = of_class + confusion.sum(-2)
    with np.errstate(invalid="ignore"):
        recall, f1 = right / of_class, 2 * right / either
    return np.nanmean(recall, -1), np.nanmean(f1, -1)


def classification(label: NDArray[np.int64], decided: NDArray[np.int64], n_classes: int) -> pd.DataFrame:
    """Return the accuracies that classes weigh the same in, and what chance gives, of (scene, phase) classes."""
    generator, n = np.random.default_rng(0), len(label)
    pair = label * n_classes + decided
    resampled = np.empty((RESAMPLES, 2))
    for number in range(RESAMPLES):
        chosen = pair[generator.integers(n, size=n)]
        counts = np.bincount(chosen.ravel(), minlength=n_classes**2)
        resampled[number] = class_scores(counts.reshape(n_classes, n_classes))
    shuffled = np.empty((_SHUFFLES, 3))
    for number in range(_SHUFFLES):
        other = generator.permutation(decided.ravel()).reshape(decided.shape)
        shuffled[number] = ((label == other).mean(), *class_scores(_confusion(label, other, n_classes)))
    found = class_scores(_confusion(label, decided, n_classes))
    note = f"{len(np.unique(label))} classes; interval: bootstrap of scenes"
    rows = [
        _middle(what, found[k], resampled[:, k], n=n, note=note)
        for k, what in enumerate(("mean_over_classes", "macro_f1"))
    ]
    rows += [
        _middle(f"chance_{what}", values.mean(), values, n=label.size, note="decisions shuffled over phases")
        for what, values in zip(("accuracy", "mean_over_classes", "macro_f1"), shuffled.T, strict=True)
    ]
    common = np.bincount(label.ravel(), minlength=n_classes)
    majority = row("majority_accuracy", common.max() / common.sum(), n=label.size, note="the most common class, always")
    return pd.DataFrame([*rows, majority])


def _middle(what: str, estimate: float, values: NDArray[np.float64], *, n: int, note: str) -> dict[str, object]:
    """Return a row whose interval is the middle 95 % of values."""
    return row(what, estimate, np.quantile(values, [0.025, 0.975]).tolist(), sd=values.std(ddof=1), n=n, note=note)


def _of_classes(confusion: NDArray[np.int64], classes: tuple[str, ...]) -> pd.DataFrame:
    right, of_class, decided = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    low, high = proportion_confint(right, np.maximum(of_class, 1), method="wilson")
    with np.errstate(invalid="ignore"):
        table = pd.DataFrame(
            {
                "class": classes,
                "n": of_class,
                "recall": right / of_class,
                "recall_low": np.where(of_class > 0, low, np.nan),
                "recall_high": np.where(of_class > 0, high, np.nan),
                "precision": right / decided,
                "f1": 2 * right / (of_class + decided),
            }
        )
    occurring: pd.DataFrame = table[of_class + decided > 0]
    return occurring.reset_index(drop=True)


def _of_supercategories(outcomes: Outcomes, scenes: Scenes) -> pd.DataFrame:
    above = scenes.table[[f"supercategory_{k}" for k in range(scenes.n_objects)]].to_numpy(str)
    attended = np.take_along_axis(above, outcomes.attended, 1)
    # Files need not have supercategories.
    names = np.unique(attended[attended != ""]) if scenes.labels_are == "category" else ()
    rows = [fraction(name, outcomes.correct[attended == name]) for name in names]
    columns = {"what": "supercategory", "n": "n", "estimate": "recall"}
    columns |= {"interval_low": "recall_low", "interval_high": "recall_high"}
    return pd.DataFrame(rows, columns=list(columns)).rename(columns=columns)
