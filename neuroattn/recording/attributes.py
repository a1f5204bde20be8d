"""What a recording says of how it was made, in attributes that any file can hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from neuroattn.recording.plan import identity_hash
from neuroattn.runs.provenance import versions
from neuroattn.subjects.subject import device_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuroattn.recording.plan import Plan

SCHEMA_VERSION = 2


def attributes(plan: Plan, kept: dict[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the root's attributes: scalars and JSON.

    `kept` says what of a recording is kept, where that is not everything. What was recorded stands over an entry of the
    same name in the configuration of the protocol.
    """
    libraries, subject, identity = versions(), plan.work.subject, plan.identity(kept)
    made = {key: identity[key] for key in ("design", "phases", "steps", "units") if key in identity}
    device = device_of(subject.module)
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": identity_hash(identity),
        "identity_of": json.dumps(identity),
        "model": subject.name,
        "weights_sha256": identity["weights"],
        "model_config": json.dumps(identity["model_config"], sort_keys=True),
        "stimuli_sha256": identity["stimuli"],
        "protocol": json.dumps({**configuration, **made, **kept}),
        "interventions": json.dumps(identity.get("interventions", [])),
        "seeds": json.dumps({"model": subject.seed, "protocol": configuration.get("seed")}),
        "package_version": libraries["neuroattn"],
        "git_commit": libraries["git_commit"],
        "versions": json.dumps(libraries),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "precision": plan.work.precision,
    }


def stored_identity(store: Path, there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity among the attributes of a streamed store's root.

    Raises ValueError if it, or another attribute that a store cannot be read without, is missing or damaged.
    """
    try:
        identity = json.loads(there["identity_of"])
        whole = isinstance(identity, dict) and all(isinstance(name, str) for name in list(identity["variables"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        identity, whole = {}, False
    sizes = {name: there.get(name) for name in ("schema_version", "block_size")}
    damaged = [name for name, value in sizes.items() if type(value) is not int or value < 1]
    damaged += [] if whole else ["identity_of"]
    if damaged:
        raise ValueError(
            f"store {str(store)!r} is damaged, its attribute {damaged[0]} is missing or of another kind; make the "
            "recording anew at another path"
        )
    return dict(identity)
