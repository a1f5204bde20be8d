"""The explorer in a notebook: blocks on demand, rows back, and the page itself in what nbconvert makes."""

from __future__ import annotations

import html
import re
import sys

import numpy as np
import pytest

import neuroattn
from neuroattn.explorer import widget
from neuroattn.explorer.contents import contents

from .conftest import TUNED


class OfRun:
    """What a run is to the explorer."""

    def __init__(self, made):
        self.browsed = lambda: made


@pytest.fixture
def made(units, recording):
    return contents("Title <b>", units, recording, TUNED)


@pytest.fixture
def shown(monkeypatch):
    """What a cell displays, in order, as (data, metadata)."""
    pytest.importorskip("anywidget")
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata=None, **_: outputs.append((data, metadata)))
    return outputs


def test_a_widget_gives_the_blocks_that_it_is_asked_for_and_no_others(made, shown, monkeypatch):
    explorer = neuroattn.explore(OfRun(made))
    sent = []
    monkeypatch.setattr(type(explorer), "send", lambda _self, content, buffers: sent.append((content, buffers)))
    name = made.head["groups"][0]["blocks"][0]
    for message in ({"name": name}, {"name": "not there"}, "nonsense"):
        explorer._handle_custom_msg(message, [])
    assert sent == [({"name": name}, [made.blocks[name]])]
    assert explorer.head == made.head
    assert explorer.units is made.units
    assert explorer.rows is None


def test_a_cell_holds_the_page_itself_too(made, shown):
    explorer = neuroattn.explore(OfRun(made))
    explorer._ipython_display_()
    (baked, _), (live, _) = shown
    inner = html.unescape(re.search(r'srcdoc="([^"]*)"', baked["text/html"])[1])
    assert inner.startswith("<!doctype html>")
    assert inner.count('id="block-') == len(made.blocks)
    assert f'data-explorer="{explorer.baked}"' in baked["text/html"]
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id


def test_what_nbconvert_makes_is_not_blank(made, shown):
    nbformat = pytest.importorskip("nbformat.v4")
    exporter = pytest.importorskip("nbconvert").HTMLExporter()
    neuroattn.explore(OfRun(made))._ipython_display_()
    outputs = [nbformat.new_output("display_data", data, metadata=metadata or {}) for data, metadata in shown]
    text, _ = exporter.from_notebook_node(
        nbformat.new_notebook(cells=[nbformat.new_code_cell("explore", outputs=outputs)])
    )
    assert text.count("<iframe") == 1
    assert "Title &amp;lt;b&amp;gt;" in text  # the title of the page in the frame, escaped for either


def test_a_recording_is_explored_by_its_coordinates(shown):
    images = np.random.default_rng(0).random((4, 1, 28, 42), np.float32)
    stimuli = neuroattn.StimulusSet(images)
    tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage2/response"], steps=[3, 4])
    explorer = neuroattn.explore(tree, stimuli=stimuli)
    (group,) = explorer.head["groups"]
    assert (group["count"], group["steps"], group["ranks"], group["field"]) == (50 * 9 * 16, (3, 4), 8, True)
    assert group["pictures"]["ids"] == [0, 1, 2, 3]
    last = tree["stage2/response"]["activation"].values[:, -1]
    of_phase = [last[phase::2].mean(0) for phase in (0, 1)]
    assert group["states"] == ("phase 0", "phase 1")
    np.testing.assert_allclose(explorer.units["mean_response"], np.mean(of_phase, 0), rtol=1e-5)
    index = (of_phase[0] - of_phase[1]) / np.where(last.sum(0) > 0, sum(of_phase), np.nan)
    np.testing.assert_allclose(explorer.units["phase_index"], index, rtol=1e-3, atol=1e-6)


def test_without_its_library_one_line_says_what_to_do(made, monkeypatch):
    widget.widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    error = (
        'anywidget must be installed to explore in a notebook; pip install "neuroattn[explore]", or open the run\'s '
        "explorer.html"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        neuroattn.explore(OfRun(made))
    widget.widget_class.cache_clear()


def test_what_is_neither_a_run_nor_a_recording_is_refused(shown):
    with pytest.raises(ValueError, match=r"^explore must be given a run or a recording, got 'runs/x'$"):
        neuroattn.explore("runs/x")


def test_a_recording_of_no_units_is_refused(recording, shown):
    counts = recording.map_over_datasets(lambda one: one[["count"]] if "count" in one else one)
    error = "recording must hold responses of units, got none; pass what neuroattn.record returns"
    with pytest.raises(ValueError, match=f"^{error}$"):
        neuroattn.explore(counts)
