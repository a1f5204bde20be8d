"""Free trials of a network on labelled pictures, and what they say of it, whatever the pictures are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from neuroattn.compute.progress import progress
from neuroattn.models.trial import attend, gate_contrast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.models.trial import Phase
    from neuroattn.stimuli.digits import Composites
    from neuroattn.stimuli.shown import Pictures

RESAMPLES = 2000


class Outcomes(NamedTuple):
    """What trials came to.

    Attributes
    ----------
    label, decided
        (picture, phase) class of the attended object, and the class that the phase decides on.
    attended, unconstrained
        (picture, phase) the attended object, and that of least error whatever was attended before.
    gates
        (picture, 2) mean gate of the image over attended and over other pixels, averaged over phases.
    """

    label: NDArray[np.int64]
    decided: NDArray[np.int64]
    attended: NDArray[np.int64]
    unconstrained: NDArray[np.int64]
    gates: NDArray[np.float64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(picture, phase) whether the decision is right."""
        return np.asarray(self.label == self.decided)


@torch.no_grad()
def run_trials(
    model: GatedNetwork,
    pictures: Pictures,
    batch_size: int,
    see: Callable[[NDArray[np.int64], Phase, torch.Tensor], None] | None = None,
) -> Outcomes:
    """Show pictures to a network, one free trial each.

    Parameters
    ----------
    model
        The network.
    pictures
        Each of as many objects.
    batch_size
        Pictures at once.
    see
        Told the numbers of the pictures, the phase and the attended objects (picture,) of every phase of every batch.
    """
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in Outcomes._fields}
    starts = range(0, len(pictures), batch_size)
    for start in progress(f"evaluating {model.name}", "batch", starts):
        batch = pictures.part(slice(start, start + batch_size)).to(model.device)
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in Outcomes._fields}
        for phase, choice in attend(model, batch.images, batch.objects):
            parts["label"].append(batch.labels.gather(1, choice.attended[:, None])[:, 0])
            parts["decided"].append(phase.logits.argmax(1))
            parts["attended"].append(choice.attended)
            parts["unconstrained"].append(choice.unconstrained)
            parts["gates"].append(
                gate_contrast(phase.gates[0], batch.images, batch.objects, choice.attended, model.config.strength)
            )
            if see is not None:
                see(np.arange(start, start + len(batch)), phase, choice.attended)
        for name, values in parts.items():
            rows[name].append(torch.stack(values).mean(0) if name == "gates" else torch.stack(values, 1))
    return Outcomes(**{name: torch.cat(values).cpu().numpy() for name, values in rows.items()})


def evaluate(model: GatedNetwork, composites: Composites, batch_size: int = 256) -> pd.DataFrame:
    """Return what a network does with two composites of digits or more: ``model``, and the columns of `summary`."""
    outcomes = run_trials(model, composites, batch_size)
    n_objects = composites.labels.shape[1]
    places = ["left", "right"] if n_objects == 2 else [f"place {k + 1} from the left" for k in range(n_objects)]
    table = summary(outcomes, places, "composites")
    table.insert(0, "model", model.name)
    return table


def summary(outcomes: Outcomes, places: Sequence[str], pictures: str) -> pd.DataFrame:
    """Return estimates of what trials show.

    Parameters
    ----------
    outcomes
        Of at least two pictures.
    places
        What each object is called: ``left``, ``right``.
    pictures
        What the pictures are called: ``composites``.

    Returns
    -------
    pandas.DataFrame
        One row an estimate: ``what, estimate, interval_low, interval_high, sd, n, note``. Fractions have a 95 % Wilson
        interval over trials (a bootstrap of a fraction that is 1 would say nothing). The phases of one picture are not
        independent, so the accuracy over all phases is the mean over pictures of each one's fraction of correct phases,
        with a 95 % interval from a bootstrap of pictures (percentiles of 2,000 resamples, always the same ones). The
        gating contrast has the same interval, and its paired t and effect size dz are rows of their own.
    """
    return pd.DataFrame([*_choices(outcomes, places, pictures), *_contrast(outcomes.gates, pictures)])


def _choices(outcomes: Outcomes, places: Sequence[str], pictures: str) -> list[dict[str, object]]:
    correct, unconstrained = outcomes.correct, outcomes.unconstrained
    n_objects = correct.shape[1]
    every = [(unconstrained == k).any(1) for k in range(n_objects)]
    covered: NDArray[np.bool_] = np.all(every, 0)
    right: NDArray[np.bool_] = np.all(correct, 1)
    rows = [mean("accuracy", correct.mean(1), f"mean over {pictures} of the fraction of correct phases")]
    rows += [fraction(f"accuracy_phase_{p + 1}", correct[:, p]) for p in range(n_objects)]
    rows += [
        fraction("all_objects_right", right, "every phase of the trial is correct"),
        fraction("all_objects_covered", covered, "by the unconstrained choice"),
    ]
    first = outcomes.attended[:, 0]
    return rows + [fraction(f"attended_first_{k}", first == k, name) for k, name in enumerate(places)]


def row(
    what: str,
    estimate: float,
    interval: Sequence[float] = (np.nan, np.nan),
    *,
    n: int,
    sd: float = np.nan,
    note: str = "",
) -> dict[str, object]:
    """Return an estimate with its interval and spread, where it has these."""
    low, high = interval
    return {
        "what": what,
        "estimate": estimate,
        "interval_low": low,
        "interval_high": high,
        "sd": sd,
        "n": n,
        "note": note,
    }


def fraction(what: str, hits: NDArray[np.bool_], note: str = "") -> dict[str, object]:
    """Return a row with the fraction of hits and its Wilson interval."""
    interval = proportion_confint(hits.sum(), hits.size, method="wilson")
    return row(what, hits.mean(), interval, n=hits.size, note=note)


def _contrast(gates: NDArray[np.float64], pictures: str) -> list[dict[str, object]]:
    """Return the gating contrast from (picture, 2) mean gates: attended, unattended."""
    whole = gates[np.isfinite(gates).all(1)].astype(np.float64)
    if len(whole) < 2:
        return []
    rows = [
        mean(f"gate_{name}", whole[:, i], "mean gate of the image after step T - 1; averaged over phases")
        for i, name in enumerate(("attended", "unattended"))
    ]
    difference = whole[:, 1] - whole[:, 0]
    spread = difference.std(ddof=1)
    dz = difference.mean() / spread if spread > 0 else np.nan
    n, note = len(whole), f"{pictures} of one network: no population claim"
    return [
        *rows,
        mean("gate_difference", difference, "unattended - attended"),
        row("gate_difference_dz", dz, n=n, note=note),
        row("gate_difference_t", dz * np.sqrt(n), n=n, note=note),
    ]


def mean(what: str, values: NDArray[np.float64], note: str) -> dict[str, object]:
    """Return a row with the mean of values and its interval by a bootstrap, always of the same resamples."""
    # In parts, so that all resamples of many pictures are never in memory at once.
    resampled = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile", rng=np.random.default_rng(0)
    )
    interval = resampled.confidence_interval
    return row(what, values.mean(), (interval.low, interval.high), sd=values.std(ddof=1), n=len(values), note=note)
