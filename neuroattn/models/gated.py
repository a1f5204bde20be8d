r"""The gated network: a bottom-up stack whose every input is gated from the top.

One time step takes the gates in force and returns the gates that follow; nothing is kept on the module between calls.
With image x[1], gates g[l], gate strength s, and stages l = 1 … L:

.. math::
    z_l = x_l (1 - s\, g_l), \quad a_l = \mathrm{relu}(\mathrm{conv}_l(z_l)), \quad x_{l+1} = \mathrm{maxpool}(a_l)

    \mathrm{logits} = \mathrm{readout}(x_{L+1}), \quad r_{L+1} = \tanh(\mathrm{feedback}(\mathrm{logits}))

    r_l = \tanh(\mathrm{deconv}_l[\mathrm{resize}(r_{l+1}), \mathrm{resize}(x_{l+1})])

The following gate is r[l], with 1 wherever inhibition is imposed; r[l] itself goes on down. A positive gate inhibits.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import nn

from neuroattn.models.about import About
from neuroattn.models.operations import channels_last, gated, image_convolution, imposed, linear, pooled, tanh
from neuroattn.models.probe import Probe
from neuroattn.models.top_down import TopDown

if TYPE_CHECKING:
    from neuroattn.models.config import GatedConfig

Maps = list[torch.Tensor]

MOST_IMAGE_CHANNELS = 3  # of a stage's input that is convolved as an image is


class Step(NamedTuple):
    """What one time step gives.

    Attributes
    ----------
    logits
        (batch, class).
    gated_image
        z[1], (batch, channel, y, x).
    gates
        g[l] after the step, inhibition applied, one tensor per stage of its input's shape; empty without the top-down
        sweep.
    """

    logits: torch.Tensor
    gated_image: torch.Tensor
    gates: Maps


INITIAL = ("uniform", "he")
_FIRST_GATE = 0.9


class GatedStage(nn.Module):
    """One stage: bottom-up (gate, convolve, rectify, pool) and top-down (mix, place, tanh); see the module's text.

    >>> from neuroattn.models.config import digits_config
    >>> stage = GatedStage(1, digits_config())
    >>> image = torch.zeros(3, 1, 28, 42)
    >>> [tuple(maps.shape) for maps in stage.bottom_up(image, gate=torch.zeros_like(image), strength=0.2)]
    [(3, 1, 28, 42), (3, 20, 12, 19)]
    """

    def __init__(self, number: int, config: GatedConfig) -> None:
        super().__init__()
        size, response = config.input_sizes[number - 1], config.response_sizes[number - 1]
        # The image has a single gate map, which all its channels (RGB) share.
        gates = 1 if number == 1 else size[0]
        self.size = size
        self.conv = nn.utils.skip_init(nn.Conv2d, size[0], response[0], config.kernel)  # type: ignore[no-untyped-call]
        self.top_down = TopDown(config.pooled_sizes[number - 1], response, gates, config)
        self.gated_input = Probe(f"stage{number}/gated_input")
        self.response = Probe(f"stage{number}/response")
        self.pooled = Probe(f"stage{number}/pooled")
        self.gate = Probe(f"stage{number}/gate")

    def bottom_up(self, x: torch.Tensor, gate: torch.Tensor, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gated input z[l] and the pooled response x[l+1]."""
        z = self.gated_input(gated(x, gate, strength))
        response = self._convolved(channels_last(z)).to(z.dtype)
        if self.response.watched:
            # In place: fresh memory for a second array of this size costs more than the arithmetic.
            return z, self.pooled(pooled(self.response(torch.relu_(response))))
        # Pooling first and rectifying then gives the same, at a quarter of the work.
        return z, self.pooled(torch.relu_(pooled(response)))

    def _convolved(self, z: torch.Tensor) -> torch.Tensor:
        if self.size[0] <= MOST_IMAGE_CHANNELS:
            return image_convolution(z, self.conv.weight, self.conv.bias)
        convolved: torch.Tensor = self.conv(z)
        return convolved

    def following_gate(self, signal: torch.Tensor, inhibition: torch.Tensor) -> torch.Tensor:
        """Return g[l] of the shape of the stage's input: the top-down signal r[l], 1 where inhibition is imposed."""
        gate = imposed(signal.expand(-1, *self.size), inhibition)
        following: torch.Tensor = self.gate(gate)
        return following


class Readout(nn.Linear):
    """Logits (batch, class), linear in a (batch, unit) vector.

    >>> Readout(4, 3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, class)."""
        return linear(x, self.weight, self.bias)


class GatedNetwork(nn.Module):
    """A stack of gated stages with a read-out; see the module's text for equations and source.

    Parameters
    ----------
    config
        Architecture.
    generator
        Draws the initial weights. Without it the weights are left unset, to be loaded.
    initial
        ``uniform``: all within ±1/√fan-in, as torch's own; each stage then responds less than the one below. ``he``:
        bottom-up convolutions within ±√(6/fan-in), which keeps the spread of responses over stages (He et al. 2015,
        arXiv:1502.01852), and top-down ones within ±1/√(terms of the sum), so that gates hardly differ between places;
        both without bias at first, except that the image's gate begins at 0.9.
    name
        What recordings and tables call the network.
    seed
        The seed it was trained from, None where that is not known.

    Attributes
    ----------
    gates_of_others
        Whether trials are to gate each stimulus by the gates of another one; see `neuroattn.models.controls`.
    about
        What its file says of its training.

    Examples
    --------
    >>> from neuroattn.models.config import digits_config
    >>> network = GatedNetwork(digits_config(), torch.Generator().manual_seed(0))
    >>> step = network(torch.rand(3, 1, 28, 42), network.open_gates(3), network.no_inhibition(3))
    >>> step.logits.shape, [tuple(gate.shape) for gate in step.gates]
    (torch.Size([3, 10]), [(3, 1, 28, 42), (3, 20, 12, 19)])
    """

    gates_of_others = False
    about = About()

    def __init__(
        self,
        config: GatedConfig,
        generator: torch.Generator | None = None,
        *,
        initial: str = "uniform",
        name: str = "gated",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if initial not in INITIAL:
            raise ValueError(f"initial must be one of {', '.join(INITIAL)}, got {initial!r}")
        self.config, self.name, self.seed, self.initial = config, name, seed, initial
        self.stages = nn.ModuleList(GatedStage(number, config) for number in range(1, len(config.channels) + 1))
        self.top_size = config.pooled_sizes[-1]
        units = math.prod(self.top_size)
        self.readout = nn.utils.skip_init(Readout, units, config.classes)  # type: ignore[no-untyped-call]
        self.feedback = nn.utils.skip_init(nn.Linear, config.classes, units)  # type: ignore[no-untyped-call]
        self.logits_probe = Probe("readout/logits")
        self.feedback_probe = Probe("readout/feedback")
        if generator is not None:
            self._draw_weights(generator)

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                bound = 1 / math.sqrt(math.prod(module.weight.shape[1:]))
                for parameter in module.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)
        if self.initial != "he":
            return
        for stage in self._stages:
            weight = stage.conv.weight
            bound = math.sqrt(6 / math.prod(weight.shape[1:]))
            weight.uniform_(-bound, bound, generator=generator)
            nn.init.zeros_(cast("torch.Tensor", stage.conv.bias))
        for stage in self._stages:
            # Torch's own bound takes the outputs for inputs: the image's single gate, a sum of hundreds of terms, would
            # begin shut or open as the seed falls.
            weight = stage.top_down.deconv.weight
            bound = 1 / math.sqrt(weight.shape[0] * math.prod(weight.shape[2:]))
            weight.uniform_(-bound, bound, generator=generator)
            nn.init.zeros_(cast("torch.Tensor", stage.top_down.deconv.bias))
        # Objects are a tenth of a picture's energy, so that no even gate does better. From 0 the first steps would shut
        # it too far for its slope to open it again.
        nn.init.constant_(cast("torch.Tensor", self._stages[0].top_down.deconv.bias), math.atanh(_FIRST_GATE))

    @property
    def _stages(self) -> list[GatedStage]:
        return cast("list[GatedStage]", list(self.stages))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.readout.weight.device
        return device

    def with_strength(self, strength: float) -> GatedNetwork:
        """Return a network that shares these weights and gates with another strength s in [0, 1]."""
        config = dataclasses.replace(self.config, strength=strength)
        twin = GatedNetwork(config, name=self.name, seed=self.seed)
        twin.gates_of_others, twin.about = self.gates_of_others, self.about
        twin.load_state_dict(self.state_dict(), assign=True)
        # The matrices that place maps were made anew, in float32 on the CPU.
        return twin.to(self.readout.weight).train(self.training)

    def open_gates(self, batch: int) -> Maps:
        """Return gates of 0, as at the start of every phase: one (batch, channel, y, x) tensor a stage."""
        weight = self.readout.weight
        return [torch.zeros(batch, *size, dtype=weight.dtype, device=weight.device) for size in self.config.input_sizes]

    def no_inhibition(self, batch: int) -> Maps:
        """Return masks that impose nothing: one boolean (batch, channel, y, x) tensor a stage."""
        return [torch.zeros_like(gate, dtype=torch.bool) for gate in self.open_gates(batch)]

    def forward(
        self,
        image: torch.Tensor,
        gates: Maps,
        inhibition: Maps,
        *,
        top_down: bool = True,
        strength: float | None = None,
    ) -> Step:
        """Run one time step.

        Parameters
        ----------
        image
            (batch, channel, y, x), values in [0, 1].
        gates, inhibition
            One tensor per stage, of the shape of the stage's input; inhibition is boolean.
        top_down
            False leaves out the top-down sweep, and with it the gates that follow.
        strength
            Gate strength s of this step; None takes the configuration's.
        """
        s = self.config.strength if strength is None else strength
        x, inputs, laterals = image, [], []
        for stage, gate in zip(self._stages, gates, strict=True):
            z, x = stage.bottom_up(x, gate, s)
            inputs.append(z)
            laterals.append(x)
        logits = self.logits_probe(self.readout(x.flatten(1)))
        following = self._top_down(logits, laterals, inhibition) if top_down else []
        return Step(logits, inputs[0], following)

    def _top_down(self, logits: torch.Tensor, laterals: Maps, inhibition: Maps) -> Maps:
        signal = self.feedback_probe(torch.tanh(self.feedback(logits)).reshape(-1, *self.top_size))
        following = []
        for stage, lateral, mask in zip(self._stages[::-1], laterals[::-1], inhibition[::-1], strict=True):
            signal = tanh(stage.top_down(signal, lateral))
            following.append(stage.following_gate(signal, mask))
        return following[::-1]
