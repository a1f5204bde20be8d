"""Transformers, whose units stand in a list of tokens, as networks with maps.

A block of a vision transformer gives (batch, token, channel): a class token or more, and then a token for every patch,
row by row. With its patches as a map (batch, channel, y, x) it can be recorded by place, changed by interventions and
multiplied by a gain like the layer of a convolutional network; the class token stands apart. What a user writes for the
vision transformers of Hugging Face::

    vit = transformers.ViTForImageClassification.from_pretrained("google/vit-base-patch16-224").eval()
    blocks = [f"vit.encoder.layer.{number}" for number in range(12)]
    model = neuroattn.TimedModule(
        token_maps(vit, blocks, grid=(14, 14)),
        variables={f"block{number}/response": f"{path}.map" for number, path in enumerate(blocks)},
        mean=[0.5] * 3, std=[0.5] * 3, name="vit",
        cue=place_gain([f"{blocks[6]}.map"], strength=0.5),
    )

and likewise for timm's, with ``blocks.0`` … as blocks (``prefix=5`` where four registers follow the class token).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from torch import nn

from neuroattn.models.class_tuning import named_layers
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.tap import element, with_element

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


class MappedBlock(nn.Module):
    """A block of a transformer, after which the patches pass through ``map`` as (batch, channel, y, x)."""

    def __init__(self, block: nn.Module, path: str, grid: tuple[int, int], prefix: int) -> None:
        super().__init__()
        self.block, self.map = block, nn.Identity()
        self.path, self.grid, self.prefix = path, grid, prefix

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the block returns, with the patches as they leave ``map``."""
        output = self.block(*inputs, **named)
        tokens, (height, width) = element(output, self.path, None), self.grid
        if tokens.ndim != 3 or tokens.shape[1] != self.prefix + height * width:
            raise ValueError(
                f"grid must be (rows, columns) of the tokens of {self.path!r}, (batch, {self.prefix} + {height} × "
                f"{width}, channel), got {shown(tuple(tokens.shape[1:]))} a picture; correct grid or prefix, or show "
                "pictures of the size that the transformer takes"
            )
        apart, patches = tokens[:, : self.prefix], tokens[:, self.prefix :]
        mapped: torch.Tensor = self.map(patches.transpose(1, 2).reshape(len(tokens), -1, height, width))
        changed = apart.new_empty(tokens.shape)
        changed[:, : self.prefix], changed[:, self.prefix :] = apart, mapped.flatten(2).transpose(1, 2)
        return with_element(output, 0, changed)


def token_maps(module: nn.Module, blocks: Sequence[str], grid: tuple[int, int], *, prefix: int = 1) -> nn.Module:
    """Return a copy of a transformer whose blocks have their patches as a map, in a part ``map`` of each.

    Parameters
    ----------
    module
        The transformer; it stays as it is.
    blocks
        Names of its blocks, as ``module.named_modules()`` gives them, whose outputs are (batch, token, channel), or
        tuples that begin with that.
    grid
        Rows and columns of patches: the size of the picture by the size of a patch.
    prefix
        Tokens before those of the patches.

    Raises
    ------
    ValueError
        If a block is none of the module's; and, once it runs, if it has another number of tokens.

    Examples
    --------
    >>> import torch
    >>> block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> module = token_maps(nn.Sequential(block).eval(), ["0"], grid=(2, 3))
    >>> module(torch.zeros(5, 7, 8)).shape
    torch.Size([5, 7, 8])
    """
    if len(grid) != 2 or min(*grid) < 1 or prefix < 0:
        raise ValueError(f"grid must be (rows, columns) and prefix from 0, got {shown(grid)} and {shown(prefix)}")
    named_layers(module, blocks)
    mapped = copy.deepcopy(module)
    for path in blocks:
        mapped.set_submodule(path, MappedBlock(mapped.get_submodule(path), path, grid, prefix))
    return mapped
