"""The report of a run: one HTML file that opens without a network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neuroattn.runs.plain_text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from neuroattn.experiments.finding import Estimate, Finding
    from neuroattn.experiments.protocol import Tables

_TEMPLATE = "report.html.j2"
# Beyond so many characters a cell is text to read, which may wrap.
_LONG = 40
# Of the estimates that a verdict rests on: those that a card shows unfolded.
_SHOWN = 2
_IN_SHORT = ("verdict", "claim", "where", "estimate [95 % interval]", "n")
# Columns of the statistics that are shown at first; the others are there to be chosen.
_FIRST = (
    *("what", "model", "layer", "control", "reduction", "condition", "strength", "time_step", "unit", "estimate"),
    *("interval_low", "interval_high", "n_models", "n_units", "n_stimuli", "p", "p_adjusted"),
)


def report(
    *,
    title: str,
    description: str,
    notes: Sequence[str],
    tables: Tables,
    figure: str,
    caption: str,
    methods: str,
    about: Mapping[str, Any],
) -> str:
    """Return the report as HTML.

    `notes` stand on top, a finding is a card, verdict first, sentences are folded, statistics lack columns without any
    entry, `figure` is the text of an SVG file, which `caption` describes, `methods` is a paragraph for a paper; `about`
    is what ``run.json`` says.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    networks = pd.DataFrame(
        [
            {"network": name, "seed": about["seeds"]["models"][name], "weights (SHA-256)": sha}
            for name, sha in about["weights_sha256"].items()
        ]
    )
    session = about["sessions"][-1]
    return environment.get_template(_TEMPLATE).render(
        title=title,
        made=f"{session['started']}, neuroattn {about['versions']['neuroattn']}, {session['duration_seconds']} s on "
        f"{session['device']}",
        notes=notes,
        description=description,
        networks=networks,
        findings=tables.findings,
        text="\n".join(line for line in tables.text if line not in notes),
        figure=Markup(figure[figure.index("<svg") :]),  # noqa: S704 -- matplotlib's own, which escapes its texts
        caption=caption,
        statistics=tables.statistics.dropna(axis=1, how="all"),
        first=_FIRST,
        shown=_SHOWN,
        estimates=_estimates,
        methods=methods,
        provenance=_provenance(about),
        table=_table,
    )


def _provenance(about: Mapping[str, Any]) -> pd.DataFrame:
    rows = {f"option {name}": value for name, value in about["configuration"].items()}
    rows |= {f"version of {name}": value for name, value in about["versions"].items()}
    analysed = about.get("analysis_versions", {})
    rows |= {
        f"version of {name}, analysis": value
        for name, value in analysed.items()
        if value != about["versions"].get(name)
    }
    rows |= {"stimuli (SHA-256)": about["stimuli_sha256"], "seed": about["seeds"]["protocol"]}
    for number, session in enumerate(about["sessions"], 1):
        recorded = ", ".join(session["recorded"]) or "nothing, all was there"
        rows[f"session {number}"] = (
            f"{session['started']}, {session['duration_seconds']} s on {session['device']}, peak memory "
            f"{session['peak_memory_bytes'] / 1e9:.2f} GB; recorded: {recorded}"
        )
    return pd.DataFrame({"what": list(rows), "value": [_plain(value) for value in rows.values()]})


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def in_short(heading: str, findings: Sequence[Finding]) -> str:
    """Return a table of findings as HTML, verdict first, for a notebook."""
    from markupsafe import Markup

    rows = [
        Markup("<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            printable(finding.verdict),
            printable(finding.claim),
            printable(", ".join(filter(None, (finding.layer, finding.condition)))),
            printable("; ".join(map(str, finding.rests_on[:_SHOWN]))),
            printable(finding.numbers),
        )
        for finding in findings
    ]
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in _IN_SHORT)
    table = Markup("<p>{}</p><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>")
    return str(table.format(heading, head, Markup("").join(rows)))


def _estimates(estimates: Sequence[Estimate]) -> Markup:
    """Return numbers that a verdict rests on, each with a picture of its interval."""
    from markupsafe import Markup

    rows = [
        Markup("<tr><td>{}</td><td>{}</td><td class='picture'>{}</td></tr>").format(
            printable(estimate.what), printable(estimate.number), _interval(estimate)
        )
        for estimate in estimates
    ]
    return Markup("<table class='estimates'>{}</table>").format(Markup("").join(rows)) if rows else Markup("")


def _interval(estimate: Estimate) -> Markup:
    """Return a drawing of an interval beside 0, or 1 where that lies within its bounds, and of the bounds."""
    from markupsafe import Markup

    bounds = estimate.bounds or (math.nan, math.nan)
    none = 1.0 if bounds[0] > 0 else 0.0
    known = [x for x in (estimate.value, estimate.low, estimate.high, *bounds, none) if math.isfinite(x)]
    if math.isnan(estimate.value):
        return Markup("")
    low, width = min(known), (max(known) - min(known)) or 1.0

    def at(x: float) -> float:
        return round(min(max(4 + 92 * (x - low) / width, 0), 100), 2)

    parts = [Markup('<line class="zero" x1="{0}" x2="{0}" y1="0" y2="14"/>').format(at(none))]
    if estimate.bounds is not None:
        left, right = map(at, bounds)
        parts.insert(0, Markup('<rect class="within" x="{}" y="0" width="{}" height="14"/>').format(left, right - left))
    if not math.isnan(estimate.low):
        parts.append(
            Markup('<line class="range" x1="{}" x2="{}" y1="7" y2="7"/>').format(at(estimate.low), at(estimate.high))
        )
    parts.append(Markup('<rect class="value" x="{}" y="3" width="1.6" height="8"/>').format(at(estimate.value) - 0.8))
    drawing = '<svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    return Markup(drawing).format(Markup("").join(parts))  # noqa: S704 -- the text above


def _table(table: pd.DataFrame) -> Markup:
    """Return a table whose columns sort at a click; cells are escaped."""
    from markupsafe import Markup

    head = Markup("").join(
        Markup('<th scope="col"><button type="button">{}</button></th>').format(name) for name in table.columns
    )
    rows = []
    for row in table.itertuples(index=False):
        cells = Markup("").join(_cell(value) for value in row)
        rows.append(Markup("<tr>{}</tr>").format(cells))
    body = Markup("\n").join(rows)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)


def _cell(value: Any) -> Markup:
    from markupsafe import Markup

    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Markup("<td></td>")
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "long" if len(str(value)) > _LONG else "text"
        return Markup('<td class="{}">{}</td>').format(kind, printable(str(value)))
    whole = math.isfinite(value) and float(value).is_integer()
    shown = f"{int(value):,}" if whole else f"{value:.4g}".replace("inf", "∞")
    # What sorting goes by.
    exact = str(value).replace("inf", "Infinity")
    return Markup('<td class="number" data-value="{}">{}</td>').format(exact, shown)
