"""Planted subjects by their names, as ``--models planted-null`` takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuroattn.command.option import suggestion
from neuroattn.runs.plain_text import shown
from neuroattn.subjects.planted.background import undriven_background
from neuroattn.subjects.planted.gain import baseline, contrast_gain, mixed_gain, null, response_gain
from neuroattn.subjects.planted.noise import shared_noise
from neuroattn.subjects.planted.objects import object_based
from neuroattn.subjects.planted.place import spatial_only
from neuroattn.subjects.planted.reynolds_heeger import normalisation

if TYPE_CHECKING:
    from neuroattn.subjects.planted.subject import PlantedSubject

PREFIX = "planted"
KINDS = {
    kind.__name__: kind
    for kind in (
        *(response_gain, contrast_gain, mixed_gain, baseline, null),
        *(spatial_only, object_based, shared_noise, undriven_background, normalisation),
    )
}


def is_planted(name: str) -> bool:
    """Return whether a name is meant for a planted subject: it begins so, and is not that of a file.

    >>> is_planted("planted-null"), is_planted("planted-net.safetensors"), is_planted("digits-0")
    (True, False, False)
    """
    return name.startswith(PREFIX) and not name.endswith((".safetensors", ".pt"))


def planted_subject(name: str) -> PlantedSubject:
    """Return the subject of a name: ``planted-KIND``, or ``planted-KIND-SEED`` for another seed than 0.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> planted_subject("planted-null-3").seed
    3
    """
    found = re.fullmatch(rf"{PREFIX}-([a-z_]+?)(?:-([0-9]{{1,9}}))?", name)
    if found is None or found[1] not in KINDS:
        known = [f"{PREFIX}-{kind}" for kind in KINDS]
        raise ValueError(
            f"model must be one of {', '.join(known)}, or with a seed, as {PREFIX}-null-3, got {shown(name)}"
            f"{suggestion(name, known)}"
        )
    return KINDS[found[1]](int(found[2] or 0))
