"""Downloading from mirrors that stand on this machine: some work, some do not, some lie."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc

import pytest
from stimulus_files import refused

from neuroattn.stimuli import mnist_download
from neuroattn.stimuli.mnist_download import CHECKSUMS, download

CONTENTS = {name: f"content of {name}".encode() * 97 for name in CHECKSUMS}


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


def use(monkeypatch, *mirrors):
    monkeypatch.setattr(mnist_download, "MIRRORS", mirrors)


def not_downloaded(name, *answers):
    return refused(
        f"{name} could not be downloaded from {', '.join(answers)}; use the embedded digits, "
        f"or put MNIST's four IDX files into a folder and name it with --data FOLDER",
        ConnectionError,
    )


def unpacked(folder):
    return {path.name: gzip.decompress(path.read_bytes()) for path in folder.iterdir()}


def test_the_second_mirror_is_asked_after_the_first(monkeypatch, tmp_path, serve, good):
    empty = tmp_path / "empty"
    empty.mkdir()
    (first, first_url), (second, second_url) = serve(empty), serve(good)
    use(monkeypatch, first_url, second_url)
    goal = tmp_path / "new" / "cache"
    assert download(goal) == goal
    assert unpacked(goal) == CONTENTS
    assert sum(path.endswith(".gz") for path, _ in second.asked) == 4
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
    _, cut_url = serve(good, "cut short")
    use(monkeypatch, url, cut_url)
    goal = tmp_path / "cache"
    answers = f"{url} (wrong content)", f"{cut_url} (no connection)"
    with not_downloaded(name, *answers):
        download(goal)
    assert list(goal.iterdir()) == []


def test_a_redirection_is_followed_and_what_it_leads_to_is_checked(monkeypatch, tmp_path, serve, good):
    (server, url), (there, there_url) = serve(good, "elsewhere"), serve(good)
    server.elsewhere = there_url.rstrip("/")
    use(monkeypatch, url)
    goal = tmp_path / "cache"
    download(goal)
    assert unpacked(goal) == CONTENTS
    assert len(there.asked) == 4


@pytest.mark.parametrize(
    ("handler", "elsewhere", "problem"),
    [
        ("elsewhere", None, "redirected without end"),
        ("elsewhere", "file:///etc/passwd#", "redirected to something else than the web"),
        ("elsewhere", "http://127.0.0.1:9", "no connection"),
        ("log-in", None, "a web page was sent"),
        ("endless", None, "too long"),
    ],
)
def test_servers_that_send_something_else(monkeypatch, tmp_path, serve, good, handler, elsewhere, problem):
    server, url = serve(good, handler)
    server.elsewhere = url.rstrip("/") if elsewhere is None else elsewhere
    use(monkeypatch, url)
    monkeypatch.setitem(mnist_download.SIZES, "train-images-idx3-ubyte.gz", 3 << 20)
    with not_downloaded("train-images-idx3-ubyte.gz", f"{url} ({problem})"):
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
    with not_downloaded("train-labels-idx1-ubyte.gz", f"{gone} (no connection)", f"{url} (HTTP 404)"):
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
