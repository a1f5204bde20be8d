"""The file of a run, ``run.json``: what it says, and whether a folder is free or holds this very run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from neuroattn.runs.folder import is_free
from neuroattn.runs.output_file import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RUN = "run.json"
_SAME = ("protocol", "configuration", "weights_sha256", "stimuli_sha256")
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
    stimuli_sha256: Any = None


def write_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the file of a run, whole or not at all."""
    with replacing(folder / RUN) as file:
        file.write_text(json.dumps(dict(content), indent=2) + "\n", encoding="utf-8")


def earlier_sessions(folder: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the sessions that worked on a run so far.

    Parameters
    ----------
    folder
        Of the run.
    about
        What its file is to say; what is not known yet is left out.

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
    for key in _SAME:
        if key in about and (there := getattr(before, key)) != about[key]:
            raise _another(folder, _difference(there, about[key], key))
    # The code is part of it: what an older version recorded must not meet the analysis of a newer one.
    code = {key: about["versions"][key] for key in ("neuroattn", "git_commit")}
    then = {key: before.versions.get(key) for key in code}
    if then != code:
        raise _another(folder, _difference(then, code, "versions"))
    sessions: list[dict[str, Any]] = msgspec.to_builtins(before.sessions)
    return sessions


def _read(folder: Path) -> _Run:
    try:
        if (folder / RUN).stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")  # noqa: TRY301 -- said below with the others
        return msgspec.json.decode((folder / RUN).read_bytes(), type=_Run)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"out holds a damaged {RUN} ({error}), got {str(folder)!r}; choose another folder") from error


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
    """Return a value in few letters, all of which a terminal can show."""
    text = str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
