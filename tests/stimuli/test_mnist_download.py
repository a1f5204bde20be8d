"""Downloading from mirrors that stand on this machine: some work, some do not, some lie."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
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


def test_the_second_mirror_is_asked_after_the_first(monkeypatch, tmp_path, serve, good, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    (first, first_url), (second, second_url) = serve(empty), serve(good)
    use(monkeypatch, first_url, second_url)
    goal = tmp_path / "new" / "cache"
    assert download(goal) == goal
    assert {path.name: gzip.decompress(path.read_bytes()) for path in goal.iterdir()} == CONTENTS
    assert sum(path.endswith(".gz") for path in second.asked) == 4
    assert len(first.asked) >= 4
    assert "100%" in capsys.readouterr().err


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


def test_checksums_are_those_of_the_original_files(monkeypatch, mnist):
    monkeypatch.undo()
    for name, checksum in CHECKSUMS.items():
        assert hashlib.sha256(gzip.decompress((mnist / name).read_bytes())).hexdigest() == checksum
    assert download(mnist) == mnist
