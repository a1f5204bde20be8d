"""Any model as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from neuroattn.models.gated import GatedNetwork
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.gated import GatedSubject
from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from typing import TypeAlias

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
    if isinstance(model, nn.Module):
        return TimedModule(model)
    if callable(getattr(model, "trials", None)):
        return model
    raise ValueError(
        f"model must be a network or another torch module, got {shown(model)}; load one with neuroattn.load_model"
    )
