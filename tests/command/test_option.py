"""Options that check themselves."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass

import pytest

from neuroattn.command.option import allowed, check_options, option, suggestion
from neuroattn.runs.plain_text import shown


@dataclass(frozen=True, kw_only=True)
class Config:
    between: float = option(0.5, "both ends", low=0, high=1)
    least: int = option(7, "one end", low=3)
    most: float = option(0.0, "the other", high=2.5)
    word: str = option("red", "a word", choices=("red", "blue"))
    words: tuple[str, ...] = option(("red",), "words", choices=("red", "blue"))
    numbers: tuple[float, ...] = option((0.0, 1.0), "numbers", unit="px", low=0, high=5)
    perhaps: float | None = option(None, "may be left out", low=1)
    free: str = option("", "anything")

    def __post_init__(self):
        check_options(self)


NAN = math.nan


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("between", 1.5, "between must be in [0, 1], got 1.5"),
        ("between", -1e-9, "between must be in [0, 1], got -1e-09"),
        pytest.param(
            "least", -(10**5000), "least must be at least 3, got a number of thousands of digits", id="digits"
        ),
        ("word", "x" * 1000, f"word must be one of red, blue, got {'x' * 53}…{'x' * 26}"),
        ("word", "a\x1b[1m\nb", "word must be one of red, blue, got a\\x1b[1m b"),
        ("between", NAN, "between must be in [0, 1], got nan"),
        ("least", 2, "least must be at least 3, got 2"),
        ("least", NAN, "least must be at least 3, got nan"),
        ("most", 2.6, "most must be at most 2.5, got 2.6"),
        ("most", NAN, "most must be at most 2.5, got nan"),
        ("word", "green", "word must be one of red, blue, got green"),
        ("words", ("blue", "green"), "words must be one of red, blue, got green"),
        ("numbers", (1.0, 7.0), "numbers must be in [0, 5], got 7.0"),
        ("numbers", (NAN,), "numbers must be in [0, 5], got nan"),
        ("perhaps", 0.5, "perhaps must be at least 1, got 0.5"),
    ],
)
def test_values_that_are_refused(name, value, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("between", 0),
        ("between", 1),
        ("least", 3),
        ("least", math.inf),
        ("most", 2.5),
        ("most", -math.inf),
        ("word", "blue"),
        ("words", ("blue", "red")),
        ("words", ()),
        ("numbers", (0, 5)),
        ("perhaps", 1),
        ("perhaps", None),
        ("free", "anything"),
    ],
)
def test_values_that_are_taken(name, value):
    assert getattr(Config(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("high", "text"), [(100_000, "at most 100000"), (2**32 - 1, "at most 4294967295"), (0.51, "at most 0.51")]
)
def test_limits_are_written_as_they_are_typed(high, text):
    config = dataclasses.make_dataclass("Config", [("number", float, option(1.0, "a number", high=high))])
    assert allowed(dataclasses.fields(config)[0]) == text


def test_what_is_allowed_in_words():
    words = {field.name: allowed(field) for field in dataclasses.fields(Config)}
    assert words == {
        "between": "in [0, 1]",
        "least": "at least 3",
        "most": "at most 2.5",
        "word": "one of red, blue",
        "words": "one of red, blue",
        "numbers": "in [0, 5]",
        "perhaps": "at least 1",
        "free": "",
    }


def test_what_an_option_says_of_itself():
    field = {field.name: field for field in dataclasses.fields(Config)}["numbers"]
    assert field.default == (0.0, 1.0)
    assert (field.metadata["description"], field.metadata["unit"]) == ("numbers", "px")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("red", "'red'"),
        ("\x1b[31m\u202e", r"'\x1b[31m\u202e'"),
        ([["x"] * 10**5], "[['x', 'x', 'x', 'x', 'x', 'x', ...]]"),
        pytest.param(10**5000, "a number of thousands of digits", id="digits"),
        (2**70, str(2**70)),
        (None, "None"),
    ],
)
def test_a_value_in_an_error_is_short(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("words", ""), ("n-stimuli", "; did you mean --n_stimuli?"), ("model", "; did you mean --models?"), ("x", "")],
)
def test_what_may_have_been_meant(name, text):
    assert suggestion(name, ["models", "n_stimuli", "n_control_stimuli"], "--") == text
