"""Downloading from mirrors that stand on this machine: some work, some do not, some lie."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import threading
import tracemalloc
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from neuroattn.stimuli import mnist_download
from neuroattn.stimuli.mnist_download import CHECKSUMS, download

CONTENTS = {name: f"content of {name}".encode() * 97 for name in CHECKSUMS}


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.asked.append(self.path)


class CutShort(Handler):
    def do_GET(self):
        self.log_message()
        self.send_response(200)
        self.send_header("Content-Length", "1009")
        self.end_headers()
        self.wfile.write(bytes(101))


class Elsewhere(Handler):
    """A server that sends everyone to another address."""

    def do_GET(self):
        self.log_message()
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


class LogIn(Handler):
    """A network that answers for everyone, with a page of its own."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<html>")


class Endless(Handler):
    """A server that never stops."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(1 << 20))


@pytest.fixture
def serve():
    servers = []

    def start(folder, handler=Handler):
        server = HTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server, f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def good(tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(gzip.compress(content))
    return folder


@pytest.fixture(autouse=True)
def checksums(monkeypatch):
    for name, content in CONTENTS.items():
        monkeypatch.setitem(mnist_download.CHECKSUMS, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def use(monkeypatch, *mirrors):
    monkeypatch.setattr(mnist_download, "MIRRORS", mirrors)


def message(name, *answers):
    return (
        f"{name} could not be downloaded from {', '.join(answers)}; use the embedded digits, "
        f"or put MNIST's four IDX files into a folder and name it with --data FOLDER"
    )


def test_the_second_mirror_is_asked_after_the_first(monkeypatch, tmp_path, serve, good):
    empty = tmp_path / "empty"
    empty.mkdir()
    (first, first_url), (second, second_url) = serve(empty), serve(good)
    use(monkeypatch, first_url, second_url)
    goal = tmp_path / "new" / "cache"
    assert download(goal) == goal
    assert {path.name: gzip.decompress(path.read_bytes()) for path in goal.iterdir()} == CONTENTS
    assert sum(path.endswith(".gz") for path in second.asked) == 4
    assert len(first.asked) >= 4


def test_what_is_there_and_right_is_not_fetched_again(monkeypatch, tmp_path, serve, good):
    server, url = serve(good)
    use(monkeypatch, url)
    # Packed otherwise than on the mirror: the pixels count, not the packing.
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(gzip.compress(content, compresslevel=1, mtime=7))
    broken = tmp_path / "t10k-labels-idx1-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:-3])  # only the stream's own check is cut, none of the content
    download(tmp_path)
    assert len(server.asked) == 1
    assert gzip.decompress(broken.read_bytes()) == CONTENTS[broken.name]


def test_wrong_content_is_not_kept(monkeypatch, tmp_path, serve, good):
    name = "train-images-idx3-ubyte.gz"
    (good / name).write_bytes(gzip.compress(b"something else"))
    _, url = serve(good)
    _, cut_url = serve(good, CutShort)
    use(monkeypatch, url, cut_url)
    goal = tmp_path / "cache"
    answers = f"{url} (wrong content)", f"{cut_url} (no connection)"
    with pytest.raises(ConnectionError, match=f"^{re.escape(message(name, *answers))}$"):
        download(goal)
    assert list(goal.iterdir()) == []


def test_a_redirection_is_followed_and_what_it_leads_to_is_checked(monkeypatch, tmp_path, serve, good):
    (server, url), (there, there_url) = serve(good, Elsewhere), serve(good)
    server.elsewhere = there_url.rstrip("/")
    use(monkeypatch, url)
    goal = tmp_path / "cache"
    download(goal)
    assert {path.name: gzip.decompress(path.read_bytes()) for path in goal.iterdir()} == CONTENTS
    assert len(there.asked) == 4


@pytest.mark.parametrize(
    ("elsewhere", "problem"),
    [
        (None, "redirected without end"),
        ("file:///etc/passwd#", "redirected to something else than the web"),
        ("http://127.0.0.1:9", "no connection"),
    ],
)
def test_redirections_that_lead_nowhere(monkeypatch, tmp_path, serve, good, elsewhere, problem):
    server, url = serve(good, Elsewhere)
    server.elsewhere = url.rstrip("/") if elsewhere is None else elsewhere
    use(monkeypatch, url)
    text = message("train-images-idx3-ubyte.gz", f"{url} ({problem})")
    with pytest.raises(ConnectionError, match=f"^{re.escape(text)}$"):
        download(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("handler", "problem"), [(LogIn, "a web page was sent"), (Endless, "too long")])
def test_servers_that_send_something_else(monkeypatch, tmp_path, serve, good, handler, problem):
    _, url = serve(good, handler)
    use(monkeypatch, url)
    monkeypatch.setitem(mnist_download.SIZES, "train-images-idx3-ubyte.gz", 3 << 20)
    text = message("train-images-idx3-ubyte.gz", f"{url} ({problem})")
    with pytest.raises(ConnectionError, match=f"^{re.escape(text)}$"):
        download(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_unpacks_without_end_is_not_unpacked(monkeypatch, tmp_path, serve, good):
    name = "train-images-idx3-ubyte.gz"
    _, url = serve(good)
    use(monkeypatch, url)
    monkeypatch.setitem(mnist_download.SIZES, name, 1 << 20)
    (tmp_path / name).write_bytes(gzip.compress(bytes(64 << 20)))  # is taken for a wrong one, and replaced
    tracemalloc.start()
    download(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert gzip.decompress((tmp_path / name).read_bytes()) == CONTENTS[name]


def test_offline(monkeypatch, tmp_path, serve, good):
    _, url = serve(good)
    gone = "http://127.0.0.1:9/"
    use(monkeypatch, gone, url)
    (good / "train-labels-idx1-ubyte.gz").unlink()
    goal = tmp_path / "cache"
    text = message("train-labels-idx1-ubyte.gz", f"{gone} (no connection)", f"{url} (HTTP 404)")
    with pytest.raises(ConnectionError, match=f"^{re.escape(text)}$"):
        download(goal)
    assert [path.name for path in goal.iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_the_cache_folder_is_the_default(monkeypatch, tmp_path, serve, good):
    _, url = serve(good)
    use(monkeypatch, url)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "caches" / project)
    assert download() == tmp_path / "caches" / "neuroattn"


def test_checksums_and_sizes_are_those_of_the_original_files(monkeypatch, mnist):
    monkeypatch.undo()
    for name, checksum in CHECKSUMS.items():
        content = gzip.decompress((mnist / name).read_bytes())
        assert hashlib.sha256(content).hexdigest() == checksum
        assert len(content) == mnist_download.SIZES[name]
    assert download(mnist) == mnist
