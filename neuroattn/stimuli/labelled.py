"""Pictures of several objects on a device: what networks are trained on and evaluated with."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Labelled:
    """Pictures, their objects and the objects' classes, as tensors on one device.

    A `neuroattn.StimulusSet` holds the same as arrays, with a table; `table` gives its columns.

    Parameters
    ----------
    images
        (picture, channel, y, x) float32 in [0, 1].
    objects
        (picture, object, channel, y, x) float32, each object alone on black, at its place.
    labels
        (picture, object) int64.

    Examples
    --------
    >>> import torch
    >>> from neuroattn import StimulusSet
    >>> labels = torch.tensor([[3, 1], [1, 3], [3, 3]])
    >>> batch = Labelled(images=torch.zeros(3, 1, 5, 7), objects=torch.zeros(3, 2, 1, 5, 7), labels=labels)
    >>> batch.part(slice(2))
    <Labelled: 2 pictures of 1 × 5 × 7, 2 objects each, 2 classes, on cpu>
    >>> StimulusSet(batch.images, batch.objects, batch.table())
    <StimulusSet: 3 stimuli of 1 × 5 × 7, 2 objects each, 2 classes; stimulus_id label_0 label_1 location_0 location_1>
    """

    images: torch.Tensor
    objects: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.images)

    def __repr__(self) -> str:
        """Return a line with sizes and numbers."""
        size = " × ".join(map(str, self.images.shape[1:]))
        return (
            f"<{type(self).__name__}: {len(self)} pictures of {size}, {self.labels.shape[1]} objects each, "
            f"{np.unique(self.labels.cpu()).size} classes, on {self.images.device}>"
        )

    def part(self, rows: slice) -> Self:
        """Return some of the pictures."""
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: str | torch.device) -> Self:
        """Return the pictures on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def table(self, location: NDArray[np.int64] | None = None) -> pd.DataFrame:
        """Return the columns ``label_k`` and ``location_k`` of stimuli, one row a picture.

        Parameters
        ----------
        location
            (picture, object) place of each object from the left; None: objects are in the order of their places.
        """
        import pandas as pd

        labels = self.labels.cpu().numpy()
        places = np.broadcast_to(np.arange(labels.shape[1]), labels.shape) if location is None else location
        columns = {"label": labels, "location": places}
        return pd.DataFrame({f"{name}_{k}": of[:, k] for name, of in columns.items() for k in range(of.shape[1])})

    def _each(self, change: Callable[[torch.Tensor], Any]) -> Self:
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})
