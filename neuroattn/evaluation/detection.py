"""Detection of a class in composites, without attention and with a gain, as Lindsay & Miller (2018) measure it.

For every class c composites of two digits of different classes are shown, as many with c as without it, and the yes/no
read-out of c says whether it is there: performance is (hits + rejections)/2, sensitivity d′ = z(H) - z(F), criterion
-(z(H) + z(F))/2, with H and F (count + 1/2)/(number + 1). Feature attention is to c, in all composites. Attention to a
place is to the side of c where it is there, and else to a side by chance. The strength is chosen for each class on one
half of the composites and measured on the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from neuroattn.models.gain_cnn import N_STAGES
from neuroattn.stimuli.digits import composites
from neuroattn.subjects.gain import feature_gain, place_gain
from neuroattn.subjects.timed_module import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from neuroattn.models.gain_cnn import GainCNN
    from neuroattn.stimuli.mnist import Digits
    from neuroattn.subjects.gain import Gain

KINDS = ("feature", "place")
CONTROLS = ("shuffled", "uniform")
LAYERS = (*range(1, N_STAGES + 1), 0)  # 0: all, at a tenth of the strength
AT_ONCE = 300


class Cell(NamedTuple):
    """Composites for one class: pictures, whether the class is there, what is attended, and whether they choose β.

    `object` is the attended object (picture, channel, y, x), `label` its class.
    """

    number: int
    images: torch.Tensor
    present: torch.Tensor
    object: torch.Tensor
    label: torch.Tensor
    chooses: NDArray[np.bool_]


def cells(digits: Digits, n_classes: int, number: int, *, noise: float, seed: int) -> Iterator[Cell]:
    """Yield for every class `number` composites with it, and as many without.

    Raises
    ------
    ValueError
        If the digits do not hold every class.
    """
    if (digits.class_counts[:n_classes] == 0).any():
        raise ValueError(f"digits must hold every class from 0 to {n_classes - 1}, got {digits.class_counts.tolist()}")
    for c in range(n_classes):
        generator = torch.Generator().manual_seed(seed * 1000 + c)
        of_class, others = (np.flatnonzero((digits.labels == c) == there) for there in (True, False))
        first = of_class[torch.randint(len(of_class), (number,), generator=generator).numpy()]
        with_class = composites(digits, first, noise=noise, resample=False, generator=generator)
        rest = digits.select(others)
        first = torch.randint(len(rest), (number,), generator=generator).numpy()
        without = composites(rest, first, noise=noise, resample=False, generator=generator)
        side = torch.randint(2, (number,), generator=generator)
        attended = torch.cat([(with_class.labels == c).int().argmax(1), side])
        rows = torch.arange(2 * number)
        yield Cell(
            number=c,
            images=torch.cat([with_class.images, without.images]),
            present=rows < number,
            object=torch.cat([with_class.objects, without.objects])[rows, attended],
            label=torch.cat([with_class.labels, without.labels])[rows, attended],
            chooses=(np.arange(2 * number) % 2 == 0),
        )


def gains(network: GainCNN, kind: str, layer: int, strength: float, *, positive_only: bool, control: str = "") -> Gain:
    """Return attention as a gain on a network, or what a control has in its place: shuffled channels, or f = 1."""
    numbers = [layer] if layer else [*range(1, N_STAGES + 1)]
    strength = strength if layer else strength / 10
    path = {number: f"stages.{number - 1}.response" for number in numbers}
    if kind == "place":
        return place_gain([*path.values()], strength, positive_only=positive_only)
    tuning = {}
    for number in numbers:
        f = network.tuning(number)
        if control == "shuffled":
            f = f[:, torch.randperm(f.shape[1], generator=torch.Generator().manual_seed(number))]
        tuning[path[number]] = torch.ones_like(f) if control == "uniform" else f
    return feature_gain(tuning, strength, positive_only=positive_only)


@torch.no_grad()
def said(network: GainCNN, cell: Cell, gain: Gain | None, *, feature: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a network says of composites: whether the class is there, and whether it names the attended digit."""
    answers = []
    for rows in torch.arange(len(cell.images)).split(AT_ONCE):  # type: ignore[no-untyped-call]
        images, found = cell.images[rows].to(network.device), list[torch.Tensor]()
        handle = network.dense.register_forward_hook(lambda _m, _i, output, kept=found: kept.append(output))
        try:
            if gain is None:
                network(images)
            else:
                label = torch.full((len(rows),), cell.number) if feature else None
                for _ in gain(network, images, Target(0, cell.object[rows].to(network.device), label, None)):
                    pass
        finally:
            handle.remove()
        h = found[0].relu()
        answers.append((network.detectors(h)[:, cell.number] > 0, network.readout(h).argmax(1)))
    yes, named = (torch.cat([answer[i] for answer in answers]).cpu() for i in range(2))
    return yes, named == cell.label


def measured(yes: NDArray[np.bool_], present: NDArray[np.bool_]) -> dict[str, float]:
    """Return hits, false alarms, performance, d′ and criterion of yes/no answers.

    >>> found = measured(np.array([True, True, False, True]), np.array([True, True, False, False]))
    >>> found["performance"], round(found["criterion"], 2)
    (0.75, -0.48)
    """
    hits, false_alarms = yes[present].mean(), yes[~present].mean()
    h, f = ((part.sum() + 0.5) / (part.size + 1) for part in (yes[present], yes[~present]))
    return {
        "hits": float(hits),
        "false_alarms": float(false_alarms),
        "performance": float((hits + 1 - false_alarms) / 2),
        "sensitivity": float(norm.ppf(h) - norm.ppf(f)),
        "criterion": float(-(norm.ppf(h) + norm.ppf(f)) / 2),
    }


def detect(network: GainCNN, every: Sequence[Cell], strengths: Sequence[float]) -> pd.DataFrame:
    """Return what a network detects, without attention and with every gain.

    Returns
    -------
    pandas.DataFrame
        One row a class, kind, layer (0: all), sign, control, strength and half: ``chooses`` (whether it is the half
        that chooses β), the columns of `measured`, and ``naming``, the fraction of composites whose attended digit is
        named. Rows of strength 0 are without attention, of no layer.
    """
    rows: list[dict[str, object]] = []

    def add(cell: Cell, gain: Gain | None, kind: str, **condition: object) -> None:
        yes, right = said(network, cell, gain, feature=kind == "feature")
        for chooses in (True, False):
            half = cell.chooses == chooses
            found = measured(yes.numpy()[half], cell.present.numpy()[half])
            naming = float(right.numpy()[half].mean())
            rows.append(
                {"class": cell.number, "kind": kind, "chooses": chooses, "naming": naming, **condition, **found}
            )

    for cell in every:
        add(cell, None, "none", layer=-1, positive_only=False, control="", strength=0.0)
        for layer in LAYERS:
            for strength in strengths:
                for kind in KINDS:
                    for positive_only in (False, True):
                        gain = gains(network, kind, layer, strength, positive_only=positive_only)
                        add(cell, gain, kind, layer=layer, positive_only=positive_only, control="", strength=strength)
                for control in CONTROLS:
                    gain = gains(network, "feature", layer, strength, positive_only=False, control=control)
                    add(cell, gain, "feature", layer=layer, positive_only=False, control=control, strength=strength)
    return pd.DataFrame(rows)
