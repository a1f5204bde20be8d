"""Units that no object drives take no part, though attention moves them."""

from __future__ import annotations

from numpy.testing import assert_allclose
from refused import refused

from neuroattn.subjects import planted
from neuroattn.subjects.planted.background import BACKGROUND, N_UNDRIVEN


def test_selection_excludes_what_no_object_drives(through):
    units = through("activity_scaling", planted.undriven_background()).units
    idle = units[units["channel"] < N_UNDRIVEN]
    assert len(idle) > 20
    assert set(idle["excluded_by"]) == {"not driven by its object"}
    assert_allclose(idle["ungated_with_object"], BACKGROUND, rtol=1e-6)
    through_cost = through("cost_and_benefit", planted.undriven_background())
    assert [finding.verdict for finding in through_cost.findings] == ["absent"] * 3
    # Not excluded, they would show an effect.
    everything = through_cost.units.assign(idle=through_cost.units["channel"] < N_UNDRIVEN)
    assert_allclose(everything.query("idle")["difference"], 0.2, rtol=1e-5)


def test_a_gain_that_is_none_is_refused():
    with refused("gain must be above 1, got 0.9"):
        planted.undriven_background(gain=0.9)
