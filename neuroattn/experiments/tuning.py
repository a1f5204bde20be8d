"""Attention-invariant tuning: whether attending a bar scales a unit's orientation tuning and leaves its shape.

``python -m neuroattn.experiments.tuning``. A bar stands on the left, and on the right a digit, or an object cut out
of a photograph. Each unit's tuning curve is taken with the bar attended and with the distractor attended, on the same
pictures.

Source: Lei, Benjamin & Kording (2021), arXiv:2106.04540; the biology: McAdams & Maunsell (1999), J. Neurosci. 19:431.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroattn import labels
from neuroattn.experiments.protocol import Protocol, Tables, main
from neuroattn.experiments.scene_stimuli import (
    DIGITS,
    SCENES,
    SceneOptions,
    check_scene_options,
    require_digit_networks,
    scene_notes,
    scene_stimuli,
)
from neuroattn.options import MOST_AT_ONCE, MOST_RESAMPLES, check_options, option

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from neuroattn.models.gated import GatedNetwork
    from neuroattn.statistics.tuning_units import Curves
    from neuroattn.stimuli.stimulus_set import StimulusSet

BAR, DISTRACTOR = 0, 1  # the objects of every stimulus
SELECTION, MEASUREMENT = 0, 1  # the halves of the bars
REDUCTIONS = ("maximum", "mean")
CONTROL_BARS = 9  # of each half at each orientation
UNIT_COLUMNS = (
    *(labels.MODEL, labels.NEUROID_ID, labels.LAYER, labels.AREA),
    *(labels.CHANNEL, labels.CHANNEL_Y, labels.CHANNEL_X, "distractor_in_field"),
)
METHODS = """Bars at {grid[0]} orientations, {grid[1]} widths ({widths}) and {grid[2]} × {grid[3]} places were shown
beside {distractor}, with the bar attended and with the distractor attended ({states}). Of layers of more than
{config.n_units:,} units so many were drawn. A unit's tuning curve was the maximum
(and, apart, the mean) of its last response over the bars of an orientation. Units were driven if their curve,
averaged over both states, peaked above {config.driven:g}, and tuned if a von Mises curve fitted it with R² of at
least {config.tuned:g}, on one half of the bars; on the other half baseline + amplitude · exp(κ(cos 2(θ − θ₀) − 1))
was fitted to each state, and nested models were compared by AICc. Medians over units have intervals from a
hierarchical bootstrap ({config.n_resamples:,} resamples of networks, feature channels and units; Saravanan et al.
2020); tests are t tests over network means (over feature channels where there is one network), p values are adjusted
after Benjamini & Hochberg (1995), and the invariance of preferred orientation and bandwidth was tested as equivalence
within ±{config.shift_bound:g}° and ±{config.bandwidth_bound:g}° (two one-sided tests; Schuirmann 1987). The paradigm
is that of Lei, Benjamin & Kording (2021, arXiv:2106.04540); the biology that of McAdams & Maunsell (1999)."""


@dataclass(frozen=True, kw_only=True)
class Config(SceneOptions):
    """Options of the protocol; the defaults are the paper's grid and a cued design."""

    stimuli: str = option(
        DIGITS, "the distractor: an embedded digit, or an object of a scene of COCO", choices=(DIGITS, SCENES)
    )

    design: str = option(
        "cued", "states cued by inhibition, or the network's free order (the paper's)", choices=("cued", "free")
    )
    n_orientations: int = option(20, "orientations of the bar, equally spaced on [0°, 180°)", low=6, high=360)
    n_widths: int | None = option(None, "widths of the bar (default: 6; with scenes 3)", low=1, high=100)
    n_x: int | None = option(
        None, "horizontal places of the bar's centre (default: 11; with scenes 5)", low=2, high=1000
    )
    n_y: int | None = option(None, "vertical places of the bar's centre (default: 11; with scenes 5)", low=2, high=1000)
    distractor: int = option(7, "class of the digit on the right: the first embedded one", low=0, high=9)
    noise: float = option(
        0.0, "upper bound of the uniform background noise, beside a digit", unit="luminance", low=0, high=1
    )
    n_units: int = option(20_000, "units a layer and network, drawn at random where there are more", low=1)
    driven: float = option(0.1, "a driven unit's curve peaks above this, averaged over states", unit="1", low=0)
    tuned: float = option(0.5, "R² a tuned unit's averaged curve needs, on the other half of the bars", low=0, high=1)
    fitted: float = option(0.5, "R² that each state's fit needs for fit-based measures", low=0, high=1)
    shift_bound: float = option(5.0, "equivalence bound of the preferred orientation's shift", unit="degree", low=0.01)
    bandwidth_bound: float = option(
        5.0, "equivalence bound of the change in half width at half height", unit="degree", low=0.01
    )
    controls: tuple[str, ...] = option(
        labels.CONTROLS, "controls, on a part of the bars", choices=(*labels.CONTROLS, "none")
    )
    n_resamples: int = option(2000, "resamples of the hierarchical bootstrap", low=100, high=MOST_RESAMPLES)
    batch_size: int = option(256, "stimuli at once", low=2, high=MOST_AT_ONCE)

    def __post_init__(self) -> None:
        """Check every option."""
        check_options(self)
        check_scene_options(self)
        if "none" in self.controls and len(self.controls) > 1:
            raise ValueError(f"controls must be none or a list of controls, got {', '.join(self.controls)}")

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """Numbers of orientations, widths, and places along x and y."""
        defaults = (3, 5, 5) if self.stimuli == SCENES else (6, 11, 11)
        given = (self.n_widths, self.n_x, self.n_y)
        n_widths, n_x, n_y = (n or default for n, default in zip(given, defaults, strict=True))
        return (self.n_orientations, n_widths, n_x, n_y)

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """The controls to run: nothing where ``none`` was asked for."""
        return () if self.controls == ("none",) else self.controls


def stimuli(config: Config) -> StimulusSet:
    """Return the bars beside the distractor; ``for_controls`` marks a sparse part of them."""
    import torch

    from neuroattn.stimuli.bars import bar_and_digit, tuning_grid
    from neuroattn.stimuli.digits import SHIFT
    from neuroattn.stimuli.mnist import SIDE, embedded

    if config.stimuli == SCENES:
        return _beside_an_object(config)
    require_digit_networks(config, 2)
    _require_room(config, SIDE * (SIDE + SHIFT))
    digits = embedded()
    digit = digits.images[digits.labels == config.distractor][0]
    grid = _with_controls(tuning_grid(*config.grid))
    generator = torch.Generator().manual_seed(config.seed)
    return bar_and_digit(grid, digit, config.distractor, noise=config.noise, generator=generator)


def _beside_an_object(config: Config) -> StimulusSet:
    """Return the bars beside the larger object of a scene that is drawn at random."""
    from neuroattn.stimuli.scene_bars import bar_and_object, on_the_right, scene_tuning_grid
    from neuroattn.stimuli.stimulus_set import StimulusSet

    height, width = config.size
    _require_room(config, 3 * height * width)
    drawn = scene_stimuli(config, 1, 2)
    larger = int(drawn.table["area_1"].iloc[0] > drawn.table["area_0"].iloc[0])
    alone = np.round(np.asarray(drawn.objects)[0, larger] * 255).astype(np.uint8)
    grid = _with_controls(scene_tuning_grid((height, width), *config.grid))
    shown = bar_and_object(grid, on_the_right(alone))
    shown.table["distractor"] = str(drawn.table[f"category_{larger}"].iloc[0])
    return StimulusSet(shown.images, shown.objects, shown.table, drawn.notes)


def _require_room(config: Config, n_values: int) -> None:
    """Raise unless memory holds the pictures, of so many values each, with both objects of each."""
    from neuroattn.memory import free_memory

    needed, free = math.prod(config.grid) * 3 * n_values * 4, free_memory() // 2
    if needed > free:
        raise ValueError(
            f"n_orientations × n_widths × n_x × n_y must fit in memory, got {math.prod(config.grid):,} pictures of "
            f"{needed / 1e9:.1f} GB with their objects, and {free / 1e9:.1f} GB are free for them; show fewer"
        )


def _with_controls(grid: pd.DataFrame) -> pd.DataFrame:
    # The same bars at every orientation, spread over widths and places, as many from either half.
    of_half = grid.groupby(["orientation", "half"])
    number, size = of_half.cumcount(), of_half["x"].transform("size")
    few = np.minimum(size, CONTROL_BARS)
    return grid.assign(for_controls=(number * few // size) != ((number - 1) * few // size))


def recording(config: Config, model: GatedNetwork, stimuli: StimulusSet) -> xr.DataTree:
    """Return mean and maximum over bars of every unit's last step, by orientation, half and attended object.

    Only stimuli count whose gated image confirms the intended object in both states. The controls, in groups of their
    own, keep all stimuli by the intended object, because attention may fail in them.
    """
    import xarray as xr

    from neuroattn.models.controls import control
    from neuroattn.recording.record import record
    from neuroattn.recording.reduce import Reduction
    from neuroattn.recording.units import Units

    variables = [f"stage{number}/response" for number in range(1, len(model.config.channels) + 1)]
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "out"}
    options: dict[str, Any] = {
        "design": config.design,
        "batch_size": config.batch_size,
        "configuration": settings,
        "units": {
            variable: Units(sample=config.n_units, seed=config.seed)
            for variable, shape in zip(variables, model.config.response_sizes, strict=True)
            if math.prod(shape) > config.n_units
        },
    }
    last = model.config.steps - 1
    sink = Reduction(["orientation", "half", labels.ATTENDED], keep=labels.CONFIRMED, what=REDUCTIONS)
    trees = {"/": record(model, stimuli, variables, [last], sink=sink, **options)}
    intended = labels.CUED if config.design == "cued" else labels.ATTENDED
    # In random order, so that the neighbour whose gates are taken in the shuffled control is any stimulus.
    order = np.random.default_rng(config.seed).permutation(np.flatnonzero(stimuli.table["for_controls"]))
    # No batch of a single stimulus: its gates could not be shuffled.
    options["batch_size"] = next((b for b in range(config.batch_size, 1, -1) if len(order) % b != 1), len(order))
    for name in config.chosen_controls:
        sink = Reduction(["orientation", "half", intended], what=REDUCTIONS)
        steps = [0 if name == "one_step" else last]
        subject = control(name, model, config.seed)
        tree = record(subject, stimuli.select(order), variables, steps, sink=sink, **options)
        renamed = {node.path: node.to_dataset().rename({intended: labels.ATTENDED}) for node in tree.leaves}
        trees[f"/controls/{name}"] = xr.DataTree.from_dict(renamed)
        trees[f"/controls/{name}"].attrs = tree.attrs
    ink: np.ndarray = np.any(np.asarray(stimuli.objects)[0, DISTRACTOR] > 0, axis=0)
    leaves = {
        f"{at.rstrip('/')}{node.path}": _with_fields(node.to_dataset(), model, ink)
        for at, tree in trees.items()
        for node in tree.leaves
    }
    whole = xr.DataTree.from_dict(leaves)
    for at, tree in trees.items():
        whole[at].attrs = tree.attrs
    return whole


def _with_fields(dataset: xr.Dataset, model: GatedNetwork, ink: np.ndarray) -> xr.Dataset:
    """Add which units have the distractor in their receptive field."""
    from neuroattn.models.receptive_field import sees

    variable = str(dataset[labels.LAYER].values[0])
    seen = sees(model.config, variable, ink)[dataset[labels.CHANNEL_Y], dataset[labels.CHANNEL_X]]
    return dataset.assign_coords(distractor_in_field=(labels.NEUROID, seen))


def analysis(config: Config, recording: xr.DataTree) -> Tables:
    """Return the unit table of every network, the statistics with their controls, and what they show."""
    import pandas as pd

    from neuroattn.statistics.tuning_findings import findings
    from neuroattn.statistics.tuning_summary import adjusted, summarise

    generator = np.random.default_rng(config.seed)
    bounds = {"shift": config.shift_bound, "bandwidth_change": config.bandwidth_bound}
    bounds |= {f"absolute_{name}": bound for name, bound in bounds.items()}
    units, parts = pd.DataFrame(), []
    for name in ("", *config.chosen_controls):
        at = f"controls/{name}/" if name else ""
        tables = [
            _units(config, tree[f"{at}{stage}/response"].to_dataset().load(), fits=not name)
            for tree in recording.children.values()
            for stage in sorted(child for child in tree.children if child != "controls")
        ]
        table = pd.concat([table for table, _ in tables], ignore_index=True)
        part = summarise(
            table, REDUCTIONS, bounds=bounds, generator=generator, n_resamples=config.n_resamples, control=name
        )
        kept, dropped = zip(*(numbers for _, numbers in tables), strict=True)
        parts.append(part.assign(n_stimuli=min(kept), n_stimuli_dropped=max(dropped)))  # of the worst network
        units = table if not name else units
    statistics = adjusted(pd.concat(parts, ignore_index=True))
    lines = (*scene_notes(config), *_confound(config), *findings(statistics))
    return Tables(units=units, statistics=statistics, findings=lines)


def _confound(config: Config) -> tuple[str, ...]:
    if config.design == "cued":
        return ()
    return (
        (
            "NOTE: in the free order the attended object, the phase and the inhibition in force change together; the "
            "difference between the states is not attention's alone. The cued design (--design cued) keeps them apart."
        ),
    )


def _units(config: Config, dataset: xr.Dataset, *, fits: bool) -> tuple[pd.DataFrame, tuple[int, int]]:
    """Return the unit table of one layer of one network, and how many stimuli were kept and dropped."""
    from neuroattn.statistics.tuning_units import Criteria, Curves, tuning_units

    dataset = dataset.isel({labels.TIME_STEP: 0})
    # In an order of our own: a store lists its coordinates in any.
    units = dataset[list(UNIT_COLUMNS)].to_dataframe()[[*UNIT_COLUMNS, labels.TIME_STEP]]
    whole = dataset["count"].groupby("orientation").min() > 0
    orientation = whole["orientation"].values[whole.values]
    if len(orientation) < 6:
        raise ValueError(
            f"attention was confirmed in both states at {len(orientation)} orientations only; the model does not "
            "attend these stimuli: use another model, or --design free"
        )

    def curves(half: int, reduction: str) -> Curves:
        states = []
        for state in (BAR, DISTRACTOR):
            rows = (dataset["half"] == half) & (dataset[labels.ATTENDED] == state)
            rows &= dataset["orientation"].isin(orientation)
            states.append(dataset[reduction][rows.values].transpose(labels.NEUROID, ...).values.astype(np.float64))
        return Curves(*states)

    selection, measured = (
        {reduction: curves(half, reduction) for reduction in REDUCTIONS} for half in (SELECTION, MEASUREMENT)
    )
    criteria = Criteria(driven=config.driven, tuned=config.tuned, fitted=config.fitted)
    table = tuning_units(units, orientation, selection, measured, criteria, fits=fits)
    if fits:
        drawn = (table["driven"] & ~table["distractor_in_field"]).to_numpy()
        table["orientations"] = [orientation.tolist() if d else None for d in drawn]
        for reduction, (attended, unattended) in measured.items():
            for state, values in (("attended", attended), ("unattended", unattended)):
                rows = [row.astype(np.float32) if d else None for row, d in zip(values, drawn, strict=True)]
                table[f"curve_{state}_{reduction}"] = rows
    used = dataset["orientation"].isin(orientation)
    kept, presented = int(dataset["count"].where(used, 0).sum()) // 2, int(dataset["presented"].sum()) // 2
    return table, (kept, presented - kept)


def figure(config: Config, tables: Tables) -> Figure:
    """Return example units with both curves, and the distributions of what attention did."""
    del config  # the tables say all that the figure shows
    from neuroattn.figures.tuning import tuning_figure
    from neuroattn.statistics.tuning_examples import example_curves
    from neuroattn.statistics.tuning_findings import BIOLOGY

    examples = example_curves(tables.units, REDUCTIONS[0])
    return tuning_figure(examples, tables.units, tables.statistics, REDUCTIONS[0], BIOLOGY)


def methods(config: Config) -> str:
    """Return the paragraph for a paper."""
    states = (
        "cued by the inhibition of the other object alone, in a phase of its own"
        if config.design == "cued"
        else "in the network's free order"
    )
    if config.stimuli == SCENES:
        kind = "a synthetic scene" if config.synthetic else "a scene of COCO (Lin et al. 2014)"
        distractor = f"the larger object of {kind}, cut out, on grey"
        widths = f"σ from 1 to 4 % of the shorter side of pictures of {config.size[0]} × {config.size[1]} pixels"
    else:
        distractor = f"a handwritten {config.distractor} (uniform background noise below {config.noise:g})"
        widths = "σ 0.5 to 2 pixels"
    text = METHODS.format(config=config, grid=config.grid, states=states, distractor=distractor, widths=widths)
    return " ".join(text.split())


PROTOCOL = Protocol(
    name="tuning",
    description="Tuning to orientation with the bar attended and with the object beside it attended: gain, offset, "
    "shift and bandwidth of every driven unit, with controls. Default: the paper's grid of 14,520 bars, offline.",
    config=Config,
    stimuli=stimuli,
    recording=recording,
    analysis=analysis,
    figure=figure,
    methods=methods,
)

if __name__ == "__main__":
    main(PROTOCOL)
