"""TensorBoard's events of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorboardX

from neuroattn.runs.output_file import refused_at

if TYPE_CHECKING:
    from pathlib import Path


class Events:
    """TensorBoard's events of a run, in a file that is made with the first epoch: a run without one leaves nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: tensorboardX.SummaryWriter | None = None

    def add(self, metrics: dict[str, float]) -> None:
        """Write the metrics of an epoch."""
        epoch = int(metrics["epoch"])
        if self._writer is None:  # what was written of this epoch and later ones is void
            self._writer = tensorboardX.SummaryWriter(
                logdir=str(self._folder), purge_step=epoch, filename_suffix=f".{epoch}"
            )
        with refused_at(self._folder):
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()

    def close(self) -> None:
        """Write what could not be written before."""
        if self._writer is not None:
            with refused_at(self._folder):
                self._writer.close()
