"""The page of the explorer: one HTML file that asks nothing of any network."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuroattn.explorer.contents import Contents

HERE = Path(__file__).parent
SCRIPT, STYLE, _TEMPLATE = HERE / "explorer.js", HERE / "explorer.css", "explorer.html.j2"


def page(contents: Contents, links: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    contents
        What it shows.
    links
        (address, words) of pages to link to.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    head = as_json({**contents.head, "links": links})
    blocks = [(name, base64.b64encode(block).decode("ascii")) for name, block in contents.blocks.items()]
    return environment.get_template(_TEMPLATE).render(
        title=contents.head["title"],
        style=Markup(STYLE.read_text(encoding="utf-8")),  # noqa: S704 -- a file of ours
        script=Markup(SCRIPT.read_text(encoding="utf-8")),  # noqa: S704 -- a file of ours
        head=Markup(head),  # noqa: S704 -- without <, >, &
        blocks=blocks,
    )


def as_json(value: object) -> str:
    """Return JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
