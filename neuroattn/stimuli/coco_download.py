"""Fetching COCO 2017 from its servers."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

from neuroattn.compute.progress import progress
from neuroattn.stimuli.bounded_download import UnexpectedError, problem, save

SERVER = "http://images.cocodataset.org/"
SETS = ("val2017", "train2017")
ANNOTATIONS = "annotations_trainval2017.zip"

# MD5, which is what COCO's users check its archives by.
CHECKSUMS: dict[str, str] = {
    "val2017.zip": "442b8da7639aecaf257c1dceb8ba8c80",
    "train2017.zip": "cced6f7f71b7629ddf16f17bbcfab6b2",
    ANNOTATIONS: "f4bbac642086de4f52a3fdda2de5fa2c",
}

SIZES = {"val2017.zip": 815_585_330, "train2017.zip": 19_336_861_798, ANNOTATIONS: 252_907_541}  # bytes

_SECONDS = 60.0  # without an answer


def download(which: str, folder: Path, server: str = SERVER) -> tuple[Path, Path]:
    """Fetch and unpack the images and the instance annotations of a set; shows its progress.

    An archive that was cut off goes on where it stopped; one whose checksum is wrong is fetched anew. Archives are
    removed once they are unpacked.

    Parameters
    ----------
    which
        One of `SETS`.
    folder
        Where to; it is made if need be.
    server
        Address that COCO's paths are appended to.

    Returns
    -------
    images, annotations : Path
        The folder of the images and the annotation file.

    Raises
    ------
    ValueError
        If there is no such set.
    ConnectionError
        If the server does not give a file; what has come is kept.

    Examples
    --------
    >>> download("val2017", Path("coco"))  # doctest: +SKIP
    (PosixPath('coco/val2017'), PosixPath('coco/annotations/instances_val2017.json'))
    """
    if which not in SETS:
        raise ValueError(f"set must be one of {', '.join(SETS)}, got {which!r}")
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = folder / which, folder / "annotations" / f"instances_{which}.json"
    if not annotations.is_file():
        archive = _archive(f"annotations/{ANNOTATIONS}", folder, server)
        _unpack(archive, [f"annotations/{annotations.name}"], folder)
        archive.unlink()
    whole = folder / f"{which}.complete"
    if not whole.is_file():
        archive = _archive(f"zips/{which}.zip", folder, server)
        with zipfile.ZipFile(archive) as opened:
            _unpack(archive, [name for name in opened.namelist() if name.endswith(".jpg")], folder)
        whole.touch()
        archive.unlink()
    return images, annotations


def _archive(path: str, folder: Path, server: str) -> Path:
    """Fetch a file, going on where an earlier try stopped, and check it."""
    import requests

    name = Path(path).name
    goal, part = folder / name, folder / f"{name}.part"
    if goal.is_file() and _md5(goal) == CHECKSUMS[name]:
        return goal
    there = part.stat().st_size if part.is_file() else 0
    try:
        answer = requests.get(server + path, headers={"Range": f"bytes={there}-"}, stream=True, timeout=_SECONDS)
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # that is: all of it has come
            answer.raise_for_status()
            on = answer.status_code == requests.codes.partial_content  # a server may send the whole file all the same
            save(answer, part, most=SIZES[name], there=there if on else 0)
    except (requests.RequestException, UnexpectedError) as error:
        kept = f"{part.stat().st_size / 2**20:.0f} MiB are kept" if part.is_file() else "nothing was kept"
        raise ConnectionError(
            f"{name} could not be fetched from {server} ({problem(error)}; {kept}); "
            "try again, or name a folder of your own with --images and --annotations"
        ) from error
    found = _md5(part)
    if found != CHECKSUMS[name]:
        part.unlink()
        raise ConnectionError(f"{name} from {server} has the MD5 {found}, not {CHECKSUMS[name]}; try again")
    part.replace(goal)
    return goal


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _unpack(archive: Path, names: list[str], folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in progress(f"unpacking {archive.name}", "file", names):
            goal = folder / name
            if not goal.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"archive must keep to its folder, got {name!r} in {archive.name}")
            goal.parent.mkdir(parents=True, exist_ok=True)
            part = goal.with_name(f"{goal.name}.part")
            with opened.open(name) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
            part.replace(goal)
