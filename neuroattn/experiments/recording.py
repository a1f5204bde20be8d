"""The first half of a run: every network is recorded on the protocol's stimuli, and what is recorded is kept."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from neuroattn.experiments.run_file import RUN, earlier_sessions, write_run
from neuroattn.runs.provenance import code_hash, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr

    from neuroattn.experiments.protocol import C, Protocol, ProtocolConfig
    from neuroattn.explorer.contents import Shown
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.fields import Fields
    from neuroattn.subjects.subject import Subject

STORE = "recording.zarr"  # in the folder of a run
# Options that are not part of what a run is.
ELSEWHERE = ("out", "analyse")
# What makes recordings, beside files of the protocol's own.
_CODE = (
    "dims.py", "models", "stimuli", "subjects", "recording", "experiments/contrast.py",
    "experiments/pairs.py", "experiments/scene_stimuli.py",
)  # fmt: skip
_OWN_CODE = ("protocol", "options", "stimuli", "recording", "layout")


def record_networks(
    protocol: Protocol[C], config: C, subjects: Sequence[Subject], folder: Path
) -> tuple[dict[str, Any], list[str], Shown]:
    """Record the networks that the folder of a run does not hold yet.

    Returns
    -------
    tuple
        What ``run.json`` is to say, the sessions before this one among it; the names of the networks that were
        recorded now; and the stimuli and receptive fields.

    Raises
    ------
    ValueError
        If the folder holds anything but a run of the same configuration, weights and stimuli, made by the same code;
        or a network cannot be recorded or analysed on these stimuli.
    """
    from neuroattn.experiments.comparability import comparability_warnings
    from neuroattn.models.checkpoint import weights_hash
    from neuroattn.recording.intervene import active_on
    from neuroattn.recording.store import recorded_models, require_recording, write_model

    for subject in subjects:
        if active_on(subject.module) is not None:
            raise ValueError(
                f"models must not be under interventions, got {subject.name}, which is; a protocol runs its own "
                "controls"
            )
        _require_answers(protocol, config, subject)
    hashes = {subject.name: weights_hash(subject.module) for subject in subjects}
    about = _about(protocol, config, subjects, hashes)
    of_analysis = analysis_options(protocol.config)
    earlier_sessions(folder, about, of_analysis)  # before the stimuli, which take their time
    stimuli = protocol.stimuli(config, subjects)
    subjects = [subject.facing(stimuli.size) for subject in subjects]
    about |= {"stimuli_sha256": stimuli.identity(), "synthetic_stimuli": config.synthetic}
    stimuli_notes = [f"NOTE: {note}." for note in stimuli.notes]
    about |= {"notes": [*stimuli_notes, *comparability_warnings(subjects), *_lacking(config, subjects)]}
    sessions, store = earlier_sessions(folder, about, of_analysis), folder / STORE
    require_undamaged(store)
    recorded = recorded_models(store)
    missing = [subject for subject in subjects if subject.name not in recorded]
    for subject in subjects:
        if subject.name in recorded:
            require_recording(store, subject.name, hashes[subject.name])
    for subject in missing:  # all of them before the first is recorded, which takes its time
        protocol.check(config, subject, stimuli)
    write_run(folder, {**about, "sessions": sessions, "state": "running"})
    for subject in missing:
        try:
            write_model(protocol.recording(config, subject, stimuli), store, subject.name)
        except ValueError:
            if not recorded and subject is missing[0] and not store.exists():
                (folder / RUN).unlink()  # these stimuli cannot be recorded: nothing is left behind
            raise
    _write_attributes(store, about)
    return {**about, "sessions": sessions}, [subject.name for subject in missing], _shown(stimuli, subjects)


def shown_again(protocol: Protocol[C], config: C, about: Mapping[str, Any]) -> Shown:
    """Return the stimuli and receptive fields of a run that was recorded before, as far as they can be made again."""
    from neuroattn.explorer.contents import Shown
    from neuroattn.models.checkpoint import load_models
    from neuroattn.subjects.adapter import subject_of

    try:
        subjects = [subject_of(network) for network in load_models(config.models)]
        stimuli = protocol.stimuli(config, subjects)
    except (ValueError, OSError) as error:
        return Shown(reason=f"a recording does not hold them, and they could not be made again ({error})")
    if stimuli.identity() != about["stimuli_sha256"]:
        return Shown(reason="a recording does not hold them, and what is made by the same options now is another set")
    return _shown(stimuli, [subject.facing(stimuli.size) for subject in subjects])


def _shown(stimuli: StimulusSet, subjects: Sequence[Subject]) -> Shown:
    from neuroattn.explorer.contents import Shown

    named = {subject.name: subject for subject in subjects}

    def fields(model: str, variable: str) -> Fields | None:
        try:
            return named[model].fields(variable, stimuli.size[1:])
        except ValueError:  # no map of the picture
            return None

    return Shown(stimuli=stimuli, fields=fields)


def require_undamaged(store: Path) -> None:
    """Raise if a file of a store is gone or not what was written; data are read where they are needed."""
    from neuroattn.recording.damage import faults

    if damage := next(faults(store), None):
        raise damaged(store, damage)


def in_order(recordings: xr.DataTree, models: Sequence[str]) -> xr.DataTree:
    """Return recordings in the order of the networks: a store lists its groups in any, and nothing may depend on it."""
    import xarray as xr

    ordered = xr.DataTree(children={name: recordings.children[name] for name in models})
    ordered.attrs = recordings.attrs
    return ordered


def damaged(store: Path, damage: str) -> ValueError:
    """Return the error that says what of a store is damaged."""
    return ValueError(
        f"store {str(store)!r} is damaged: {damage}; to begin anew, remove {str(store.parent)!r} or name another "
        "folder (--out)"
    )


def analysis_options(config: type[Any]) -> list[str]:
    """Return the options that are of the analysis alone."""
    return [field.name for field in dataclasses.fields(config) if field.metadata.get("analysis")]


def stored_configuration(config: Any) -> dict[str, Any]:
    """Return the options that a run is of, as JSON holds them."""
    given = {key: value for key, value in dataclasses.asdict(config).items() if key not in ELSEWHERE}
    found: dict[str, Any] = json.loads(json.dumps(given))
    return found


def _write_attributes(store: Path, about: dict[str, Any]) -> None:
    from neuroattn.recording.attributes import SCHEMA_VERSION
    from neuroattn.recording.store import write_attributes

    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    write_attributes(store, {"schema_version": SCHEMA_VERSION, **attributes})


def _require_answers(protocol: Protocol[C], config: C, subject: Subject) -> None:
    """Raise, with the reason, if a subject cannot be asked what the protocol asks."""
    for need in protocol.needs(config):
        if need in subject.lacks:
            raise ValueError(
                f"models must be such that {protocol.name} can ask them, got {subject.name}: {subject.lacks[need]}; "
                "leave it out"
            )


def _lacking(config: ProtocolConfig, subjects: Sequence[Subject]) -> list[str]:
    """Return what must be said of subjects that do not have every control, or say nothing of what they attend."""
    notes = []
    for subject in subjects:
        asked = [name for name in config.chosen_controls if name in subject.lacks]
        notes += [f"NOTE: {subject.name} has no control {name}: {subject.lacks[name]}." for name in asked]
        if "choice" in subject.lacks:
            notes.append(
                f"NOTE: {subject.name} is taken to attend what it is cued to: {subject.lacks['choice']}. What is said "
                "of gates does not hold for it."
            )
    return notes


def _about(protocol: Protocol[C], config: C, subjects: Sequence[Subject], hashes: dict[str, str]) -> dict[str, Any]:
    own = [f"experiments/{protocol.name}/{file}.py" for file in _OWN_CODE]
    return {
        "protocol": protocol.name,
        "configuration": stored_configuration(config),
        "seeds": {"protocol": config.seed, "models": {subject.name: subject.seed for subject in subjects}},
        "weights_sha256": hashes,
        "networks": {subject.name: subject.architecture() for subject in subjects},
        "versions": versions(),
        "recording_code": code_hash(*_CODE, *own),
    }
