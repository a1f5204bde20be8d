"""The explorer in a notebook: the page's own module as a widget, and the page itself where there is no kernel."""

from __future__ import annotations

import html
import importlib
import secrets
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from neuroattn.explorer.contents import Contents, Shown, contents
from neuroattn.explorer.page import SCRIPT, STYLE, page
from neuroattn.explorer.view import View

if TYPE_CHECKING:
    import xarray as xr

    from neuroattn.stimuli.stimulus_set import StimulusSet

_FRAME = (
    '<div data-explorer="{}"><iframe title="{}" srcdoc="{}" style="width:100%;height:56rem;border:1px solid #bbb">'
    "</iframe></div>"
)


@runtime_checkable
class Browsable(Protocol):
    """A run, which knows its protocol's units and stimuli."""

    def browsed(self) -> Contents:
        """Return what the explorer shows of it."""


def explore(of: Browsable | xr.DataTree, *, stimuli: StimulusSet | None = None) -> Any:
    """Return the unit explorer of a run or a recording, to be shown in a notebook.

    The cell's output also holds the page itself, so that it can be seen where no kernel runs: in a notebook that was
    saved and opened again, and in the HTML that nbconvert makes.

    Parameters
    ----------
    of
        A run (`neuroattn.run`, `neuroattn.open_run`), or what `neuroattn.record` returns.
    stimuli
        What was shown, of a recording; a run knows.

    Returns
    -------
    anywidget.AnyWidget
        With `units`, the table of which it shows the rows; its `rows` are those that filter and brush leave, None if
        that is all of them.

    Raises
    ------
    ValueError
        If anywidget is not installed, or there are no units.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((3, 1, 28, 42), np.float32))
    >>> tree = neuroattn.record(neuroattn.load_model("digits-0"), stimuli, ["stage2/response"])
    >>> explore(tree, stimuli=stimuli).units.shape
    (7200, 9)
    """
    kind = widget_class()  # before the work
    return kind(of.browsed() if isinstance(of, Browsable) else _of_recording(of, stimuli))


def _of_recording(recording: xr.DataTree, stimuli: StimulusSet | None) -> Contents:
    import xarray as xr

    from neuroattn.explorer.recorded import recorded_fields, recorded_units
    from neuroattn.runs.plain_text import shown

    if not isinstance(recording, xr.DataTree):
        raise ValueError(f"explore must be given a run or a recording, got {shown(recording)}")
    reason = "a recording does not hold them; pass stimuli to explore"
    of = Shown(stimuli=stimuli, reason=reason, fields=partial(recorded_fields, recording))
    return contents("Recording explorer", recorded_units(recording, View()), recording, shown=of)


@cache
def widget_class() -> Any:
    """Return the class of the widget, which anywidget has to be there for."""
    try:
        anywidget: Any = importlib.import_module("anywidget")
    except ModuleNotFoundError as error:
        if error.name != "anywidget":
            raise
        raise ValueError(
            'anywidget must be installed to explore in a notebook; pip install "neuroattn[explore]", or open the '
            "run's explorer.html"
        ) from None
    traitlets: Any = importlib.import_module("traitlets")

    def begin(self: Any, made: Contents) -> None:
        self.made, self.units = made, made.units
        super(type(self), self).__init__(head=made.head, baked=secrets.token_hex(8))
        self.on_msg(lambda _widget, message, _buffers: give(self, message))

    def give(self: Any, message: Any) -> None:
        name = message.get("name") if isinstance(message, dict) else None
        if name in self.made.blocks:
            self.send({"name": name}, [self.made.blocks[name]])

    def display(self: Any, **_options: Any) -> None:
        shown: Any = importlib.import_module("IPython.display").display
        title = html.escape(self.head["title"])
        framed = _FRAME.format(self.baked, title, html.escape(page(self.made)))
        shown({"text/html": framed, "text/plain": self.head["title"]}, raw=True)
        data, metadata = self._repr_mimebundle_()
        shown(data, metadata=metadata, raw=True)

    body = {
        "__init__": begin,
        "_ipython_display_": display,
        "_esm": SCRIPT.read_text(encoding="utf-8"),
        "_css": STYLE.read_text(encoding="utf-8"),
        "head": traitlets.Dict().tag(sync=True),
        "baked": traitlets.Unicode().tag(sync=True),
        "rows": traitlets.List(allow_none=True, default_value=None).tag(sync=True),
    }
    return type("Explorer", (anywidget.AnyWidget,), body)
