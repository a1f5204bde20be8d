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

from neuroattn.command.line import read_options, run_command, tell
from neuroattn.command.option import option
from neuroattn.experiments.run_file import RUN, earlier_sessions, write_run
from neuroattn.runs.folder import alone, run_folder
from neuroattn.runs.output_file import replacing, write_csv

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
STORE = "recording.zarr"  # in the folder of a run
# What a methods section names, by its key among the versions.
SOFTWARE = {
    "torch": "PyTorch", "numpy": "NumPy", "scipy": "SciPy", "statsmodels": "statsmodels", "pandas": "pandas",
    "xarray": "xarray",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Protocol(Generic[C]):
    """A protocol: a name, its options, and functions that know nothing of one another.

    Attributes
    ----------
    name
        Of the module and of run folders.
    description
        For ``--help``.
    config
        Dataclass of its options.
    stimuli, check, recording, analysis, figure
        Options → stimuli; options, network, stimuli → ValueError if this network cannot be analysed on them, which must
        take little time; options, network, stimuli → recording of that network; options, recordings of all networks (a
        group each) → tables; options, tables → figure.
    methods
        Options → a paragraph for a paper: what was shown, recorded and tested, with its sources.
    """

    name: str
    description: str
    config: type[C]
    stimuli: Callable[[C], StimulusSet]
    check: Callable[[C, GatedNetwork, StimulusSet], None]
    recording: Callable[[C, GatedNetwork, StimulusSet], xr.DataTree]
    analysis: Callable[[C, xr.DataTree], Tables]
    figure: Callable[[C, Tables], Figure]
    methods: Callable[[C], str]


def main(protocol: Protocol[C], argv: Sequence[str] | None = None) -> None:
    """Run a protocol as a command, and leave with its exit status."""
    prog = f"python -m neuroattn.experiments.{protocol.name}"
    config = read_options(protocol.config, argv, prog=prog, description=protocol.description)
    folder = run_folder(config.out, protocol.name)

    def command() -> None:
        tables = run(protocol, config, folder)
        for line in (*tables.findings, "", f"results in {folder}"):
            tell(line)

    def kept() -> str:
        if not any((folder / STORE).glob("*/zarr.json")):
            return "nothing was recorded; the same command begins again"
        return (
            f"the recordings of whole networks are kept in {folder}; the same command with --out {folder} goes on from "
            "there"
        )

    run_command(command, interrupted=kept)


def run(protocol: Protocol[C], config: C, folder: Path) -> Tables:
    """Run a protocol and save each step of it in a folder.

    A folder in which the same configuration was run before is continued: networks that are recorded already are not
    recorded again. Everything after the recording is made anew.

    Raises
    ------
    ValueError
        If `folder` holds anything but a run of the same configuration and the same weights, or another process works
        in it; or a network cannot be recorded or analysed on these stimuli.
    WriteError
        If something cannot be written. What was recorded of whole networks is kept.
    """
    with alone(folder):
        return _run(protocol, config, folder)


def _run(protocol: Protocol[C], config: C, folder: Path) -> Tables:
    from neuroattn.compute.device import choose_device
    from neuroattn.experiments.report import report
    from neuroattn.models.checkpoint import load_models, weights_hash
    from neuroattn.recording.attributes import SCHEMA_VERSION
    from neuroattn.recording.damage import faults
    from neuroattn.recording.gated_subject import require_size
    from neuroattn.recording.store import recorded_models, require_recording, write_attributes, write_model

    started, start = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    device = choose_device(config.device)
    models = load_models(config.models, device=device)
    hashes = {model.name: weights_hash(model) for model in models}
    about = _about(protocol, config, hashes, {model.name: model.seed for model in models})
    earlier_sessions(folder, about)  # before the stimuli, which take their time
    stimuli = protocol.stimuli(config)
    for model in models:
        require_size(model, stimuli)
    about |= {"stimuli_sha256": stimuli.identity(), "synthetic_stimuli": config.synthetic}
    sessions = earlier_sessions(folder, about)
    store = folder / STORE
    if damage := next(faults(store), None):
        raise _damaged(store, damage)
    recorded = recorded_models(store)
    missing = [model for model in models if model.name not in recorded]
    for model in models:
        if model.name in recorded:
            require_recording(store, model.name, hashes[model.name])
    for model in missing:  # all of them before the first is recorded, which takes its time
        protocol.check(config, model, stimuli)
    write_run(folder, {**about, "sessions": sessions, "state": "running"})
    for model in missing:
        try:
            write_model(protocol.recording(config, model, stimuli), store, model.name)
        except ValueError:
            if not recorded and model is missing[0] and not store.exists():
                (folder / RUN).unlink()  # these stimuli cannot be recorded: nothing is left behind
            raise
    attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    write_attributes(store, {"schema_version": SCHEMA_VERSION, **attributes})
    tables = _analysed(protocol, config, store, [model.name for model in models], stimuli.notes)
    figure = _write_tables(protocol, config, tables, folder)
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
    with replacing(folder / "report.html") as file:
        file.write_text(text, encoding="utf-8")
    write_run(folder, {**about, "state": "done", **outcome})
    return tables


def _analysed(protocol: Protocol[C], config: C, store: Path, models: list[str], notes: tuple[str, ...]) -> Tables:
    """Return the tables of a recording, with what must be said first on top of the findings."""
    import xarray as xr

    from neuroattn.experiments.comparability import comparability_warnings
    from neuroattn.recording.damage import problems
    from neuroattn.recording.store import open_recording

    try:
        with open_recording(store) as recordings:
            # As they were asked for: a store lists its groups in any order, and numbers must not depend on it.
            ordered = xr.DataTree(children={name: recordings.children[name] for name in models})
            tables = protocol.analysis(config, ordered)
    except (ValueError, KeyError, OSError) as error:
        # Only now: data are read where they are needed, and whoever reads them cannot name the store.
        if found := problems(store):
            raise _damaged(store, found[0]) from error
        raise
    first = (*(f"NOTE: {note}." for note in notes), *comparability_warnings(config.models))
    return dataclasses.replace(tables, findings=(*first, *tables.findings))


def _damaged(store: Path, damage: str) -> ValueError:
    return ValueError(
        f"store {str(store)!r} is damaged: {damage}; to begin anew, remove {str(store.parent)!r} or name another "
        "folder (--out)"
    )


def _write_tables(protocol: Protocol[C], config: C, tables: Tables, folder: Path) -> Figure:
    """Write the tables and the figure; return the figure."""
    # A table or a figure may be looked at without its report.
    made = {"stimuli": "synthetic scenes"} if config.synthetic else {}
    with replacing(folder / "units.parquet") as file:
        tables.units.assign(**made).to_parquet(file, index=False)
    write_csv(tables.statistics.assign(**made), folder / "statistics.csv")
    figure = protocol.figure(config, tables)
    if config.synthetic:
        figure.supxlabel("synthetic scenes", fontsize=7)  # legends are above
    for suffix in ("png", "svg"):
        with replacing(folder / f"figure.{suffix}") as file:
            figure.savefig(file, dpi=300)
    return figure


def stages(tree: xr.DataTree) -> list[str]:
    """Return the names of the stages that were recorded of a network, bottom up: a store lists them in any order."""
    found = [str(child) for child in tree.children if str(child).startswith("stage")]
    return sorted(found, key=lambda stage: int(stage.removeprefix("stage")))


def _software(installed: dict[str, str]) -> str:
    """Return the sentence that names what it was computed with."""
    named = [f"{name} {installed[key]}" for key, name in SOFTWARE.items() if key in installed]
    commit = installed.get("git_commit") or "unknown"
    return f"Computed with neuroattn {installed['neuroattn']} (commit {commit[:10]}), {', '.join(named)}."


def _about(protocol: Protocol[C], config: C, hashes: dict[str, str], seeds: dict[str, int | None]) -> dict[str, Any]:
    from neuroattn.runs.provenance import versions

    configuration = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    return {
        "protocol": protocol.name,
        "configuration": json.loads(json.dumps(configuration)),
        "seeds": {"protocol": config.seed, "models": seeds},
        "weights_sha256": hashes,
        "versions": versions(),
    }
