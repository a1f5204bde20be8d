"""The top-down path of a stage: a transposed convolution over resized maps, in the cheaper order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from neuroattn.models.operations import channels_last

if TYPE_CHECKING:
    from neuroattn.models.config import GatedConfig


class TopDown(nn.Module):
    """A transposed convolution over two resized maps, computed before the resize.

    Resizing and the transposed convolution are both linear. So channels are mixed first, at the low resolution, once
    for every kernel offset (i, j); two constant matrices that hold resize and shift together then place the rows and
    columns of the result. That takes a fraction of the multiplications, and differs by rounding only.

    Parameters
    ----------
    source
        (channel, y, x) of the pooled map, and of the top-down map that is concatenated before it.
    response
        (channel, y, x) of the response whose size both maps are resized to.
    gates
        Channels of the output.
    config
        For kernel and resize mode.

    Shapes: two maps (batch, channel, y, x) in; (batch, gates, y + kernel − 1, x + kernel − 1) of the response out.

    Examples
    --------
    >>> from neuroattn.models.config import digits_config
    >>> layer = TopDown(source=(20, 12, 19), response=(20, 25, 39), gates=1, config=digits_config())
    >>> layer(torch.zeros(3, 20, 12, 19), torch.zeros(3, 20, 12, 19)).shape
    torch.Size([3, 1, 28, 42])
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(
        self, source: tuple[int, int, int], response: tuple[int, int, int], gates: int, config: GatedConfig
    ) -> None:
        super().__init__()
        self.kernel = config.kernel
        self.deconv = nn.utils.skip_init(nn.ConvTranspose2d, 2 * source[0], gates, config.kernel)  # type: ignore[no-untyped-call]
        self.register_buffer("rows", _placement(source[1], response[1], config), persistent=False)
        self.register_buffer("columns", _placement(source[2], response[2], config), persistent=False)

    def forward(self, top_down: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Return the transposed convolution of both maps, resized."""
        weight, k = self.deconv.weight, self.kernel
        batch, _, height, width = pooled.shape
        gates = weight.shape[1]
        # One 1 × 1 convolution gives the contribution of every kernel offset: channels are (i, j, gate), innermost.
        mixing = weight.permute(2, 3, 1, 0).reshape(k * k * gates, -1, 1, 1)
        offsets = F.conv2d(torch.cat([channels_last(top_down), channels_last(pooled)], 1), mixing)
        offsets = offsets.permute(0, 2, 3, 1).reshape(batch, height, width, k, -1).transpose(2, 3)
        placed = (self.rows @ offsets.reshape(batch, height * k, -1)).reshape(batch, -1, width * k, gates)
        placed = (placed[..., 0] @ self.columns.T)[..., None] if gates == 1 else self.columns @ placed
        bias = self.deconv.bias
        return (placed if bias is None else placed + bias).permute(0, 3, 1, 2)


def _placement(source: int, target: int, config: GatedConfig) -> torch.Tensor:
    """Return the (target + kernel − 1, source · kernel) matrix that resizes a line and shifts it by each offset."""
    options = {} if config.resize == "nearest" else {"align_corners": False}
    identity = torch.eye(source).reshape(1, source, source, 1)
    resize = F.interpolate(identity, size=(target, 1), mode=config.resize, **options).reshape(source, target)
    shifted = [F.pad(resize, (offset, config.kernel - 1 - offset)) for offset in range(config.kernel)]
    return torch.stack(shifted, 1).flatten(0, 1).T.contiguous()
