"""Texts that a terminal, a report or a spreadsheet may show: short, and without control characters."""

from __future__ import annotations

import reprlib

LONGEST = 80  # characters of a value in an error


def printable(text: str) -> str:
    """Return a text with its control characters escaped, except line ends and tabs; a terminal would obey them."""
    if all(character.isprintable() or character in "\n\t" for character in text):
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1] for character in text
    )


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text on one line, without control characters, and without its middle where it is long."""
    if len(text) > 2 * most:
        text = text[:most] + text[-most:]
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most * 2 // 3]}…{line[-(most // 3) :]}"


def shown(value: object) -> str:
    """Return a value as errors show it: never long, however large it is."""
    try:
        return shortened(_SHORT.repr(value))
    except ValueError:  # Python writes no integer of thousands of digits
        return "a number of thousands of digits"


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, LONGEST, LONGEST, LONGEST
