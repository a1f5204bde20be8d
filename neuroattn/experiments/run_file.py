"""The file of a run, ``run.json``: what it says, and whether a folder is free or holds this very run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from neuroattn.models.name import require_name
from neuroattn.runs.folder import is_free
from neuroattn.runs.output_file import replacing
from neuroattn.runs.plain_text import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

RUN = "run.json"
_SAME = ("protocol", "configuration", "weights_sha256", "networks", "stimuli_sha256")
RECORDING = "recording"  # in the file of an analysis that stands in a folder of its own: where the recording is
_MOST_BYTES = 2**26
_LONGEST = 60  # letters of a value that is shown


class _Session(msgspec.Struct):
    started: str
    duration_seconds: float
    peak_memory_bytes: int
    device: str
    recorded: list[str]


class _Run(msgspec.Struct):
    """What is looked at in the file of an earlier run."""

    versions: dict[str, str]
    sessions: list[_Session]
    protocol: Any = None
    configuration: Any = None
    weights_sha256: Any = None
    networks: Any = None
    stimuli_sha256: Any = None
    recording_code: str | None = None
    recording: str | None = None


class _Seeds(msgspec.Struct):
    protocol: int
    models: dict[str, int | None]


class _State(msgspec.Struct):
    """How far a run came: running, analysing, done."""

    state: str


class _Whole(msgspec.Struct):
    """What the file of a run must tell for it to be opened."""

    protocol: str
    configuration: dict[str, Any]
    weights_sha256: dict[str, str]
    stimuli_sha256: str
    versions: dict[str, str]
    sessions: list[_Session]
    seeds: _Seeds
    state: str
    findings: list[str] = []
    notes: list[str] = []
    analysis_versions: dict[str, str] = {}
    recording: str | None = None


def write_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the file of a run, whole or not at all."""
    with replacing(folder / RUN) as file:
        file.write_text(json.dumps(dict(content), indent=2) + "\n", encoding="utf-8")


def read_run(folder: Path, name: str, *, unfinished: bool = False) -> dict[str, Any]:
    """Return what the file of a finished run says.

    Parameters
    ----------
    folder
        Of the run.
    name
        Of the parameter that names it, for errors.
    unfinished
        Whether the analysis may have been interrupted, because it is made again.

    Raises
    ------
    ValueError
        If there is no such file, it is damaged, or the run is not done.
    """
    if not (folder / RUN).is_file():
        raise ValueError(
            f"{name} must be the folder of a run, got {str(folder)!r}, which holds no {RUN}; check the path"
        )
    try:
        content = read_bounded(folder / RUN)
        run, state = msgspec.json.decode(content), msgspec.json.decode(content, type=_State).state
        whole = msgspec.json.decode(content, type=_Whole) if state == "done" or unfinished else None
        for model in [] if whole is None else whole.weights_sha256:
            require_name(model)
    except (ValueError, RecursionError) as error:
        reason = shortened(str(error), 200)
        raise ValueError(
            f"{name} must be the folder of a run, got {str(folder)!r}, whose {RUN} is damaged ({reason})"
        ) from error
    if whole is None or state == "running":
        again = "run its command again with the same --out" if state == "running" else "analyse it again (--analyse)"
        raise ValueError(f"{name} must be a run that is done, got {str(folder)!r}, which was interrupted; {again}")
    return {**run, "findings": whole.findings, "notes": whole.notes}


def earlier_sessions(folder: Path, about: Mapping[str, Any], of_analysis: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the sessions that worked on a run so far.

    Parameters
    ----------
    folder
        Of the run.
    about
        What its file is to say; what is not known yet is left out.
    of_analysis
        Options that may differ: what was recorded does not depend on them.

    Raises
    ------
    ValueError
        If the folder is neither free nor holds this very run.
    """
    if not (folder / RUN).is_file():
        if is_free(folder):
            return []
        raise ValueError(
            f"out must be a folder that is empty or does not exist, got {str(folder)!r}; choose another folder"
        )
    before = _read(folder)
    if before.recording is not None:
        raise ValueError(
            f"out must not be the folder of another analysis, got {str(folder)!r}, of a recording elsewhere; choose "
            "another folder"
        )
    for key in _SAME:
        there, now = getattr(before, key), about.get(key)
        if key == "configuration":
            there, now = (_without(options, of_analysis) for options in (there, now))
        if key in about and there != now and not (key == "networks" and there is None):  # from before they were told
            raise _another(folder, _difference(there, now, key))
    # What records is part of it: no recording is made in part by one code and in part by another. The analysis is not.
    keys = ("neuroattn", "git_commit")
    then, now = ({key: of.get(key) for key in keys} for of in (before.versions, about["versions"]))
    if before.recording_code != about["recording_code"] and (before.recording_code is not None or then != now):
        then |= {"recording_code": before.recording_code}
        raise _another(folder, _difference(then, {**now, "recording_code": about["recording_code"]}, "versions"))
    sessions: list[dict[str, Any]] = msgspec.to_builtins(before.sessions)
    return sessions


def _without(options: Any, names: Collection[str]) -> Any:
    return {key: value for key, value in options.items() if key not in names} if isinstance(options, dict) else options


def _read(folder: Path) -> _Run:
    try:
        return msgspec.json.decode(read_bounded(folder / RUN), type=_Run)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"out holds a damaged {RUN} ({error}), got {str(folder)!r}; choose another folder") from error


def read_bounded(file: Path) -> bytes:
    """Return the content of a JSON file of a run, unless it is larger than any run's."""
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    return file.read_bytes()


def _another(folder: Path, difference: str) -> ValueError:
    return ValueError(
        f"out must not hold a run with another configuration, got {str(folder)!r}, which differs in {difference}; "
        "choose another folder"
    )


def _difference(before: Any, now: Any, name: str) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{name} ({_shown(before)} there, {_shown(now)} now)"
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    more = f" and {len(differing) - 10} more" if len(differing) > 10 else ""
    named = (f"{name}.{_shown(key)} ({_shown(before.get(key))} there, {_shown(now.get(key))} now)" for key in differing)
    return ", ".join(text for text, _ in zip(named, range(10), strict=False)) + more


def _shown(value: Any) -> str:
    return shortened(str(value), _LONGEST)
