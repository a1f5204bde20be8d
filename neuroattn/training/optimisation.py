"""One optimiser step: gradients and their largest norm, Adam and its schedule, the mean of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from neuroattn.models.gated import GatedNetwork
    from neuroattn.training.config import DigitsConfig


class Optimisation:
    """Adam on a network's weights, with what may stand around it.

    Parameters
    ----------
    network
        Whose weights are moved.
    config
        For learning rate, schedule, clip and averaging.
    n_steps
        Steps of the whole training, which the schedule runs over.
    """

    def __init__(self, network: GatedNetwork, config: DigitsConfig, n_steps: int) -> None:
        self._network, self._clip = network, config.clip
        self._optimiser = torch.optim.Adam(network.parameters(), config.learning_rate)
        self._schedule = _schedule(self._optimiser, config, n_steps)
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
        return self._network if self._averaged is None else cast("GatedNetwork", self._averaged.module)

    def step(self, loss: torch.Tensor) -> None:
        """Take a step down the gradient of a scalar loss."""
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._clip)
        self._optimiser.step()
        self._schedule.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on, the weights included."""
        return {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "averaged": None if self._averaged is None else self._averaged.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])


def _schedule(optimiser: torch.optim.Optimizer, config: DigitsConfig, n_steps: int) -> lr_scheduler.LRScheduler:
    if config.schedule == "one-cycle":
        # One step more than are taken: the schedule is also told of the last one.
        return lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=n_steps + 1)
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    return lr_scheduler.ConstantLR(optimiser, factor=1)
