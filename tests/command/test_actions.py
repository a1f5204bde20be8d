"""Commands that do one of several things."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from neuroattn.command.actions import Action, Names, run_action
from neuroattn.command.groups import Seed


@dataclass(frozen=True, kw_only=True)
class Config(Seed):
    """Options of an action."""


DONE = []


def interrupt(config, thing):
    DONE.append((config.seed, thing))
    raise KeyboardInterrupt


ACTIONS = {
    "plain": Action(config=Config, description="Do it.", run=lambda config, names: DONE.append((config.seed, names))),
    "one": Action(
        config=Config,
        description="Do it to a thing.",
        usage="THING [options]",
        prepare=lambda _, names: names[0].upper(),
        run=interrupt,
        interrupted=lambda config, thing: f"{thing} and {config.seed} are kept",
        names=Names("THING", "a thing", "stone"),
    ),
    "all": Action(
        config=Config,
        description="Do it to things.",
        run=lambda config, names: DONE.append((config.seed, names)),
        names=Names("THING...", "at least one thing", "stone"),
    ),
}


@pytest.fixture
def run(capsys):
    def run(*argv, actions=ACTIONS):
        DONE.clear()
        with pytest.raises(SystemExit) as left:
            run_action("python -m test", "what to do", actions, list(argv))
        return left.value.code, *capsys.readouterr()

    return run


USAGE = """usage: python -m test plain [options]
       python -m test one THING [options]
       python -m test all [options]

  plain  Do it.
  one    Do it to a thing.
  all    Do it to things.

Each has --help.
"""


def test_usage(run):
    assert run() == (2, USAGE, "")
    assert run("--help") == run("-h") == (0, USAGE, "")
    assert run("-h", actions={"plain": ACTIONS["plain"]})[1].endswith("\n\nSee python -m test plain --help.\n")


@pytest.mark.parametrize(
    ("argv", "done"),
    [
        (["plain"], (0, [])),
        (["plain", "--seed", "3"], (3, [])),
        (["all", "a", "b", "--seed", "3"], (3, ["a", "b"])),
    ],
)
def test_an_action_is_done_with_its_options_and_names(run, argv, done):
    assert run(*argv) == (0, "", "")
    assert [done] == DONE


def test_what_is_prepared_is_given_to_both(run):
    assert run("one", "stone", "--seed", "3") == (130, "", "interrupted: STONE and 3 are kept\n")
    assert DONE == [(3, "STONE")]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["other"], "what to do must be plain, one or all, got 'other'"),
        (["plain", "a"], "unrecognized arguments: a (see --help)"),
        (["one"], "a thing must be named, as in python -m test one stone"),
        (["one", "--seed", "3"], "a thing must be named, as in python -m test one stone"),
        (["one", "a", "b"], "unrecognized arguments: b (see --help)"),
        (["all", "--seed", "-1"], "seed must be in [0, 4294967295], got -1"),
    ],
)
def test_what_a_user_gets_wrong(run, argv, text):
    assert run(*argv) == (2, "", f"error: {text}\n")
    assert DONE == []


def test_help_names_what_stands_before_the_options(run):
    status, text, err = run("one", "--help")
    assert (status, err) == (0, "")
    assert text.startswith("usage: python -m test one THING [")
