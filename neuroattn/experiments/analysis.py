"""The second half of a run: from a recording to tables, figure, findings and report, which can be made again."""

from __future__ import annotations

import json
import platform
import resource
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from neuroattn.experiments.finding import ON_TOP, to_json
from neuroattn.experiments.recording import damaged, in_order
from neuroattn.experiments.run_file import write_run
from neuroattn.figures.style import as_svg, save
from neuroattn.runs.output_file import replacing, write_csv
from neuroattn.runs.provenance import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from neuroattn.experiments.protocol import C, Protocol, Tables
    from neuroattn.explorer.contents import Contents, Shown

UNITS, STATISTICS, FINDINGS, REPORT = "units.parquet", "statistics.csv", "findings.json", "report.html"
EXPLORER = "explorer.html"
# What a methods section names, by its key among the versions.
SOFTWARE = {
    "torch": "PyTorch", "numpy": "NumPy", "scipy": "SciPy", "statsmodels": "statsmodels", "pandas": "pandas",
    "xarray": "xarray",
}  # fmt: skip


class Session:
    """The time, memory and device that a piece of work on a run takes."""

    def __init__(self, device: str) -> None:
        self._started, self._start = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
        self._device = device

    def record(self, recorded: Sequence[str]) -> dict[str, Any]:
        """Return what ``run.json`` says of it, so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
        return {
            "started": self._started,
            "duration_seconds": round(time.perf_counter() - self._start, 1),
            "peak_memory_bytes": peak,
            "device": self._device,
            "recorded": [*recorded],
        }


def analyse_recording(
    protocol: Protocol[C],
    config: C,
    about: Mapping[str, Any],
    store: Path,
    folder: Path,
    session: Session,
    shown: Shown,
    recorded: Sequence[str] = (),
) -> Tables:
    """Make everything of a run that comes after its recording, and write it.

    Parameters
    ----------
    protocol, config
        What was run, with the options of this analysis.
    about
        What ``run.json`` says of the recording, and of the sessions before this one.
    store, folder
        The recording, and where to write.
    session
        The one that this is part of.
    shown
        The stimuli and receptive fields, for the explorer.
    recorded
        Networks that it recorded.

    Raises
    ------
    ValueError
        If the recording cannot be analysed, or is damaged.
    WriteError
        If something cannot be written.
    """
    tables = _tables(protocol, config, store, list(about["weights_sha256"]))
    figure = draw(protocol, config, tables)
    notes = [note for note in about["notes"] if note not in tables.text]
    outcome = {
        **about,
        "notes": notes,
        "analysis_versions": versions(),
        "sessions": [*about["sessions"], session.record(recorded)],
        "findings": [*notes, *tables.text],
    }
    svg = as_svg(figure)
    page = _page(protocol, config, tables, svg, outcome)
    explorer = _explorer(protocol, tables, store, outcome, shown)
    # Whoever is interrupted from here on leaves a folder that says so, not tables of two analyses.
    write_run(folder, {**outcome, "state": "analysing"})
    _write_tables(config, tables, folder)
    with replacing(folder / "figure.svg") as file:
        file.write_text(svg, encoding="utf-8")
    with replacing(folder / "figure.png") as file:
        save(figure, file)
    with replacing(folder / FINDINGS) as file:
        file.write_text(json.dumps(to_json(tables.findings), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(folder / REPORT) as file:
        file.write_text(page, encoding="utf-8")
    with replacing(folder / EXPLORER) as file:
        file.write_text(explorer, encoding="utf-8")
    write_run(folder, {**outcome, "state": "done"})
    return tables


def _page(protocol: Protocol[C], config: C, tables: Tables, svg: str, outcome: Mapping[str, Any]) -> str:
    from neuroattn.experiments.report import report

    return report(
        title=protocol.name.replace("_", " ").capitalize(),
        description=protocol.description,
        notes=[*outcome["notes"], *(line for line in tables.text if line.startswith(ON_TOP))],
        tables=tables,
        figure=svg,
        caption=protocol.caption,
        methods=f"{protocol.methods(config)} {_software(outcome['versions'], outcome['analysis_versions'])}",
        about=outcome,
    )


def _explorer(protocol: Protocol[C], tables: Tables, store: Path, outcome: Mapping[str, Any], shown: Shown) -> str:
    from neuroattn.explorer.page import page

    made = browsed(protocol, tables.units, store, outcome, shown)
    return page(made, ((REPORT, "report"),))


def browsed(
    protocol: Protocol[C], units: pd.DataFrame, store: Path, about: Mapping[str, Any], shown: Shown
) -> Contents:
    """Return what the explorer shows of a run."""
    from neuroattn.explorer.contents import contents
    from neuroattn.recording.store import open_recording

    title = f"{protocol.name.replace('_', ' ').capitalize()} explorer"
    with open_recording(store) as recordings:
        return contents(title, units, recordings, protocol.view, shown, notes=about["notes"])


def draw(protocol: Protocol[C], config: C, tables: Tables) -> Figure:
    """Return the figure of a run."""
    figure = protocol.figure(config, tables)
    if config.synthetic:  # a figure may be looked at without its report
        figure.supxlabel("synthetic scenes", fontsize=7)  # legends are above
    return figure


def _tables(protocol: Protocol[C], config: C, store: Path, models: list[str]) -> Tables:
    """Return the tables of a recording."""
    from neuroattn.recording.damage import problems
    from neuroattn.recording.store import open_recording

    try:
        with open_recording(store) as recordings:
            return protocol.analysis(config, in_order(recordings, models))
    except (ValueError, KeyError, OSError) as error:
        # Only now: data are read where they are needed, and whoever reads them cannot name the store.
        if found := problems(store):
            raise damaged(store, found[0]) from error
        raise


def _write_tables(config: Any, tables: Tables, folder: Path) -> None:
    # A table may be looked at without its report.
    made = {"stimuli": "synthetic scenes"} if config.synthetic else {}
    with replacing(folder / UNITS) as file:
        tables.units.assign(**made).to_parquet(file, index=False)
    write_csv(tables.statistics.assign(**made), folder / STATISTICS)


def _software(recorded: Mapping[str, str], analysed: Mapping[str, str]) -> str:
    """Return the sentences that name what it was recorded and analysed with."""
    if recorded == analysed:
        return f"Computed with {_named(analysed)}."
    return f"Recorded with {_named(recorded)}; analysed with {_named(analysed)}."


def _named(installed: Mapping[str, str]) -> str:
    named = [f"{name} {installed[key]}" for key, name in SOFTWARE.items() if key in installed]
    commit = installed.get("git_commit") or "unknown"
    return f"neuroattn {installed.get('neuroattn', 'unknown')} (commit {commit[:10]}), {', '.join(named)}"
