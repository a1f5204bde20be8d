"""Composites of handwritten digits: several side by side, overlapping by half their width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuroattn.compute.memory import require_room
from neuroattn.stimuli.labelled import Labelled
from neuroattn.stimuli.mnist import SIDE, Digits

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from neuroattn.stimuli.stimulus_set import StimulusSet

SHIFT = SIDE // 2
"""How many pixels a digit stands to the right of the one before it."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Composites(Labelled):
    """Composites of n digits, in the order of their places: object 0 is the leftmost.

    Parameters
    ----------
    images
        (composite, 1, 28, 28 + 14·(n − 1)) float32 in [0, 1], noise included.
    objects
        (composite, object, 1, y, x) float32, each digit alone on black, at its place.
    labels
        (composite, object) int64, 0–9.
    digit
        (composite, object) int64, index into the set that the digits were taken from.

    Examples
    --------
    >>> import torch
    >>> from neuroattn.stimuli.mnist import embedded
    >>> composites(embedded(), torch.arange(3), n_objects=3, generator=torch.Generator().manual_seed(0))
    <Composites: 3 pictures of 1 × 28 × 56, 3 objects each, 5 classes, on cpu>
    """

    digit: torch.Tensor


def composites(
    digits: Digits,
    first: NDArray[np.int64] | torch.Tensor,
    *,
    n_objects: int = 2,
    noise: float = 0.3,
    resample: bool = True,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
) -> Composites:
    """Put each digit of `first` beside others drawn at random.

    The n digits of a composite are put in random order; the one at place k is shifted right by 14·k pixels; they are
    summed, the sum clamped to [0, 1], and uniform noise in [0, noise) put where the composite is exactly 0.

    All random numbers are drawn on the CPU, in the same number whatever `noise` is, and then moved: the same seed gives
    the same composites on every device, and the same digits under every noise.

    Parameters
    ----------
    digits
        The set to draw from.
    first
        (composite,) indices into `digits`: the digit that each composite surely holds.
    n_objects
        Digits a composite, at least 2.
    noise
        Upper end of the background noise, in [0, 1].
    resample
        Whether a label may occur twice in a composite. If not, each further digit is drawn uniformly from all digits of
        the classes that the composite does not hold yet.
    generator
        A generator on the CPU.
    device
        Where the composites are wanted.

    Raises
    ------
    ValueError
        If an argument lies outside its range, or `digits` has fewer classes than different labels are needed.

    References
    ----------
    Lei, Benjamin & Kording (2021), Object Based Attention Through Internal Gating, arXiv:2106.04540.

    Examples
    --------
    >>> import torch
    >>> from neuroattn.stimuli.mnist import embedded
    >>> first, generator = torch.tensor([0, 4999]), torch.Generator().manual_seed(0)
    >>> made = composites(embedded(), first, resample=False, generator=generator)
    >>> made.labels  # the digits 0 and 4,999 are a 0 and a 9
    tensor([[0, 9],
            [9, 6]])
    """
    import torch

    _check(digits, n_objects, noise, resample, generator)
    start = _checked_first(first, len(digits))
    if resample:
        further = torch.randint(len(digits), (len(start), n_objects - 1), generator=generator)
    else:
        further = _digits_of_other_classes(digits, start, n_objects - 1, generator)
    digit = torch.cat([start[:, None], further], dim=1)
    places = torch.rand(digit.shape, generator=generator).argsort(dim=1)
    digit = digit.gather(1, places).to(device)

    images, labels = digits.tensors(device)
    n, width = len(digit), SIDE + SHIFT * (n_objects - 1)
    objects = torch.zeros(n, n_objects, 1, SIDE, width, device=device)
    for k in range(n_objects):
        objects[:, k, 0, :, SHIFT * k : SHIFT * k + SIDE] = images[digit[:, k]]
    objects /= 255
    composite = objects.sum(dim=1).clamp_(max=1)
    background = torch.rand(composite.shape, generator=generator).mul_(noise).to(device)
    return Composites(
        images=torch.where(composite == 0, background, composite), objects=objects, labels=labels[digit], digit=digit
    )


def single_digits(
    digits: Digits,
    items: torch.Tensor,
    *,
    noise: float = 0.3,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
) -> Labelled:
    """Put single digits left or right, by chance, on the canvas of a composite of two, with its background.

    Parameters
    ----------
    digits
        The set to take them from.
    items
        (picture,) indices into `digits`.
    noise, generator, device
        As for `composites`.

    Raises
    ------
    ValueError
        As for `composites`.

    Examples
    --------
    >>> import torch
    >>> from neuroattn.stimuli.mnist import embedded
    >>> single_digits(embedded(), torch.arange(3), generator=torch.Generator().manual_seed(0))
    <Labelled: 3 pictures of 1 × 28 × 42, 1 objects each, 1 classes, on cpu>
    """
    import torch

    _check(digits, 2, noise, True, generator)
    start = _checked_first(items, len(digits)).to(device)
    images, labels = digits.tensors(device)
    left = torch.rand(len(start), generator=generator).to(device) < 0.5
    canvas = torch.zeros(len(start), 1, SIDE, SIDE + SHIFT, device=device)
    canvas[left, 0, :, :SIDE] = images[start[left]] / 255
    canvas[~left, 0, :, SHIFT:] = images[start[~left]] / 255
    background = torch.rand(canvas.shape, generator=generator).mul_(noise).to(device)
    return Labelled(
        images=torch.where(canvas == 0, background, canvas), objects=canvas[:, None], labels=labels[start][:, None]
    )


def sample_composites(
    digits: Digits,
    number: int,
    *,
    n_objects: int,
    noise: float,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
) -> Composites:
    """Return composites whose first digits are a random sample of a set; once all have been, the sample begins again.

    Parameters
    ----------
    digits
        Where the digits come from.
    number
        How many composites.
    n_objects, noise, generator, device
        As for `composites`.

    Raises
    ------
    ValueError
        As for `composites`, and if memory does not hold so many.

    Examples
    --------
    >>> import torch
    >>> from neuroattn.stimuli.mnist import embedded
    >>> sample_composites(embedded(), 100, n_objects=2, noise=0.3, generator=torch.Generator().manual_seed(0))
    <Composites: 100 pictures of 1 × 28 × 42, 2 objects each, 10 classes, on cpu>
    """
    import torch

    require_room_for(number, n_objects)
    # Sets may be ordered by class, so the first few of one are no sample of it.
    order = torch.randperm(len(digits), generator=generator)
    first = order[torch.arange(number) % len(digits)]
    return composites(digits, first, n_objects=n_objects, noise=noise, generator=generator, device=device)


def require_room_for(number: int, n_objects: int) -> None:
    """Raise unless memory holds so many composites, with their objects and their background.

    >>> require_room_for(1000, n_objects=2)
    """
    n_bytes = number * (n_objects + 2) * SIDE * (SIDE + SHIFT * (n_objects - 1)) * 4
    require_room("composites", f"{number:,} of {n_objects} digits", n_bytes, "make fewer")


def example_stimuli(number: int = 12, *, n_objects: int = 2, seed: int = 0) -> StimulusSet:
    """Return a few composites of handwritten digits, with their objects, to have something to record.

    Parameters
    ----------
    number
        How many.
    n_objects
        Digits side by side.
    seed
        Which digits.

    Examples
    --------
    >>> import neuroattn
    >>> neuroattn.example_stimuli(3).size
    (1, 28, 42)
    """
    import torch

    from neuroattn.stimuli.mnist import embedded

    generator = torch.Generator().manual_seed(seed)
    return stimulus_set(sample_composites(embedded(), number, n_objects=n_objects, noise=0.3, generator=generator))


def stimulus_set(composites: Composites) -> StimulusSet:
    """Return the composites as stimuli.

    The table has ``label_k``, ``location_k`` and ``digit_k`` for every object k; ``digit_k`` is the index into the set
    that the composites were made from.

    >>> import torch
    >>> from neuroattn.stimuli.mnist import embedded
    >>> made = sample_composites(embedded(), 3, n_objects=2, noise=0, generator=torch.Generator().manual_seed(0))
    >>> stimulus_set(made).table.filter(like="_0")
       label_0  location_0  digit_0
    0        2           0     1044
    1        5           0     2591
    2        5           0     2504
    """
    from neuroattn.stimuli.stimulus_set import StimulusSet

    digit = composites.digit.cpu().numpy()
    of_object = {f"digit_{k}": digit[:, k] for k in range(digit.shape[1])}
    return StimulusSet(composites.images, composites.objects, composites.table().assign(**of_object))


def _check(digits: Digits, n_objects: int, noise: float, resample: bool, generator: torch.Generator) -> None:
    if n_objects < 2:
        raise ValueError(f"n_objects must be at least 2, got {n_objects}")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must be in [0, 1], got {noise}")
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator must be on the CPU, got one on {generator.device}; composites are moved to `device` afterwards"
        )
    n_classes = int((digits.class_counts > 0).sum())
    if not resample and n_objects > n_classes:
        raise ValueError(
            f"n_objects must be at most {n_classes} with resample=False, the number of classes among the digits, "
            f"got {n_objects}; take fewer objects or resample=True"
        )


def _checked_first(first: NDArray[np.int64] | torch.Tensor, n_digits: int) -> torch.Tensor:
    import torch

    start = torch.as_tensor(first).cpu()
    if start.ndim != 1 or len(start) == 0:
        raise ValueError(f"first must be one-dimensional and hold at least one index, got shape {tuple(start.shape)}")
    if start.is_floating_point() or start.dtype == torch.bool:
        raise ValueError(f"first must hold integer indices, got {start.dtype}")
    low, high = int(start.min()), int(start.max())
    if low < 0 or high >= n_digits:
        raise ValueError(f"first must be in 0–{n_digits - 1}, the indices of the digits, got {low} to {high}")
    return start.long()


def _digits_of_other_classes(
    digits: Digits, start: torch.Tensor, n_further: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw (composite, n_further) digits so that no label occurs twice, without drawing in vain.

    A rank is drawn among the digits that are still allowed. In the list ordered by class, the allowed digits of rank r
    lie behind the forbidden classes that come before them; the cumulative counts say which class that is.
    """
    import torch

    labels, by_class = digits.tensors()[1], torch.tensor(digits.by_class)
    counts = torch.tensor(digits.class_counts)
    class_start = counts.cumsum(0) - counts
    allowed = counts.expand(len(start), -1).clone()
    allowed.scatter_(1, labels[start][:, None], 0)
    further = []
    for _ in range(n_further):
        ends = allowed.cumsum(1)
        chance = torch.rand(len(start), 1, generator=generator, dtype=torch.float64)
        rank = (chance * ends[:, -1:]).long().clamp_(max=ends[:, -1:] - 1)
        chosen = torch.searchsorted(ends, rank, right=True)
        within = rank - (ends - allowed).gather(1, chosen)
        further.append(by_class[class_start[chosen] + within])
        allowed.scatter_(1, chosen, 0)
    return torch.cat(further, dim=1)
