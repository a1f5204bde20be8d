"""Accuracy, coverage and gating contrast of networks on composites of digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from neuroattn.models.trial import attend, gate_contrast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.digits import Composites

RESAMPLES = 2000


@torch.no_grad()
def evaluate(model: GatedNetwork, composites: Composites, batch_size: int = 256) -> pd.DataFrame:
    """Return what a network does with composites.

    Parameters
    ----------
    model
        The network, on the device of the composites.
    composites
        At least two, each of as many digits as the network takes.
    batch_size
        Composites at once.

    Returns
    -------
    pandas.DataFrame
        One row an estimate: ``model, what, estimate, interval_low, interval_high, sd, n, note``. Fractions have a 95 %
        Wilson interval over trials (a bootstrap of a fraction that is 1 would say nothing). The phases of one composite
        are not independent, so the accuracy over all phases is the mean over composites of each one's fraction of
        correct phases, with a 95 % interval from a bootstrap of composites (percentiles of 2,000 resamples, always the
        same ones). The gating contrast has the same interval, and its paired t and effect size dz are rows of their
        own.
    """
    rows: dict[str, list[NDArray[np.generic]]] = {"correct": [], "unconstrained": [], "attended": [], "gates": []}
    starts = range(0, len(composites), batch_size)
    for start in tqdm(starts, desc=f"evaluating {model.name}", unit="batch", leave=False, disable=None):
        part = slice(start, start + batch_size)
        for name, value in _trial(
            model, composites.images[part], composites.objects[part], composites.labels[part]
        ).items():
            rows[name].append(value)
    joined = {name: np.concatenate(values) for name, values in rows.items()}
    table = pd.DataFrame(
        [*_choices(joined["correct"], joined["unconstrained"], joined["attended"]), *_contrast(joined["gates"])]
    )
    table.insert(0, "model", model.name)
    return table


def _trial(
    model: GatedNetwork, images: torch.Tensor, objects: torch.Tensor, labels: torch.Tensor
) -> dict[str, NDArray[np.generic]]:
    """Return (composite, phase) correct, unconstrained and attended, and (composite, 2) mean gates of a free trial."""
    correct, unconstrained, attended, gates = [], [], [], []
    for phase, choice in attend(model, images, objects):
        correct.append(phase.logits.argmax(1) == labels.gather(1, choice.attended[:, None])[:, 0])
        unconstrained.append(choice.unconstrained)
        attended.append(choice.attended)
        gates.append(gate_contrast(phase.gates[0], images, objects, choice.attended, model.config.strength))
    return {
        "correct": torch.stack(correct, 1).cpu().numpy(),
        "unconstrained": torch.stack(unconstrained, 1).cpu().numpy(),
        "attended": torch.stack(attended, 1).cpu().numpy(),
        "gates": torch.stack(gates).mean(0).cpu().numpy(),
    }


def _choices(
    correct: NDArray[np.generic], unconstrained: NDArray[np.generic], attended: NDArray[np.generic]
) -> list[dict[str, object]]:
    """Return the fractions that (composite, phase) arrays give."""
    n_objects = correct.shape[1]
    every = [(unconstrained == k).any(1) for k in range(n_objects)]
    covered: NDArray[np.bool_] = np.all(every, 0)
    right: NDArray[np.bool_] = np.all(correct, 1)
    rows = [_mean("accuracy", correct.mean(1), "mean over composites of the fraction of correct phases")]
    rows += [_fraction(f"accuracy_phase_{p + 1}", correct[:, p], "") for p in range(n_objects)]
    rows += [
        _fraction("all_objects_right", right, "every phase of the trial is correct"),
        _fraction("all_objects_covered", covered, "by the unconstrained choice"),
    ]
    place = ["left", "right"] if n_objects == 2 else [f"place {k + 1} from the left" for k in range(n_objects)]
    return rows + [_fraction(f"attended_first_{k}", attended[:, 0] == k, place[k]) for k in range(n_objects)]


def _fraction(what: str, hits: NDArray[np.generic], note: str) -> dict[str, object]:
    low, high = proportion_confint(hits.sum(), hits.size, method="wilson")
    return {
        "what": what,
        "estimate": hits.mean(),
        "interval_low": low,
        "interval_high": high,
        "n": hits.size,
        "note": note,
    }


def _contrast(gates: NDArray[np.generic]) -> list[dict[str, object]]:
    """Return the gating contrast from (composite, 2) mean gates: attended, unattended."""
    whole = gates[np.isfinite(gates).all(1)].astype(np.float64)
    if len(whole) < 2:
        return []
    rows = [
        _mean(f"gate_{name}", whole[:, i], "mean gate of the image after step T - 1; averaged over phases")
        for i, name in enumerate(("attended", "unattended"))
    ]
    difference = whole[:, 1] - whole[:, 0]
    rows.append(_mean("gate_difference", difference, "unattended - attended"))
    spread = difference.std(ddof=1)
    dz = difference.mean() / spread if spread > 0 else np.nan
    note = "composites of one network: no population claim"
    rows.append({"what": "gate_difference_dz", "estimate": dz, "n": len(whole), "note": note})
    rows.append({"what": "gate_difference_t", "estimate": dz * np.sqrt(len(whole)), "n": len(whole), "note": note})
    return rows


def _mean(what: str, values: NDArray[np.float64], note: str) -> dict[str, object]:
    # In parts, so that all resamples of many composites are never in memory at once.
    resampled = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile", rng=np.random.default_rng(0)
    )
    return {
        "what": what,
        "estimate": values.mean(),
        "interval_low": resampled.confidence_interval.low,
        "interval_high": resampled.confidence_interval.high,
        "sd": values.std(ddof=1),
        "n": len(values),
        "note": note,
    }
