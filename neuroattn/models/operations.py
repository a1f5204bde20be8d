"""What a gated network does to its maps, in few passes over memory, forward and back.

The networks are small, so that memory costs as much as arithmetic beside the convolutions. Each operation here has a
gradient of its own instead of one that torch puts together from smaller steps, and maps keep channels innermost.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

_BLOCK = 4  # side of the squares of pixels whose gradients are taken at once
_TERMS = 256  # of a sum; beyond some 500 libraries share it out among threads


def channels_last(maps: torch.Tensor) -> torch.Tensor:
    """Return the maps with channels innermost in memory, which makes convolution and pooling several times faster.

    >>> channels_last(torch.zeros(2, 3, 5, 7)).stride()
    (105, 1, 21, 3)
    """
    if maps.shape[1] > 1:
        return maps.contiguous(memory_format=torch.channels_last)
    # With a single channel both layouts hold the same bytes; the strides tell torch which is meant.
    _, _, height, width = maps.shape
    return maps.contiguous().as_strided(maps.shape, (height * width, 1, width, 1))


def gated(x: torch.Tensor, gate: torch.Tensor, strength: float) -> torch.Tensor:
    """Return x (1 − s g), for maps of one shape.

    >>> gated(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), strength=0.25)
    tensor([1.0000, 0.7500])
    """
    result: torch.Tensor = _Gated.apply(x, gate, strength)  # type: ignore[no-untyped-call]
    return result


def imposed(signal: torch.Tensor, inhibition: torch.Tensor) -> torch.Tensor:
    """Return a signal in [−1, 1], or 1 where the boolean `inhibition` of the same shape imposes it.

    >>> imposed(torch.tensor([-0.5, -0.5]), torch.tensor([False, True]))
    tensor([-0.5000,  1.0000])
    """
    result: torch.Tensor = _Imposed.apply(signal, inhibition)  # type: ignore[no-untyped-call]
    return result


def tanh(x: torch.Tensor) -> torch.Tensor:
    """Return tanh of a tensor that nobody else needs: it may be overwritten.

    >>> tanh(torch.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4621])
    """
    on_cpu = x.device.type == "cpu"
    if not torch.is_grad_enabled():
        return _tanh_in_place(x) if on_cpu else torch.tanh(x)
    if not on_cpu and x.dtype == torch.float32:
        return torch.tanh(x)
    result: torch.Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]
    return result


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """Return the maximum over 2 × 2 places.

    >>> pooled(torch.arange(8.0).reshape(1, 1, 2, 4))
    tensor([[[[5., 7.]]]])
    """
    if torch.is_grad_enabled() or maps.device.type != "cpu":
        return F.max_pool2d(maps, 2)
    # Torch's own also notes where each maximum is, which only a gradient needs.
    height, width = (size // 2 * 2 for size in maps.shape[2:])
    rows = torch.maximum(maps[:, :, 0:height:2], maps[:, :, 1:height:2])
    return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return x Wᵀ + b; outside training the same to the last bit on any number of threads.

    Parameters
    ----------
    x
        (batch, unit).
    weight, bias
        (class, unit) and (class,).

    Examples
    --------
    >>> linear(torch.ones(1, 3), torch.ones(2, 3), torch.tensor([0.0, 1.0]))
    tensor([[3., 4.]])
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    # Long sums are shared out among threads, whose number then decides where they are rounded.
    result = bias.expand(len(x), -1)
    for first in range(0, x.shape[1], _TERMS):
        part = slice(first, first + _TERMS)
        result = torch.addmm(result, x[:, part], weight[:, part].T)
    return result


def image_convolution(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return ``conv2d`` of maps with few channels, as images have, with a quick gradient for them.

    On a processor it keeps the precision of the weights under autocast, where a lower one would be slower.

    Parameters
    ----------
    image
        (batch, channel, y, x), channels innermost in memory.
    weight, bias
        (feature, channel, kernel, kernel) and (feature,).

    Examples
    --------
    >>> image_convolution(torch.ones(1, 1, 3, 4), torch.ones(5, 1, 2, 2), torch.zeros(5)).shape
    torch.Size([1, 5, 2, 3])
    """
    if image.device.type != "cpu":
        return F.conv2d(image, weight, bias)
    result: torch.Tensor = _ImageConvolution.apply(image, weight, bias)  # type: ignore[no-untyped-call]
    return result


def _tanh_in_place(x: torch.Tensor) -> torch.Tensor:
    # Equal to 2e-7, and torch's sigmoid is many times faster than its tanh.
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, gate: torch.Tensor, strength: float) -> torch.Tensor:
        ctx.save_for_backward(x, gate)
        ctx.strength = strength
        return torch.addcmul(x, x, gate, value=-strength)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gate = ctx.saved_tensors
        of_x = torch.addcmul(gradient, gradient, gate, value=-ctx.strength) if ctx.needs_input_grad[0] else None
        of_gate = (gradient * x).mul_(-ctx.strength) if ctx.needs_input_grad[1] else None
        return of_x, of_gate, None


class _Imposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: torch.Tensor, inhibition: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(inhibition)
        # The maximum with 1 or −1 imposes or leaves the signal, without a branch a unit.
        return torch.maximum(signal, inhibition.to(signal.dtype).mul_(2).sub_(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (inhibition,) = ctx.saved_tensors
        return gradient * ~inhibition, None


class _Tanh(torch.autograd.Function):
    """With the slope from 32 bits: bfloat16 rounds tanh(3.5) to 1, whose slope is 0, and no gate would open again."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.float32:
            y = _tanh_in_place(x.clone())
            ctx.save_for_backward(1 - y * y)
            return y
        half = torch.sigmoid_(2 * x.float())
        ctx.save_for_backward((half - half * half).mul_(4).to(x.dtype))
        return half.mul_(2).sub_(1).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (slope,) = ctx.saved_tensors
        return cast("torch.Tensor", gradient * slope)


class _ImageConvolution(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(image, weight)
        return F.conv2d(image, weight, bias)

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        image, weight = ctx.saved_tensors
        of_image = _of_image(gradient, weight, image.shape) if ctx.needs_input_grad[0] else None
        needed = [False, *ctx.needs_input_grad[1:]]
        _, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient, image, weight, [len(weight)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, needed
        )
        # A single channel leaves the strides open; processes that share gradients need the weight's.
        return of_image, None if of_weight is None else of_weight.clone(memory_format=torch.contiguous_format), of_bias


def _of_image(gradient: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return the gradient for an image of some shape from that for its convolution.

    With so few channels out, a transposed convolution leaves a processor's vectors almost empty. Here the pixels of a
    square are channels of a convolution whose stride is the square's side.
    """
    features, channels, kernel, _ = weight.shape
    turned = weight.flip(2, 3).transpose(0, 1)
    side = kernel + _BLOCK - 1
    squares = weight.new_zeros(channels, _BLOCK, _BLOCK, features, side, side)
    for y in range(_BLOCK):
        for x in range(_BLOCK):
            squares[:, y, x, :, y : y + kernel, x : x + kernel] = turned
    (rows, above), (columns, left) = (_squares(size, kernel) for size in shape[2:])
    found = F.conv2d(
        channels_last(gradient),
        channels_last(squares.flatten(0, 2)),
        stride=_BLOCK,
        padding=(kernel - 1 + above, kernel - 1 + left),
    )
    found = found.reshape(-1, channels, _BLOCK, _BLOCK, rows, columns).permute(0, 1, 4, 2, 5, 3)
    found = found.reshape(-1, channels, _BLOCK * rows, _BLOCK * columns)
    return found[:, :, above : above + shape[2], left : left + shape[3]]


def _squares(size: int, kernel: int) -> tuple[int, int]:
    """Return how many squares the padded convolution finds along a line, and how far before the image they begin."""
    for before in range(_BLOCK):
        number = (size - kernel + 1 + 2 * (kernel - 1 + before) - (kernel + _BLOCK - 1)) // _BLOCK + 1
        if number * _BLOCK >= before + size:
            break
    return number, before
