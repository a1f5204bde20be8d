"""Where a run is: which stimuli, which presentation of them, which phase, which time step."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Clock:
    """What hooks on a model ask for the time.

    A run announces (phase, step) before it computes the step. A presentation begins when the phase changes or the steps
    begin again.

    Attributes
    ----------
    positions
        (batch,) places in the stimulus set of the stimuli that the model looks at.
    n_stimuli
        Of the whole set.
    phases
        Phase of every presentation so far.
    phase, step
        As announced last.
    announcements, runs
        How many there were.
    running, paused
        Whether a run is under way, and whether what it computes is none of the hooks' business.
    """

    def __init__(self) -> None:
        self.positions: NDArray[np.int64] = np.zeros(0, np.int64)
        self.n_stimuli = 0
        self.phases: list[int] = []
        self.step = -1
        self.announcements = self.runs = 0
        self.running = self.paused = False

    @property
    def presentation(self) -> int:
        """Number of the presentation that goes on, from 0; -1 before the first announcement."""
        return len(self.phases) - 1

    @property
    def phase(self) -> int:
        """The phase announced last."""
        return self.phases[-1]

    @contextmanager
    def run(self, positions: NDArray[np.int64], n_stimuli: int) -> Iterator[None]:
        """Time a run of the stimuli at `positions` of `n_stimuli`."""
        self.positions, self.n_stimuli = positions, n_stimuli
        self.phases, self.step, self.running = [], -1, True
        self.runs += 1
        try:
            yield
        finally:
            self.running = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let the model compute what is neither recorded nor changed."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before

    def announce(self, phase: int, step: int) -> None:
        """Say which step is computed next.

        Raises
        ------
        ValueError
            If either is not a whole number from 0.
        """
        given = (phase, step)
        try:
            phase, step = operator.index(phase), operator.index(step)
        except TypeError:
            phase = -1
        if phase < 0 or step < 0:
            raise ValueError(f"a run must yield (phase, step), whole numbers from 0, got {given}; correct it")
        if not self.phases or phase != self.phase or step <= self.step:
            self.phases.append(phase)
        self.step = step
        self.announcements += 1


class Calls:
    """Tells the time step of each call of one module: a module called several times a pass takes several steps.

    Parameters
    ----------
    clock
        Of the run.
    variable
        For the error.
    """

    def __init__(self, clock: Clock, variable: str) -> None:
        self._clock, self._variable = clock, variable
        self._announcement = self._calls = 0

    def step(self) -> int:
        """Return the time step of the call that is going on: the announced one, later ones for further calls.

        Raises
        ------
        ValueError
            If the run has announced no step yet.
        """
        if not self._clock.phases:
            raise ValueError(
                f"a run must yield (phase, step) before it computes the step, got a value of {self._variable} before "
                "the first; move the yield up"
            )
        if self._clock.announcements != self._announcement:
            self._announcement, self._calls = self._clock.announcements, 0
        self._calls += 1
        return self._clock.step + self._calls - 1
