"""Fetching MNIST from its mirrors."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zlib
from pathlib import Path

from neuroattn.runs.local_path import local_path
from neuroattn.stimuli.bounded_download import PIECE, UnexpectedError, problem, save

MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Addresses that the files' names are appended to, tried in this order."""

# SHA-256 of the files *unpacked*: mirrors and users pack anew, and the pixels are what must be right.
CHECKSUMS: dict[str, str] = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# Bytes of the files unpacked, a header of 4 and of 4 for each dimension before the pixels or labels.
SIZES = {
    "train-images-idx3-ubyte.gz": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte.gz": 8 + 60_000,
    "t10k-images-idx3-ubyte.gz": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte.gz": 8 + 10_000,
}

_SECONDS = 30.0  # without an answer


def download(folder: str | Path | None = None) -> Path:
    """Fetch the four files of MNIST that are not in `folder` yet, and return the folder.

    Every file is checked by the SHA-256 of its unpacked content. A file appears in the folder only when it is complete
    and right; one that is there and wrong is replaced. Progress is shown on standard error.

    Parameters
    ----------
    folder
        Where to keep the files (11.6 MB); None: the user's cache folder of this package. It is made if need be.

    Raises
    ------
    ConnectionError
        If no mirror gives a file; the text says what each of them answered.

    Examples
    --------
    >>> download("mnist")  # doctest: +SKIP
    PosixPath('mnist')
    """
    import pooch

    folder = local_path("folder", pooch.os_cache("neuroattn") if folder is None else folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, checksum in CHECKSUMS.items():
        if not (folder / name).is_file() or _content_sha256(folder / name) != checksum:
            _fetch(name, checksum, folder)
    return folder


def _fetch(name: str, checksum: str, folder: Path) -> None:
    answers = []
    # A folder beside the goal: moving within one file system cannot be interrupted halfway.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as waiting:
        fetched = Path(waiting) / name
        for mirror in MIRRORS:
            problem = _problem_of(mirror + name, fetched, checksum)
            if problem is None:
                fetched.replace(folder / name)
                return
            answers.append(f"{mirror} ({problem})")
    raise ConnectionError(
        f"{name} could not be downloaded from {', '.join(answers)}; use the embedded digits, "
        f"or put MNIST's four IDX files into a folder and name it with --data FOLDER"
    )


def _problem_of(url: str, goal: Path, checksum: str) -> str | None:
    """Fetch `url` into `goal`; return what went wrong in a few words, or None."""
    import requests

    most = SIZES[goal.name] + PIECE  # packing makes no file longer by so much
    try:
        with requests.get(url, stream=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            save(answer, goal, most=most)
    except (requests.RequestException, UnexpectedError) as error:
        return problem(error)
    return None if _content_sha256(goal) == checksum else "wrong content"


def _content_sha256(path: Path) -> str | None:
    """Return the SHA-256 of what a gzipped file holds, or None if it cannot be unpacked or is too long."""
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                n_bytes += len(piece)
                if n_bytes > SIZES[path.name]:
                    return None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None
    return digest.hexdigest()
