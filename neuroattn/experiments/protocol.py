"""What a protocol is: its options, its tables, and functions that know nothing of one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from neuroattn.command.groups import Compute, Models, Seed
from neuroattn.command.option import option, varied
from neuroattn.explorer.view import DEFAULT, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.experiments.columns import Column
    from neuroattn.experiments.finding import Finding
    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.subject import Subject


@dataclass(frozen=True, kw_only=True)
class CommandConfig(Seed, Compute, Models):
    """Options of every command on networks."""

    out: str | None = option(None, "folder of the run (default: runs/PROTOCOL-DATE-TIME)", path=True)


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig(CommandConfig):
    """Options that every protocol has."""

    models: tuple[str, ...] = varied(
        Models,
        "models",
        description="networks: shipped names, or paths of .safetensors or published .pt files; or subjects of known "
        "truth, planted-KIND or planted-KIND-SEED: response_gain, contrast_gain, mixed_gain, baseline, null, "
        "spatial_only, object_based, shared_noise, undriven_background, normalisation",
    )
    analyse: str | None = option(
        None,
        "folder of a run whose recording is analysed again, with the options of the analysis that are given here; what "
        "was made from it is replaced, unless out names another folder",
        path=True,
    )

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """The controls to run; none where a protocol has none."""
        return ()

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
        One record a claim, with the numbers that its verdict rests on.
    text
        Sentences that say what the statistics show, controls and doubts included.
    """

    units: pd.DataFrame
    statistics: pd.DataFrame
    findings: tuple[Finding, ...]
    text: tuple[str, ...]


C = TypeVar("C", bound=ProtocolConfig)


@dataclass(frozen=True, kw_only=True)
class Protocol(Generic[C]):
    """A protocol: a name, its options, and functions that know nothing of one another.

    Attributes
    ----------
    name
        Of the folder and of run folders.
    description
        For ``--help``.
    config
        Dataclass of its options.
    stimuli, check, recording, analysis, figure
        Options, subjects → stimuli; options, subject, stimuli → ValueError if this subject cannot be analysed on them,
        which must take little time; options, subject, stimuli → recording of that subject; options, recordings of all
        subjects (a group each) → tables; options, tables → figure.
    needs
        Options → what a subject must not lack, from `neuroattn.subjects.subject`: one that does is told the reason.
    columns
        What the columns of its unit table mean.
    caption
        Of the figure: what every panel shows, for those who cannot see it, too.
    methods
        Options → a paragraph for a paper: what was shown, recorded and tested, with its sources.
    view
        How the explorer shows its units; the default goes by the recording's coordinates.
    """

    name: str
    description: str
    config: type[C]
    stimuli: Callable[[C, Sequence[Subject]], StimulusSet]
    check: Callable[[C, Subject, StimulusSet], None]
    recording: Callable[[C, Subject, StimulusSet], xr.DataTree]
    analysis: Callable[[C, xr.DataTree], Tables]
    figure: Callable[[C, Tables], Figure]
    caption: str
    methods: Callable[[C], str]
    needs: Callable[[C], tuple[str, ...]]
    columns: tuple[Column, ...]
    view: View = DEFAULT
