"""Runs of protocols: from Python, from their folders, and again."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroattn.command.line import configured
from neuroattn.command.option import suggestion
from neuroattn.experiments.analysis import FINDINGS, STATISTICS, UNITS, Session, analyse_recording, browsed, draw
from neuroattn.experiments.finding import ON_TOP, from_json
from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.recording import (
    STORE,
    analysis_options,
    in_order,
    record_networks,
    require_undamaged,
    shown_again,
    stored_configuration,
)
from neuroattn.experiments.run_file import RECORDING, RUN, read_bounded, read_run
from neuroattn.runs.folder import alone, is_free, run_folder
from neuroattn.runs.local_path import local_path
from neuroattn.runs.plain_text import printable, shown

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.experiments.finding import Finding
    from neuroattn.experiments.protocol import C, Protocol, ProtocolConfig
    from neuroattn.explorer.contents import Contents
    from neuroattn.subjects.adapter import Model
    from neuroattn.subjects.subject import Subject


def protocols() -> list[str]:
    """Return the names of the protocols."""
    folder = Path(__file__).parent
    return sorted(path.parent.name for path in folder.glob("*/protocol.py"))


def protocol_named(name: str) -> Protocol[Any]:
    """Return a protocol by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    known = protocols()
    if name not in known:
        raise ValueError(f"protocol must be one of {', '.join(known)}, got {shown(name)}{suggestion(str(name), known)}")
    found: Protocol[Any] = importlib.import_module(f"neuroattn.experiments.{name}.protocol").PROTOCOL
    return found


class Run:
    """A run of a protocol: what the files in its folder hold.

    Attributes
    ----------
    path
        Its folder.
    protocol, config
        What was run, and with which options.
    """

    def __init__(self, path: Path, *, unfinished: bool = False) -> None:
        self.path = path
        self._read(unfinished=unfinished)

    def _read(self, *, unfinished: bool) -> None:
        self._file = read_run(self.path, "path", unfinished=unfinished)
        self.protocol = protocol_named(self._file["protocol"])
        self.config: ProtocolConfig = configured(self.protocol.config, self._file["configuration"])

    def __repr__(self) -> str:
        return printable(
            f"Run of {self.protocol.name} on {', '.join(self._file['weights_sha256'])} in {str(self.path)!r}"
        )

    def _repr_html_(self) -> str:
        from neuroattn.experiments.report import in_short

        return in_short(repr(self), self.findings)

    @property
    def store(self) -> Path:
        """Folder of the recording."""
        store = (self.path / (self._file.get(RECORDING) or STORE)).resolve()
        if not (store / "zarr.json").is_file():
            raise ValueError(
                f"run must have its recording, got {str(self.path)!r}, and there is none at {str(store)!r}; put it "
                f"back, or correct {RECORDING!r} in {RUN}"
            )
        return store

    @cached_property
    def recording(self) -> xr.DataTree:
        """The recording, a group a network in their order; read from its store as it is looked at."""
        from neuroattn.recording.store import open_recording

        return in_order(open_recording(self.store), list(self._file["weights_sha256"]))

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row a unit and network."""
        import pandas as pd

        return pd.read_parquet(self.path / UNITS)

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """One row an estimate."""
        from neuroattn.statistics.estimates import read_statistics

        return read_statistics(self.path / STATISTICS)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """One record a claim; those of runs from before there were findings have to be analysed again."""
        import msgspec

        file = self.path / FINDINGS
        if not file.is_file():
            raise ValueError(f"run must have {FINDINGS}, got {str(self.path)!r} without; make it with run.analyse()")
        try:
            return from_json(msgspec.json.decode(read_bounded(file), type=list[dict[str, Any]]))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(
                f"{FINDINGS} of {str(self.path)!r} is damaged; make it again with run.analyse()"
            ) from error

    @property
    def text(self) -> tuple[str, ...]:
        """Everything that was found, in sentences."""
        return tuple(self._file["findings"])

    def browsed(self) -> Contents:
        """Return what the explorer shows of this run; its stimuli are made again."""
        pictured = shown_again(self.protocol, self.config, self._file)
        return browsed(self.protocol, self.units, self.store, self._file, pictured)

    def figure(self) -> Figure:
        """Draw the protocol's figure."""
        tables = Tables(units=self.units, statistics=self.statistics, findings=(), text=())
        return draw(self.protocol, self.config, tables)

    def analyse(self, *, out: str | Path | None = None, **options: Any) -> Run:
        """Make units, statistics, findings, figure and report anew from the recording.

        Parameters
        ----------
        out
            Folder for them; None replaces those that are there.
        **options
            Options of the analysis that are to differ.

        Raises
        ------
        ValueError
            If an option is one of the recording, or `out` is not free.

        Examples
        --------
        >>> import tempfile
        >>> import neuroattn
        >>> options = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": []}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = neuroattn.run("inhibition_of_return", models=["digits-0"], out=f"{folder}/run", **options)
        ...     run.analyse(n_resamples=200).config.n_resamples
        200
        """
        run = Run(self.path, unfinished=True)  # as it is now
        config = run._again(options)
        folder = self.path if out is None else local_path("out", out)
        own = folder != self.path
        with alone(folder):
            if own and not is_free(folder) and not _begun(folder):
                raise ValueError(f"out must be a folder that is empty or does not exist, got {str(folder)!r}")
            require_undamaged(run.store)
            about = {**run._file, "configuration": stored_configuration(config), "notes": run._notes}
            if own:
                about[RECORDING] = os.path.relpath(run.store, folder)
            pictured = shown_again(run.protocol, config, about)
            analyse_recording(run.protocol, config, about, run.store, folder, Session("cpu"), pictured)
        if not own:
            for made in ("units", "statistics", "findings"):
                self.__dict__.pop(made, None)
            self._read(unfinished=False)
        return Run(folder)

    @property
    def _notes(self) -> list[str]:
        """What stands before the findings; the version before wrote it among them."""
        noted = itertools.takewhile(lambda line: line.startswith(ON_TOP), self._file["findings"])
        return self._file["notes"] or [*noted]

    def _again(self, options: dict[str, Any]) -> ProtocolConfig:
        """Return the configuration of another analysis."""
        config: ProtocolConfig = configured(self.protocol.config, {**stored_configuration(self.config), **options})
        before, now = stored_configuration(self.config), stored_configuration(config)
        free = analysis_options(self.protocol.config)
        for name, value in now.items():
            if value != before[name] and name not in {*free, "device"}:
                raise ValueError(
                    f"{name} is an option of the recording, {shown(before[name])} in {str(self.path)!r}, got "
                    f"{shown(value)}; record anew, or give options of the analysis ({', '.join(free)})"
                )
        return config


def _begun(folder: Path) -> bool:
    """Return whether a folder holds an analysis of a recording elsewhere that was interrupted."""
    try:
        file = read_run(folder, "out", unfinished=True)
    except ValueError:
        return False
    return file["state"] == "analysing" and file.get(RECORDING) is not None


def open_run(path: str | Path) -> Run:
    """Open the folder of a run.

    Raises
    ------
    ValueError
        If it holds no run, or one that was interrupted.

    Examples
    --------
    >>> import tempfile
    >>> import neuroattn
    >>> options = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": []}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = neuroattn.run("inhibition_of_return", models=["digits-0"], out=f"{folder}/run", **options)
    ...     neuroattn.open_run(f"{folder}/run").statistics.equals(run.statistics)
    True
    """
    return Run(local_path("path", path))


def run(
    protocol: str,
    *,
    models: Sequence[str | Path | Model] | None = None,
    out: str | Path | None = None,
    **options: Any,
) -> Run:
    """Run a protocol, and save every step of it in a folder.

    Parameters
    ----------
    protocol
        Its name, such as ``tuning``.
    models
        Shipped names, paths, planted subjects (``planted-null``), networks, or any other module
        (`neuroattn.TimedModule`, which says how it is cued); None takes the protocol's own default.
    out
        Folder of the run (default: ``runs/PROTOCOL-DATE-TIME``). One that holds the same run goes on.
    **options
        Those of the command, by the same names.

    Raises
    ------
    ValueError
        In one line: what was wrong with an option, a network, or the folder.

    Examples
    --------
    >>> import tempfile
    >>> import neuroattn
    >>> options = {"n_stimuli": 20, "n_control_stimuli": 20, "n_resamples": 100, "controls": []}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = neuroattn.run("inhibition_of_return", models=["digits-0"], out=f"{folder}/run", **options)
    ...     run.findings[0].verdict
    'supported'
    """
    from neuroattn.subjects.adapter import load_subjects, subject_of

    found = protocol_named(protocol)
    if not isinstance(models, Sequence | None) or isinstance(models, str):
        raise ValueError(f"models must be a list of names, paths or networks, got {shown(models)}")
    if options.get("analyse") is not None:
        raise ValueError("analyse is an option of the command, got it here; take open_run(path).analyse(...)")
    given = [*(configured(found.config, {}).models if models is None else models)]
    if not given:
        raise ValueError("models must name at least one network, got none")
    subjects = [None if isinstance(one, str | Path) else subject_of(one) for one in given]
    names = [str(one) if subject is None else subject.name for one, subject in zip(given, subjects, strict=True)]
    folder = run_folder(None if out is None else str(out), protocol)
    config = configured(found.config, {**options, "models": names, "out": str(folder)})
    loaded = iter(load_subjects([one for one in given if isinstance(one, str | Path)]))
    perform(found, config, [subject or next(loaded) for subject in subjects], folder)
    return Run(folder)


def perform(protocol: Protocol[C], config: C, subjects: Sequence[Subject] | None, folder: Path) -> Tables:
    """Run a protocol and save each step of it in a folder.

    A folder in which the same configuration was run before is continued: networks that are recorded already are not
    recorded again. Everything after the recording is made anew.

    Parameters
    ----------
    protocol, config
        What to run.
    subjects
        Who is recorded; None loads the networks that the configuration names.
    folder
        Of the run.

    Raises
    ------
    ValueError
        If `folder` holds anything but a run of the same configuration and the same weights, or another process works
        in it; or a network cannot be recorded or analysed on these stimuli.
    WriteError
        If something cannot be written. What was recorded of whole networks is kept.
    """
    from neuroattn.compute.device import choose_device
    from neuroattn.models.checkpoint import require_different
    from neuroattn.subjects.adapter import load_subjects

    with alone(folder):
        device = choose_device(config.device)
        if subjects is None:
            subjects = load_subjects(config.models, device)
        subjects = [subject.on(device) for subject in subjects]
        require_different(subject.name for subject in subjects)
        session = Session(str(device))
        about, recorded, pictured = record_networks(protocol, config, subjects, folder)
        return analyse_recording(protocol, config, about, folder / STORE, folder, session, pictured, recorded)


def interrupted(folder: Path) -> str:
    """Return what is kept of a run that did not come to its end."""
    if not any((folder / STORE).glob("*/zarr.json")):
        return "nothing was recorded; the same command begins again"
    return (
        f"the recordings of whole networks are kept in {folder}; the same command with --out {folder} goes on from "
        "there"
    )
