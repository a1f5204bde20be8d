"""What a protocol is, and the one place that chains its parts: run it, save every step, continue, report."""

from __future__ import annotations

import dataclasses
import json
import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuroattn.command_line import read_options, run_command, tell
from neuroattn.options import option
from neuroattn.output_file import write_csv
from neuroattn.run_folder import is_free, run_folder, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.stimuli.stimulus_set import StimulusSet


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """Options that every protocol has."""

    models: tuple[str, ...] = option(
        ("digits-0",), "networks: shipped names, or paths of .safetensors or published .pt files", path=True
    )
    out: str | None = option(None, "folder of the run (default: runs/PROTOCOL-DATE-TIME)", path=True)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    seed: int = option(0, "seed of everything that is drawn", low=0, high=2**32 - 1)

    @property
    def synthetic(self) -> bool:
        """Whether the stimuli stand in for those that the user did not name."""
        return False


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What the analysis of a protocol gives.

    Attributes
    ----------
    units
        One row a unit and network: the raw result, from which every summary can be made again.
    statistics
        One row an estimate.
    findings
        Sentences that say what the statistics show, controls and doubts included.
    """

    units: pd.DataFrame
    statistics: pd.DataFrame
    findings: tuple[str, ...]


C = TypeVar("C", bound=ProtocolConfig)
# What a methods section names, by its key among the versions.
SOFTWARE = {
    "torch": "PyTorch", "numpy": "NumPy", "scipy": "SciPy", "statsmodels": "statsmodels", "pandas": "pandas",
    "xarray": "xarray",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Protocol(Generic[C]):
    """A protocol: a name, its options, and four functions that know nothing of one another.

    Attributes
    ----------
    name
        Of the module and of run folders.
    description
        For ``--help``.
    config
        Dataclass of its options.
    stimuli, recording, analysis, figure
        Options → stimuli; options, network, stimuli → recording of that network; options, recordings of all networks
        (a group each) → tables; options, tables → figure.
    methods
        Options → a paragraph for a paper: what was shown, recorded and tested, with its sources.
    """

    name: str
    description: str
    config: type[C]
    stimuli: Callable[[C], StimulusSet]
    recording: Callable[[C, GatedNetwork, StimulusSet], xr.DataTree]
    analysis: Callable[[C, xr.DataTree], Tables]
    figure: Callable[[C, Tables], Figure]
    methods: Callable[[C], str]


def main(protocol: Protocol[C], argv: Sequence[str] | None = None) -> None:
    """Run a protocol as a command, and leave with its exit status."""
    prog = f"python -m neuroattn.experiments.{protocol.name}"
    config = read_options(protocol.config, argv, prog=prog, description=protocol.description)
    folder = run_folder(config.out, protocol.name)
    again = f"; the same command with --out {folder} goes on from there"

    def command() -> None:
        tables = run(protocol, config, folder)
        for line in (*tables.findings, "", f"results in {folder}"):
            tell(line)

    run_command(command, interrupted=lambda: f"the recordings of whole networks are kept in {folder}{again}")


def run(protocol: Protocol[C], config: C, folder: Path) -> Tables:
    """Run a protocol and save each step of it in a folder.

    A folder in which the same configuration was run before is continued: networks that are recorded already are not
    recorded again. Everything after the recording is made anew.

    Raises
    ------
    ValueError
        If `folder` holds anything but a run of the same configuration and the same weights.
    """
    import xarray as xr

    from neuroattn.device import choose_device
    from neuroattn.experiments.comparability import comparability_warnings
    from neuroattn.experiments.report import report
    from neuroattn.models.checkpoint import load_models, weights_hash
    from neuroattn.recording.attributes import SCHEMA_VERSION
    from neuroattn.recording.gated_subject import require_size
    from neuroattn.recording.store import open_recording, recorded_models, write_attributes, write_model

    started, start = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    device = choose_device(config.device)
    models = load_models(config.models, device=device)
    hashes = {model.name: weights_hash(model) for model in models}
    about = _about(protocol, config, hashes, {model.name: model.seed for model in models})
    _require_free(folder, about)  # before the stimuli, which take their time
    stimuli = protocol.stimuli(config)
    for model in models:
        require_size(model, stimuli)
    about |= {"stimuli_sha256": stimuli.identity(), "synthetic_stimuli": config.synthetic}
    sessions = _require_free(folder, about)
    _claim(folder, {**about, "sessions": sessions})
    store = folder / "recording.zarr"
    recorded = recorded_models(store)
    missing = [model for model in models if model.name not in recorded]
    for model in missing:
        try:
            write_model(protocol.recording(config, model, stimuli), store, model.name)
        except ValueError:
            if not recorded and model is missing[0] and not store.exists():
                _release(folder)  # these stimuli cannot be recorded: nothing is left behind
            raise
    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    write_attributes(store, {"schema_version": SCHEMA_VERSION, **attributes})
    with open_recording(store) as recordings:
        # As they were asked for: a store lists its groups in any order, and numbers must not depend on it.
        ordered = xr.DataTree(children={model.name: recordings.children[model.name] for model in models})
        tables = protocol.analysis(config, ordered)
    notes = tuple(f"NOTE: {note}." for note in stimuli.notes)
    notes += comparability_warnings(config.models)
    tables = dataclasses.replace(tables, findings=(*notes, *tables.findings))
    # A table or a figure may be looked at without its report.
    made = {"stimuli": "synthetic scenes"} if config.synthetic else {}
    tables.units.assign(**made).to_parquet(folder / "units.parquet", index=False)
    write_csv(tables.statistics.assign(**made), folder / "statistics.csv")
    figure = protocol.figure(config, tables)
    if config.synthetic:
        figure.supxlabel("synthetic scenes", fontsize=7)  # legends are above
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"figure.{suffix}", dpi=300)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
    session = {
        "started": started,
        "duration_seconds": round(time.perf_counter() - start, 1),
        "peak_memory_bytes": peak,
        "device": str(device),
        "recorded": [model.name for model in missing],
    }
    outcome = {"findings": list(tables.findings), "sessions": [*sessions, session]}
    text = report(
        title=protocol.name.replace("_", " ").capitalize(),
        description=protocol.description,
        findings=tables.findings,
        statistics=tables.statistics,
        figure=figure,
        methods=f"{protocol.methods(config)} {_software(about['versions'])}",
        about={**about, **outcome},
    )
    (folder / "report.html").write_text(text, encoding="utf-8")
    _write_json(folder / "run.json", {**about, "state": "done", **outcome})
    return tables


def _software(installed: dict[str, str]) -> str:
    """Return the sentence that names what it was computed with."""
    named = [f"{name} {installed[key]}" for key, name in SOFTWARE.items() if key in installed]
    commit = installed.get("git_commit") or "unknown"
    return f"Computed with neuroattn {installed['neuroattn']} (commit {commit[:10]}), {', '.join(named)}."


def _about(protocol: Protocol[C], config: C, hashes: dict[str, str], seeds: dict[str, int | None]) -> dict[str, Any]:
    from neuroattn.provenance import versions

    configuration = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    return {
        "protocol": protocol.name,
        "configuration": json.loads(json.dumps(configuration)),
        "seeds": {"protocol": config.seed, "models": seeds},
        "weights_sha256": hashes,
        "versions": versions(),
    }


def _require_free(folder: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Raise unless a folder is free or holds this very run; return the sessions that worked on it so far."""
    path = folder / "run.json"
    if not path.is_file():
        if not is_free(folder):
            raise ValueError(
                f"out must be a folder that is empty or does not exist, got {str(folder)!r}; choose another folder"
            )
        return []
    try:
        before = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"out holds a damaged run.json ({error}), got {str(folder)!r}; choose another folder"
        ) from error
    # The code is part of it: what an older version recorded must not meet the analysis of a newer one.
    code = {key: about["versions"][key] for key in ("neuroattn", "git_commit")}
    then = {key: before.get("versions", {}).get(key) for key in code}
    for key in ("protocol", "configuration", "weights_sha256", "stimuli_sha256"):
        if key in about and before.get(key) != about[key]:
            raise _another(folder, _difference(before.get(key), about[key], key))
    if then != code:
        raise _another(folder, _difference(then, code, "versions"))
    return list(before.get("sessions", []))


def _another(folder: Path, difference: str) -> ValueError:
    return ValueError(
        f"out must not hold a run with another configuration, got {str(folder)!r}, which differs in {difference}; "
        "choose another folder"
    )


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Make the folder of a run, and note in it whose it is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "run.json", {**about, "state": "running"})
    except OSError as error:
        raise unwritable(folder, error) from error


def _release(folder: Path) -> None:
    """Undo a claim on a folder in which nothing was recorded."""
    (folder / "run.json").unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _difference(before: Any, now: Any, name: str) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        return ", ".join(f"{name}.{key} ({before.get(key)} there, {now.get(key)} now)" for key in differing)
    return f"{name} ({before} there, {now} now)"


def _write_json(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)
