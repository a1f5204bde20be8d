"""The time that hooks are told: against the announcements counted out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from refused import refused

from neuroattn.subjects.clock import Calls, Clock

quick = settings(deadline=None, max_examples=60)
FIVE = np.arange(5)
times = st.tuples(st.integers(0, 2), st.integers(0, 3))


@quick
@given(st.lists(times, min_size=1, max_size=17))
def test_a_presentation_begins_with_another_phase_or_when_the_steps_begin_again(announced):
    clock = Clock()
    cuts = [0] + [
        number
        for number in range(1, len(announced))
        if announced[number][0] != announced[number - 1][0] or announced[number][1] <= announced[number - 1][1]
    ]
    with clock.run(FIVE, 7):
        assert clock.presentation == -1
        for number, (phase, step) in enumerate(announced):
            clock.announce(phase, step)
            assert (clock.phase, clock.step) == (phase, step)
            assert clock.presentation == sum(cut <= number for cut in cuts) - 1
        assert clock.phases == [announced[cut][0] for cut in cuts]
        assert clock.announcements == len(announced)


def test_two_cues_are_two_presentations_of_phase_0_even_of_a_single_step():
    clock = Clock()
    with clock.run(FIVE, 7):
        clock.announce(0, 0)
        clock.announce(0, 0)
        assert clock.phases == [0, 0]


def test_numbers_of_any_kind_are_whole_numbers():
    clock = Clock()
    with clock.run(FIVE, 7):
        clock.announce(np.int64(1), np.uint8(3))
        assert (clock.phase, clock.step) == (1, 3)
        assert {type(clock.phase), type(clock.step)} == {int}


@pytest.mark.parametrize(
    "given",
    [(-1, 2), (0, -1), pytest.param((0, 1.5), id="half"), ("a", 0), (2.0, 3), (None, None), (0, "b")],
)
def test_what_is_no_time_is_refused_as_it_was_given(given):
    clock = Clock()
    with (
        clock.run(FIVE, 7),
        refused(f"a run must yield (phase, step), whole numbers from 0, got {given}; correct it"),
    ):
        clock.announce(*given)


def test_a_run_knows_its_stimuli_and_begins_from_nothing():
    clock = Clock()
    assert not clock.running
    with clock.run(np.array([2, 3]), 7):
        assert clock.running
        assert_array_equal(clock.positions, [2, 3])
        assert clock.n_stimuli == 7
        clock.announce(1, 3)
    assert not clock.running
    with clock.run(np.array([4]), 11):
        assert (clock.presentation, clock.phases, clock.step, clock.runs) == (-1, [], -1, 2)
        assert_array_equal(clock.positions, [4])
        assert clock.n_stimuli == 11


def test_a_run_that_fails_is_over():
    clock = Clock()
    block = clock.run(FIVE, 7)
    with pytest.raises(KeyError, match="lost"), block:
        raise KeyError("lost")
    assert not clock.running


def test_a_pause_within_a_pause_ends_with_the_outer_one():
    clock = Clock()
    with clock.pause():
        with clock.pause():
            assert clock.paused
        assert clock.paused
        inner = clock.pause()
        with pytest.raises(KeyError, match="lost"), inner:
            raise KeyError("lost")
        assert clock.paused
    assert not clock.paused


@quick
@given(st.lists(st.tuples(times, st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=11))
def test_further_calls_take_further_steps_each_module_for_itself(script):
    clock = Clock()
    one, other = Calls(clock, "one"), Calls(clock, "other")
    with clock.run(FIVE, 7):
        for (phase, step), calls_of_one, calls_of_other in script:
            clock.announce(phase, step)
            found = [one.step() for _ in range(calls_of_one)], [other.step() for _ in range(calls_of_other)]
            assert found == (
                list(range(step, step + calls_of_one)),
                list(range(step, step + calls_of_other)),
            )


def test_calls_go_on_in_a_second_run():
    clock = Clock()
    calls = Calls(clock, "block")
    for _ in range(2):
        with clock.run(FIVE, 7):
            clock.announce(0, 2)
            assert [calls.step(), calls.step()] == [2, 3]


@pytest.mark.parametrize("earlier_runs", [0, 1])
def test_a_call_before_the_first_announcement(earlier_runs):
    clock = Clock()
    calls = Calls(clock, "V1/response")
    for _ in range(earlier_runs):
        with clock.run(FIVE, 7):
            clock.announce(0, 0)
            calls.step()
    text = (
        "a run must yield (phase, step) before it computes the step, got a value of V1/response before the first; "
        "move the yield up"
    )
    with clock.run(FIVE, 7), refused(text):
        calls.step()
