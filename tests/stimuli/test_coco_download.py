"""Downloading from servers that stand on this machine: some go on where a file stopped, some do not, some lie."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from stimulus_files import refused

from neuroattn.stimuli import bounded_download, coco_download
from neuroattn.stimuli.coco_download import ANNOTATIONS, CHECKSUMS, download

MEMBERS = {
    ANNOTATIONS: {
        "annotations/instances_val2017.json": b'{"images": []}' * 101,
        "annotations/instances_train2017.json": b'{"images": [1]}' * 101,
        "annotations/captions_val2017.json": b"{}",
    },
    "val2017.zip": {"val2017/": b"", "val2017/000000000139.jpg": bytes(range(256)) * 997, "val2017/2.jpg": b"2"},
    "train2017.zip": {"train2017/9.jpg": b"9"},
}
PATHS = {ANNOTATIONS: f"annotations/{ANNOTATIONS}", "val2017.zip": "zips/val2017.zip"}
FILES = ["annotations/instances_val2017.json", "val2017.complete", "val2017/000000000139.jpg", "val2017/2.jpg"]


class Ranges(SimpleHTTPRequestHandler):
    """A server that sends files from the byte that is asked for."""

    def log_message(self, *_):
        self.server.asked.append((self.path, self.headers["Range"]))

    def do_GET(self):
        content = (Path(self.directory) / self.path[1:]).read_bytes()
        first = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
        self.send_response(206 if first < len(content) else 416)
        part = content[first:]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """The folder of the servers; its archives' checksums are those that are looked for."""
    folder = tmp_path / "server"
    for name, members in MEMBERS.items():
        path = folder / PATHS.get(name, f"zips/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zipped(members))
        monkeypatch.setitem(CHECKSUMS, name, md5(path))
    return folder


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def serve(serve, archives):
    return lambda handler: serve(archives, handler)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def not_fetched(name, url, problem, kept="nothing was kept"):
    return refused(
        f"{name} could not be fetched from {url} ({problem}; {kept}); "
        "try again, or name a folder of your own with --images and --annotations",
        ConnectionError,
    )


@pytest.fixture
def goal(tmp_path):
    (tmp_path / "coco").mkdir()
    return tmp_path / "coco"


@pytest.mark.parametrize("handler", ["plain", Ranges])
def test_a_set_is_fetched_and_unpacked(tmp_path, serve, handler):
    server, url = serve(handler)
    goal = tmp_path / "new" / "coco"
    images, annotations = download("val2017", goal, url)
    assert (images, annotations) == (goal / "val2017", goal / "annotations" / "instances_val2017.json")
    assert files_in(goal) == FILES  # neither the archives nor what else is in them
    assert annotations.read_bytes() == MEMBERS[ANNOTATIONS]["annotations/instances_val2017.json"]
    for path in images.iterdir():
        assert path.read_bytes() == MEMBERS["val2017.zip"][f"val2017/{path.name}"]
    assert server.asked == [(f"/{path}", "bytes=0-") for path in PATHS.values()]
    download("val2017", goal, url)
    assert len(server.asked) == 2  # what is there is not fetched again
    assert download("train2017", goal, url)[0] == goal / "train2017"
    assert [path for path, _ in server.asked[2:]] == [f"/annotations/{ANNOTATIONS}", "/zips/train2017.zip"]


def test_what_is_missing_alone_is_fetched(tmp_path, serve):
    server, url = serve("plain")
    download("val2017", tmp_path / "coco", url)
    (tmp_path / "coco" / "val2017.complete").unlink()  # as after an interrupt while unpacking
    (tmp_path / "coco" / "val2017" / "2.jpg").unlink()
    download("val2017", tmp_path / "coco", url)
    assert [path for path, _ in server.asked[2:]] == ["/zips/val2017.zip"]
    assert files_in(tmp_path / "coco") == FILES


@pytest.mark.parametrize("cut", [0, 1, 1000, -1, None])
@pytest.mark.parametrize("handler", ["plain", Ranges])
def test_a_file_that_was_cut_off_goes_on_where_it_stopped(goal, serve, archives, handler, cut):
    server, url = serve(handler)
    there = (archives / PATHS["val2017.zip"]).read_bytes()[:cut]
    (goal / "val2017.zip.part").write_bytes(there)
    download("val2017", goal, url)
    assert server.asked[1] == ("/zips/val2017.zip", f"bytes={len(there)}-")
    assert files_in(goal) == FILES
    assert (goal / "val2017" / "000000000139.jpg").read_bytes() == bytes(range(256)) * 997


def test_what_has_come_before_the_connection_broke_is_kept(goal, serve, archives, monkeypatch):
    monkeypatch.setattr(bounded_download, "PIECE", 100)  # whole pieces are kept
    (_, broken), (server, url) = serve("cut short"), serve(Ranges)
    with not_fetched(ANNOTATIONS, broken, "no connection", "0 MiB are kept"):
        download("val2017", goal, broken)
    whole = (archives / PATHS[ANNOTATIONS]).read_bytes()
    kept = (goal / f"{ANNOTATIONS}.part").read_bytes()
    assert kept == whole[:1000]
    assert files_in(goal) == [f"{ANNOTATIONS}.part"]
    download("val2017", goal, url)
    assert server.asked[0] == (f"/annotations/{ANNOTATIONS}", "bytes=1000-")
    assert files_in(goal) == FILES


def test_a_redirection_is_followed_from_the_byte_where_it_stopped(goal, serve, archives):
    (server, url), (there, there_url) = serve("elsewhere"), serve(Ranges)
    server.elsewhere = there_url.rstrip("/")
    (goal / "val2017.zip.part").write_bytes((archives / PATHS["val2017.zip"]).read_bytes()[:1009])
    download("val2017", goal, url)
    assert there.asked[1] == ("/zips/val2017.zip", "bytes=1009-")
    assert files_in(goal) == FILES


@pytest.mark.parametrize(
    ("handler", "elsewhere", "problem"),
    [
        ("elsewhere", None, "redirected without end"),
        ("elsewhere", "file:///etc/passwd#", "redirected to something else than the web"),
        ("log-in", None, "a web page was sent"),
    ],
)
def test_what_has_come_is_kept_from_servers_that_send_something_else(goal, serve, handler, elsewhere, problem):
    server, url = serve(handler)
    server.elsewhere = url.rstrip("/") if elsewhere is None else elsewhere
    (goal / f"{ANNOTATIONS}.part").write_bytes(bytes(3 << 20))
    with not_fetched(ANNOTATIONS, url, problem, "3 MiB are kept"):
        download("val2017", goal, url)
    assert (goal / f"{ANNOTATIONS}.part").read_bytes() == bytes(3 << 20)


@pytest.mark.parametrize("handler", ["plain", Ranges])
def test_more_than_the_archive_has_is_not_fetched(tmp_path, serve, monkeypatch, archives, handler):
    _, url = serve(handler)
    monkeypatch.setitem(coco_download.SIZES, ANNOTATIONS, (archives / PATHS[ANNOTATIONS]).stat().st_size - 1)
    with not_fetched(ANNOTATIONS, url, "too long"):
        download("val2017", tmp_path / "coco", url)


def test_a_file_with_a_wrong_checksum_is_not_kept(goal, serve, archives):
    _, url = serve(Ranges)
    part = goal / f"{ANNOTATIONS}.part"
    part.write_bytes(b"something else")  # which the rest is put behind
    wrong = b"something else" + (archives / PATHS[ANNOTATIONS]).read_bytes()[14:]
    found = hashlib.md5(wrong, usedforsecurity=False).hexdigest()
    with refused(
        f"{ANNOTATIONS} from {url} has the MD5 {found}, not {CHECKSUMS[ANNOTATIONS]}; try again", ConnectionError
    ):
        download("val2017", goal, url)
    assert files_in(goal) == []
    download("val2017", goal, url)  # anew
    assert files_in(goal) == FILES


def test_an_archive_that_is_there_is_taken_if_it_is_right(goal, serve, archives):
    server, url = serve(Ranges)
    (goal / ANNOTATIONS).write_bytes((archives / PATHS[ANNOTATIONS]).read_bytes())
    (goal / "val2017.zip").write_bytes((archives / PATHS["val2017.zip"]).read_bytes()[:-9])  # put there by hand
    download("val2017", goal, url)
    assert server.asked == [("/zips/val2017.zip", "bytes=0-")]
    assert files_in(goal) == FILES


def test_a_server_without_the_file(goal, serve, archives):
    _, url = serve("plain")
    (archives / PATHS["val2017.zip"]).unlink()
    with not_fetched("val2017.zip", url, "HTTP 404"):
        download("val2017", goal, url)
    assert files_in(goal) == [FILES[0]]
    (goal / "val2017.zip.part").write_bytes(bytes(3 << 20))
    with not_fetched("val2017.zip", url, "HTTP 404", "3 MiB are kept"):
        download("val2017", goal, url)
    assert (goal / "val2017.zip.part").stat().st_size == 3 << 20


@pytest.mark.usefixtures("archives")
def test_no_server(tmp_path):
    gone = "http://127.0.0.1:9/"
    with not_fetched(ANNOTATIONS, gone, "no connection"):
        download("val2017", tmp_path / "coco", gone)


@pytest.mark.parametrize("name", ["../away.jpg", "val2017/../../away.jpg", "/tmp/neuroattn-away.jpg"])  # noqa: S108
def test_an_archive_keeps_to_its_folder(tmp_path, goal, serve, archives, monkeypatch, name):
    _, url = serve("plain")
    archive = archives / PATHS["val2017.zip"]
    archive.write_bytes(zipped({"val2017/1.jpg": b"1", name: b"away"}))
    monkeypatch.setitem(CHECKSUMS, "val2017.zip", md5(archive))
    with refused(f"archive must keep to its folder, got {name!r} in val2017.zip", ValueError):
        download("val2017", goal, url)
    assert not (goal / "val2017.complete").exists()
    assert not (tmp_path / "away.jpg").exists()
    assert not Path("/tmp/neuroattn-away.jpg").exists()  # noqa: S108


@pytest.mark.parametrize("which", ["test2017", "", "../val2017"])
def test_sets_that_are_refused(tmp_path, which):
    with refused(f"set must be one of val2017, train2017, got {which!r}", ValueError):
        download(which, tmp_path / "coco")
    assert not (tmp_path / "coco").exists()


def test_an_interrupt_while_unpacking_leaves_no_half_image(goal, serve, monkeypatch):
    server, url = serve(Ranges)
    real = coco_download.shutil.copyfileobj

    def interrupted(source, target):
        if source.name.endswith("139.jpg"):
            target.write(source.read(9))
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr("shutil.copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download("val2017", goal, url)
    monkeypatch.setattr("shutil.copyfileobj", real)
    assert not (goal / "val2017" / "000000000139.jpg").exists()
    download("val2017", goal, url)
    assert len(server.asked) == 2  # the archive had come
    assert files_in(goal) == FILES
