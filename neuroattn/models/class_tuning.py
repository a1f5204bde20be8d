"""How strongly the channels of a layer prefer classes: what feature attention goes by.

    f[c, k] = z[c, k]/max over c of |z[c, k]|,   z[c, k] = (r[c, k] - mean over c)/(SD over c)

with r[c, k] the mean response of channel k to pictures of class c, over pictures and places. A channel that responds to
all classes alike has f = 0; the SD leaves f as it is. After Lindsay & Miller 2018, eLife 7:e38105, whose published code
reads finished tuning values from a file: that what is not finite is 0 is in the code, which divides gradients, its
other choice, by their largest size over classes; that tuning is a z-score divided likewise is our understanding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from neuroattn.runs.plain_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn


@torch.no_grad()
def class_tuning(
    module: nn.Module, layers: Sequence[str], images: torch.Tensor, labels: torch.Tensor, batch_size: int = 256
) -> dict[str, torch.Tensor]:
    """Return layer → (class, channel) tuning f in -1 to 1.

    Parameters
    ----------
    module
        The model, in evaluation mode.
    layers
        Names of modules of it whose outputs are (batch, channel, …), as ``module.named_modules()`` gives them.
    images
        (picture, channel, y, x) pictures of one object each, as the module takes them.
    labels
        (picture,) their classes, whole numbers from 0; each up to the highest must be there.
    batch_size
        Pictures at once.

    Raises
    ------
    ValueError
        If a layer is none of the module's, or a class is missing.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.ReLU())
    >>> _ = module[0].weight.data.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
    >>> images = torch.tensor([0.0, 1.0, 5.0]).view(3, 1, 1, 1)
    >>> class_tuning(module, ["1"], images, torch.arange(3))["1"]
    tensor([[-0.6667,  0.0000],
            [-0.3333,  0.0000],
            [ 1.0000,  0.0000]])
    """
    counts = torch.bincount(labels)
    if len(counts) < 2 or (counts == 0).any():
        raise ValueError(
            f"labels must have pictures of every class from 0 on, at least 2, got {counts.tolist()} of each"
        )
    parts = named_layers(module, layers)
    sums: dict[str, torch.Tensor] = {}
    latest: dict[str, torch.Tensor] = {}

    def keeping(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            latest[name] = (output.flatten(2).mean(2) if output.ndim > 2 else output).double().cpu()

        return hook

    handles = [part.register_forward_hook(keeping(name)) for name, part in parts.items()]
    try:
        for some, of in zip(images.split(batch_size), labels.cpu().split(batch_size), strict=True):  # type: ignore[no-untyped-call]
            module(some)
            for name, mean in latest.items():
                empty = torch.zeros(len(counts), mean.shape[1], dtype=torch.float64)
                sums.setdefault(name, empty).index_add_(0, of, mean)
    finally:
        for handle in handles:
            handle.remove()
    return {name: _normalised(total / counts[:, None]) for name, total in sums.items()}


def _normalised(mean: torch.Tensor) -> torch.Tensor:
    centred = mean - mean.mean(0)
    largest = centred.abs().amax(0)
    # Rounding leaves a trace of a difference where there is none.
    silent = largest <= 1e-9 * mean.abs().amax(0)
    return torch.where(silent, 0.0, centred / largest.where(~silent, torch.ones(()).double())).float()


def named_layers(module: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Return the modules of these names, in their order.

    Raises
    ------
    ValueError
        If there is none, or a name is no module's.

    Examples
    --------
    >>> named_layers(torch.nn.Sequential(torch.nn.ReLU()), ["V4"])
    Traceback (most recent call last):
    ValueError: layers must be modules of Sequential, got 'V4'; it has 0
    """
    known = {path: part for path, part in module.named_modules() if path}
    if isinstance(layers, str) or not layers:
        raise ValueError(f"layers must be a list of at least one module's name, got {shown(layers)}")
    if unknown := [name for name in layers if name not in known]:
        listed = ", ".join([*known][:12]) + (f" … ({len(known)} in all)" if len(known) > 12 else "")
        raise ValueError(
            f"layers must be modules of {type(module).__name__}, got {shown(unknown[0])}; it has {listed or 'none'}"
        )
    return {name: known[name] for name in layers}
