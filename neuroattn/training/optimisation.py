"""One optimiser step: gradients and their largest norm, Adam and its schedule, the mean of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from neuroattn.models.trial import Phase, run_phase

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from neuroattn.models.gated import GatedNetwork, Maps
    from neuroattn.training.config import TrainingConfig


class Optimisation:
    """Adam on a network's weights, which are put on the device, with what may stand around it.

    That is a schedule over `n_steps` steps, a largest norm of the gradients, and a running mean of the weights.
    """

    def __init__(self, fabric: Fabric, network: GatedNetwork, config: TrainingConfig, n_steps: int) -> None:
        self.network = network.to(fabric.device)
        self._fabric, self._clip = fabric, config.clip
        optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
        self._schedule = _schedule(optimiser, config, n_steps)
        self._phase, self._optimiser = fabric.setup(_PhaseOf(network, config.gradient_steps), optimiser)
        self._averaged = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.averaging))  # type: ignore[no-untyped-call]
            if config.averaging
            else None
        )

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return float(self._optimiser.param_groups[0]["lr"])

    @property
    def trained(self) -> GatedNetwork:
        """The network that training keeps: with the mean of the weights, where there is one."""
        return self.network if self._averaged is None else cast("GatedNetwork", self._averaged.module)

    def phase(self, image: torch.Tensor, inhibition: Maps) -> Phase:
        """Run a phase in the precision of the training; what comes out is in 32 bits."""
        return cast("Phase", self._phase(image, inhibition))

    def step(self, loss: torch.Tensor) -> None:
        """Take a step down the gradient of a scalar loss, averaged over processes."""
        self._optimiser.zero_grad()
        self._fabric.backward(loss)
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        self._optimiser.step()
        self._schedule.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self.network)

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on, the weights included."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "averaged": None if self._averaged is None else self._averaged.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])


class _PhaseOf(nn.Module):
    """A phase as one call: processes exchange gradients once for each call of a module."""

    def __init__(self, network: GatedNetwork, gradient_steps: int | None) -> None:
        super().__init__()
        self.network, self.gradient_steps = network, gradient_steps

    def forward(self, image: torch.Tensor, inhibition: Maps) -> Phase:
        return run_phase(self.network, image, inhibition, gradient_steps=self.gradient_steps)


def _schedule(optimiser: torch.optim.Optimizer, config: TrainingConfig, n_steps: int) -> lr_scheduler.LRScheduler:
    if config.schedule == "one-cycle":
        # One step more than are taken: the schedule is also told of the last one.
        return lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=n_steps + 1)
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    return lr_scheduler.ConstantLR(optimiser, factor=1)
