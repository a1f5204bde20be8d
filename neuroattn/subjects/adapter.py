"""Any model as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from neuroattn.models.checkpoint import load_models
from neuroattn.models.gain_cnn import GainCNN
from neuroattn.models.gated import GatedNetwork
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.gain_cnn import gain_subject
from neuroattn.subjects.gated import GatedSubject
from neuroattn.subjects.planted.named import is_planted, planted_subject
from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TypeAlias

    import torch

    from neuroattn.subjects.subject import Subject

    Model: TypeAlias = nn.Module | Subject


def subject_of(model: Model) -> Subject:
    """Return a model as a subject: a gated network, any other module, which is then run once a stimulus, or itself.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> import neuroattn
    >>> subject_of(neuroattn.load_model("digits-0")).layers
    {'stage1/response': (20, 25, 39), 'stage2/response': (50, 9, 16)}
    """
    if isinstance(model, GatedNetwork):
        return GatedSubject(module=model)
    if isinstance(model, GainCNN):
        return gain_subject(model)
    if isinstance(model, nn.Module):
        return TimedModule(model)
    if callable(getattr(model, "trials", None)):
        return model
    raise ValueError(
        f"model must be a network or another torch module, got {shown(model)}; load one with neuroattn.load_model"
    )


def load_subjects(names: Sequence[str | Path], device: str | torch.device = "cpu") -> list[Subject]:
    """Load models by their names as subjects: planted ones, and networks as `load_models` does, in this order.

    Raises
    ------
    ValueError
        If one cannot be loaded, or two networks have the same name.

    Examples
    --------
    >>> [subject.name for subject in load_subjects(["planted-null", "digits-0"])]
    ['planted-null-0', 'digits-0']
    """
    networks = iter(load_models([name for name in names if not is_planted(str(name))], device=device))
    return [planted_subject(str(name)) if is_planted(str(name)) else subject_of(next(networks)) for name in names]
