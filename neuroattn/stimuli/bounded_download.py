"""Writing what a server sends to a file, as long as it is no more than was expected: it may not be who was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattn.compute.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

    import requests

PIECE = 1 << 20


class UnexpectedError(ConnectionError):
    """A server sends something else; the text says what, in a few words.

    >>> problem(UnexpectedError("too long"))
    'too long'
    """


def save(answer: requests.Response, path: Path, *, most: int, there: int = 0) -> None:
    """Write what a server answers to a file, behind the bytes that are there; shows its progress.

    Parameters
    ----------
    answer
        That was asked for as a stream.
    path
        Of the file. What comes is kept, piece by piece.
    most
        Bytes that the whole file may have.
    there
        Bytes that the file has already, behind which the answer is written.

    Raises
    ------
    UnexpectedError
        If a web page is sent, as by a network that asks for a log-in, or more than `most`.
    requests.RequestException
        If the connection breaks.

    Examples
    --------
    >>> from io import BytesIO
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import requests
    >>> answer = requests.Response()
    >>> answer.raw, path = BytesIO(b"seven"), Path(mkdtemp(), "file")
    >>> save(answer, path, most=5)
    >>> path.read_bytes()
    b'seven'
    """
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise UnexpectedError("a web page was sent")
    length = answer.headers.get("Content-Length", "")
    total = int(length) + there if length.isdecimal() and len(length) < 20 else None
    if (total or 0) > most:
        raise UnexpectedError("too long")
    bar = progress(path.name, "B", total=total, initial=there, unit_scale=True)
    with path.open("ab" if there else "wb") as file, bar:
        for piece in answer.iter_content(PIECE):
            if file.tell() + len(piece) > most:
                raise UnexpectedError("too long")
            file.write(piece)
            bar.update(len(piece))


def problem(error: requests.RequestException | UnexpectedError) -> str:
    """Return what went wrong in a few words.

    >>> import requests
    >>> problem(requests.Timeout())
    'no answer in time'
    """
    import requests

    if isinstance(error, UnexpectedError):
        return str(error)
    if isinstance(error, requests.TooManyRedirects):
        return "redirected without end"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "redirected to something else than the web"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection" if error.response is None else f"HTTP {error.response.status_code}"
