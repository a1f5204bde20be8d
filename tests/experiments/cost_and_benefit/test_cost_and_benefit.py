"""Cost and benefit: what was planted comes back, and the command does the rest."""

from __future__ import annotations

import pytest
import xarray as xr
from numpy.testing import assert_allclose

import neuroattn
from neuroattn.experiments.cost_and_benefit import protocol as cost_and_benefit
from neuroattn.subjects.planted.scaled import ScaledUnits, scaled_subject


@pytest.mark.parametrize(("gain", "verdicts"), [(1.5, ["supported", "absent"]), (1.0, ["absent", "absent"])])
def test_a_planted_gain_is_a_benefit_without_a_cost(gain, verdicts):
    config = cost_and_benefit.Config(n_stimuli=60, n_control_stimuli=40, controls=("intact",), n_resamples=100)
    subject = scaled_subject(ScaledUnits(1, 7, 4, left=11, right=28, gain=gain))
    shown = cost_and_benefit.PROTOCOL.stimuli(config, [subject])
    tree = cost_and_benefit.recording(config, subject.facing(shown.size), shown)
    tables = cost_and_benefit.PROTOCOL.analysis(config, xr.DataTree(children={"planted": tree}))
    measured = tables.units[tables.units["excluded_by"] == ""]
    assert len(measured) > 100
    assert_allclose(measured["benefit"], (gain - 1) / (gain + 1), atol=1e-6)
    assert_allclose(measured["attended_over_ungated"], gain, rtol=1e-5)
    assert_allclose(measured["cost"], 0, atol=1e-6)
    assert [finding.verdict for finding in tables.findings[:2]] == verdicts
    assert (tables.statistics.query("control == 'intact'")["layer"] == "response").all()


def test_without_a_driven_unit_nothing_is_claimed():
    config = cost_and_benefit.Config(n_stimuli=60, n_control_stimuli=40, controls=("none",), n_resamples=100, driven=9)
    subject = scaled_subject(ScaledUnits(1, 7, 4, left=11, right=28, gain=1.5))
    shown = cost_and_benefit.PROTOCOL.stimuli(config, [subject])
    tree = cost_and_benefit.recording(config, subject.facing(shown.size), shown)
    tables = cost_and_benefit.PROTOCOL.analysis(config, xr.DataTree(children={"planted": tree}))
    assert tables.findings == ()
    number = len(tables.units)
    assert tables.text[-1] == f"  response: no unit takes part ({number:,} not driven by its object)"


@pytest.mark.slow
def test_a_network_from_the_command_to_the_figure(tmp_path):
    run = neuroattn.run("cost_and_benefit", out=tmp_path / "run", n_stimuli=60, n_control_stimuli=20, n_resamples=100)
    means = run.statistics.query("model == '' and layer == 'stage1/response'").set_index(["control", "what"])
    for check in ("zero_strength", "one_step"):  # attention cannot act
        none = ["benefit", "cost", "difference", "benefit_first_phase", "cost_first_phase"]
        assert_allclose(means.loc[check, "estimate"][none], 0, atol=1e-6)
    assert "first phase, no mask, between pictures" in {finding.condition for finding in run.findings}
    assert (tmp_path / "run" / "report.html").is_file()
    assert len(run.figure().axes) == 2
