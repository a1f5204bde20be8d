"""The report of a run: what is in it, that it needs no network, and how a browser shows it."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from neuroattn.experiments.finding import Estimate, Finding
from neuroattn.experiments.protocol import Tables
from neuroattn.experiments.report import in_short, report
from neuroattn.figures.style import as_svg

NOTES = ["WARNING: a control shows <an effect>.", "NOTE: beware."]
TEXT = ["Gain 1.2 [1.1, 1.3], n = 5 & more.", "a sentence \x1b[2J"]
FINDINGS = [
    Finding(
        claim="Attention multiplies <responses>", verdict="supported", layer="stage1/response", condition="by the mean",
        rests_on=(
            Estimate(what="gain", value=1.25, low=1.125, high=np.inf, unit="°", bounds=(0.5, 2)),
            Estimate(what="slope", value=1.0, low=np.nan, high=np.nan),
            Estimate(what="offset", value=np.nan, low=np.nan, high=np.nan),
        ),
        n={"networks": 3, "units": 12_345, "stimuli": 1}, test="t intervals", warnings=("a finding \x1b[2J",),
        biology="1.26 in V4 (A & B 1999)",
    ),
]  # fmt: skip


@pytest.fixture
def text():
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 5])
    statistics = pd.DataFrame(
        {
            "what": ["gain", "shift", "index"],
            "estimate": [1.23456789, np.inf, -0.5],
            "n_units": [12_345, 7, 11],
            "p": [0.01, np.nan, 2e-7],
            "empty": [np.nan] * 3,
            "converged": [True, None, False],
        }
    )
    about = {
        "seeds": {"protocol": 3, "models": {"a": 0, "b": None}},
        "weights_sha256": {"a": "f" * 64, "b": "0" * 64},
        "versions": {"neuroattn": "0.1", "torch": "2"},
        "configuration": {"noise": 0.3, "models": ["a", "b"], "name": "<i>", "cell": "a cell \x1b[2J"},
        "stimuli_sha256": "abc",
        "sessions": [
            {"started": started, "duration_seconds": 4.5, "device": "cpu", "peak_memory_bytes": 1.25e9, "recorded": new}
            for started, new in (("2026-01-01", ["a", "b"]), ("2026-01-02", []))
        ],
    }
    return report(
        title="A protocol",
        description="What it asks.",
        notes=NOTES,
        tables=Tables(units=statistics, statistics=statistics, findings=tuple(FINDINGS), text=(*NOTES, *TEXT)),
        figure=as_svg(figure),
        caption="(a) What <was> seen.",
        methods="We did <this>.",
        about=about,
    )


def test_control_characters_are_escaped(text):
    assert "\x1b" not in text
    assert r"a cell \x1b[2J" in text
    assert r"a finding \x1b[2J" in text
    assert r"a sentence \x1b[2J" in text


def test_everything_is_in_it(text):
    for part in ("A protocol", "What it asks.", "We did &lt;this&gt;.", "f" * 64, "2026-01-01", "option noise", "a, b"):
        assert part in text
    assert '<p class="warning">WARNING: a control shows &lt;an effect&gt;.</p>' in text
    assert text.count("WARNING: a control") == 1
    assert (
        "Gain 1.2 [1.1, 1.3], n = 5 &amp; more."
        in text[text.index("in sentences</summary>") : text.index("<h2>Figure")]
    )
    (card,) = re.findall(r'<section class="card supported">.*?</section>', text, re.DOTALL)
    order = ["supported", "Attention multiplies &lt;responses&gt;", "stage1/response, by the mean", "gain"]
    order += [
        "1.250° [1.125, ∞]",
        "<svg",
        "The brain: 1.26 in V4 (A &amp; B 1999)",
        "3 networks, 12,345 units, 1 stimulus",
    ]
    order += ["What decides", "offset", "t intervals; bounds 0.5 to 2°"]
    places = [card.index(part) for part in order]
    assert places == sorted(places)
    assert 'aria-label="(a) What &lt;was&gt; seen."' in text
    assert "<figcaption>(a) What &lt;was&gt; seen.</figcaption>" in text
    assert "<i>" not in text
    for cell in (">1.235<", ">12,345<", ">∞<", ">2e-07<", ">True<"):
        assert cell in text
    assert 'data-value="1.23456789"' in text
    assert 'data-value="Infinity"' in text
    assert ">empty<" not in text  # a column without any entry
    assert text.count("<svg") == 3  # the figure, and the intervals of two estimates
    assert "2026-01-01, 4.5 s on cpu, peak memory 1.25 GB; recorded: a, b" in text
    assert "2026-01-02, 4.5 s on cpu, peak memory 1.25 GB; recorded: nothing, all was there" in text


def test_it_opens_without_a_network(text):
    assert not re.search(r'(src|href)="(https?:)?//', text)
    assert "@import" not in text
    assert "url(http" not in text


def test_a_run_in_a_notebook_shows_its_findings():
    text = in_short("Run of <a>", FINDINGS)
    assert text.startswith("<p>Run of &lt;a&gt;</p><table>")
    row = ("<b>supported</b>", "Attention multiplies &lt;responses&gt;", "stage1/response, by the mean",
           "gain 1.250° [1.125, ∞]; slope 1.000 no interval", "3 networks, 12,345 units, 1 stimulus")  # fmt: skip
    assert f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" in text


@pytest.mark.process
@pytest.mark.slow
def test_a_browser_shows_and_sorts_it(text, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: install Debian's package chromium to have the page rendered")
    # What a user does who sorts by estimate, from the largest on, hides a column, and looks for a row.
    clicks = """<script>for (const i of [0, 1]) [...document.querySelectorAll("th button")]
        .find(button => button.textContent === "estimate").click();
        document.querySelector(".columns input[value='1']").click();
        const search = document.querySelector("input[type=search]"); search.value = "SHIFT ∞";
        search.dispatchEvent(new Event("input"));</script></body>"""
    page = tmp_path / "report.html"
    page.write_text(text.replace("</body>", clicks), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"]
    sizes = {}
    for width in (1280, 390):
        shot = tmp_path / f"{width}.png"
        shown = subprocess.run(
            [browser, *options, f"--window-size={width},900", f"--screenshot={shot}", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "CONSOLE" not in shown.stderr
        sizes[width] = shot.stat().st_size
    assert min(sizes.values()) > 10_000
    dom = subprocess.run(
        [browser, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    table = dom[dom.index("<h2>Statistics") : dom.index("<h2>Methods")]
    rows = re.findall(r"<tr(?: class=\"(\w*)\")?><td class=\"text\">(\w+)</td><td class=\"(.*?)\"", table)
    hidden = "number off"
    assert rows == [("", "shift", hidden), ("off", "gain", hidden), ("off", "index", hidden)]
    assert 'aria-sort="descending"' in table
