"""The command that makes scenes ready, as its user runs it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import ended
from PIL import Image

from neuroattn.stimuli.__main__ import main

LEFT, RIGHT = [[0, 0, 16, 0, 16, 20, 0, 20]], [[24, 0, 40, 0, 40, 20, 24, 20]]


def done(*arguments, **options):
    """Return what a command prints, once it has ended well and without a word on standard error."""
    status, out, err = ended(main, "scenes", *arguments, **options)
    assert (status, err) == (0, "")
    return out


def refused(*arguments, **options):
    """Return the one line on standard error of a command that is refused."""
    status, out, err = ended(main, *arguments, **options)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: .+\n", err)  # which is one line, as no dot is a line's end
    return err[:-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with images, their annotations, and a cache; one image is missing, one annotation is a crowd."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "images").mkdir()
    images, annotations = [], []
    for k in range(4):
        images.append({"id": k, "file_name": f"00{k}.png", "width": 40, "height": 20})
        for n, outline in enumerate((LEFT, RIGHT)):
            annotation = {"id": 10 * k + n, "image_id": k, "category_id": n, "iscrowd": 0, "area": 320 - n}
            annotations.append(annotation | {"segmentation": outline})
        if k != 2:
            pixels = np.random.default_rng(k).integers(0, 256, (20, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"00{k}.png")
    annotations.append(annotations[0] | {"id": 99, "iscrowd": 1})
    categories = [
        {"id": 0, "name": "dog", "supercategory": "animal"},
        {"id": 1, "name": "car", "supercategory": "vehicle"},
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def paths(world):
    return ("--images", world / "images", "--annotations", world / "instances.json", "--cache", world / "cache")


def test_index(world, tmp_path):
    out = tmp_path / "objects.csv"
    options = ("--annotations", world / "instances.json", "--cache", tmp_path / "cache")
    printed = done("index", *options, "--out", out)
    sha256 = hashlib.sha256((world / "instances.json").read_bytes()).hexdigest()
    first, second, *counts = printed.splitlines()
    assert first == "note: 1 left out: crowd regions (the first has id 99)"
    assert second == f"4 scenes in instances.json (SHA-256 {sha256[:12]}), objects by supercategory:"
    assert [line.split() for line in counts if line.endswith("4")] == [["animal", "4"], ["vehicle", "4"]]
    objects = pd.read_csv(out)
    assert objects["annotation_id"].tolist() == [0, 1, 10, 11, 20, 21, 30, 31]
    assert objects["category"].tolist() == ["dog", "car"] * 4
    assert done("index", *options) == printed  # from the cache


def test_index_by_another_rule(world, tmp_path):
    options = ("--annotations", world / "instances.json", "--cache", tmp_path / "cache")
    assert "got none in instances.json" in refused("scenes", "index", *options, "--n_objects", "3")
    assert "4 scenes in" in done("index", *options, "--least_area", "0.39", "--most_overlap", "0")
    assert "got none in instances.json" in refused("scenes", "index", *options, "--least_area", "0.4")
    out = tmp_path / "there.csv"
    out.write_text("mine")
    text = f"error: out must be a file that does not exist, got {str(out)!r}"
    assert refused("scenes", "index", *options, "--out", out) == text
    assert out.read_text() == "mine"


def test_cache(paths):
    printed = done("cache", *paths, "--size", "24", "32")
    notes, counts = printed.splitlines()[:3], printed.splitlines()[3:]
    assert notes == [
        "note: 1 left out: crowd regions (the first has id 99)",
        "note: 1 image left out: missing (the first is 002.png)",
        "3 scenes of 24 × 32 px, 2 objects each:",
    ]
    assert {line.split()[0]: int(line.split()[1]) for line in counts}.items() >= {"animal": 3, "vehicle": 3}.items()
    assert len(counts) == 12
    assert done("cache", *paths, "--size", "24", "32") == printed
    by_category = done("cache", *paths, "--size", "24", "32", "--labels", "category")
    assert [line.split() for line in by_category.splitlines()[3:]] == [["car", "3"], ["dog", "3"]]


@pytest.mark.slow
def test_show(paths, tmp_path):
    out = tmp_path / "sheet.png"
    options = (*paths, "--size", "24", "32", "--number", "2", "--out", out)
    printed = done("show", *options)
    assert printed.splitlines()[-1] == f"2 of 3 scenes in {out}"
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100
    before = out.read_bytes()
    text = f"error: out must be a file that does not exist, got {str(out)!r}"
    assert refused("scenes", "show", *options) == text
    assert out.read_bytes() == before


def test_show_takes_all_scenes_where_there_are_fewer(paths, tmp_path):
    printed = done("show", *paths, "--size", "24", "32", cwd=tmp_path)
    assert printed.splitlines()[-1] == "3 of 3 scenes in scenes.png"
    assert (tmp_path / "scenes.png").is_file()


@pytest.mark.slow
def test_the_seed_draws_the_scenes(paths, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4)):
        out = tmp_path / f"{name}.png"
        done("show", *paths, "--size", "24", "32", "--number", "1", "--seed", seed, "--out", out)
    first, second, *others = [path.read_bytes() for path in sorted(tmp_path.glob("*.png"))]
    assert first == second
    assert set(others) - {first}


def test_download_of_what_is_there(tmp_path):
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "coco" / "annotations" / "instances_val2017.json").touch()
    (tmp_path / "coco" / "val2017.complete").touch()
    printed = done("download", "val2017", cwd=tmp_path)
    assert printed == "--images coco/val2017 --annotations coco/annotations/instances_val2017.json\n"


class Proxy(SimpleHTTPRequestHandler):
    """A proxy that has COCO's server in a folder."""

    def translate_path(self, path):
        return super().translate_path(path.removeprefix("http://images.cocodataset.org"))

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(tmp_path):
    """Settings under which COCO's server is a folder of this machine, which is empty at first."""
    (tmp_path / "server").mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(Proxy, directory=str(tmp_path / "server")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield dict.fromkeys(("http_proxy", "HTTP_PROXY"), address) | dict.fromkeys(("no_proxy", "NO_PROXY"), "")
    server.shutdown()
    thread.join()
    server.server_close()


def downloaded(which, out, code="", **environment):
    """Return status and outputs of a download in a process of its own, which takes its connections with it."""
    code += "import sys; from neuroattn.stimuli.__main__ import main; main(['scenes', 'download', *sys.argv[1:]])"
    line = [sys.executable, "-c", code, which, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **environment}
    ended = subprocess.run(line, check=False, capture_output=True, text=True, env=environment, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.process
def test_download(tmp_path, proxy):
    checksums = {}
    for path, name in (
        ("annotations/annotations_trainval2017.zip", "annotations/instances_val2017.json"),
        ("zips/val2017.zip", "val2017/1.jpg"),
    ):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, name)
        (tmp_path / "server" / path).parent.mkdir()
        (tmp_path / "server" / path).write_bytes(packed.getvalue())
        checksums[Path(path).name] = hashlib.md5(packed.getvalue(), usedforsecurity=False).hexdigest()
    code = f"from neuroattn.stimuli import coco_download; coco_download.CHECKSUMS.update({checksums}); "
    out = tmp_path / "new" / "coco"
    printed = f"--images {out}/val2017 --annotations {out}/annotations/instances_val2017.json\n"
    assert downloaded("val2017", out, code, **proxy) == (0, printed, "")
    assert (out / "val2017" / "1.jpg").read_text() == "val2017/1.jpg"
    assert (out / "annotations" / "instances_val2017.json").read_text() == "annotations/instances_val2017.json"


@pytest.mark.process
def test_downloads_that_fail(tmp_path, proxy):
    text = (
        "error: annotations_trainval2017.zip could not be fetched from http://images.cocodataset.org/ (HTTP 404; "
        "nothing was kept); try again, or name a folder of your own with --images and --annotations\n"
    )
    assert downloaded("val2017", tmp_path / "coco", **proxy) == (2, "", text)
    gone = proxy | dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    status, out, err = downloaded("train2017", tmp_path / "coco", **gone)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "(no connection; nothing was kept)" in err


NAMED = "must be named, as in"
PLACED = "out must be in a folder that exists"
SHOW = ["scenes", "show", "--images", ".", "--annotations", "a"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["digits"], "what to make ready must be scenes, got 'digits'"),
        (["scenes"], "what to do with scenes must be index, cache, show or download, got ''"),
        (["scenes", "draw"], "what to do with scenes must be index, cache, show or download, got 'draw'"),
        (["scenes", "index"], f"annotations {NAMED} --annotations PATH"),
        (["scenes", "index", "--annotations", "absent.json"], "annotations must be a file that can be read"),
        (["scenes", "index", "--annotations", "a", "--least_area", "2"], "least_area must be in [0, 1], got 2"),
        (["scenes", "index", "--annotations", "a", "--n_objects", "1"], "n_objects must be at least 2, got 1"),
        (["scenes", "index", "--number", "3"], "--number"),
        (["scenes", "cache"], f"images {NAMED} --images PATH"),
        (["scenes", "cache", "--images", "."], f"annotations {NAMED} --annotations PATH"),
        (["scenes", "cache", "--images", "absent", "--annotations", "a"], "images must be a folder, got 'absent'"),
        (["scenes", "cache", "--images", ".", "--annotations", "a", "--size", "24"], "size must be two numbers"),
        (["scenes", "cache", "--images", ".", "--annotations", "a", "--size", "0", "9"], "size must be in [1, 4096]"),
        (["scenes", "cache", "--images", ".", "--annotations", "a", "--labels", "name"], "labels must be one of"),
        (["scenes", "show", "--images", ".", "--annotations", "a", "--number", "0"], "number must be in [1, 200]"),
        # The annotations do not exist either: the file that is asked for is looked at before any work.
        (["scenes", "index", "--annotations", "a", "--out", "absent/x.csv"], f"{PLACED}, got 'absent/x.csv'; make the"),
        (["scenes", "index", "--annotations", "a", "--out", "."], "out must be a file that does not exist, got '.'"),
        ([*SHOW, "--out", "absent/x.png"], f"{PLACED}, got 'absent/x.png'; make the folder"),
        ([*SHOW, "--out", "x.abc"], "out must end in .png, .svg or .pdf, got 'x.abc'"),
        ([*SHOW, "--out", "x"], "out must end in .png, .svg or .pdf, got 'x'"),
        (["scenes", "download"], f"a set {NAMED}"),
        (["scenes", "download", "--out", "coco"], f"a set {NAMED}"),
        (["scenes", "download", "test2017"], "set must be one of val2017, train2017, got 'test2017'"),
        (["scenes", "download", "val2017", "train2017"], "train2017"),
    ],
)
def test_bad_lines(tmp_path, arguments, text):
    assert text in refused(*arguments, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bad_files(world, paths, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [],\n "annotations": [}')
    assert "must be COCO instance annotations" in refused("scenes", "index", "--annotations", broken)
    assert "must be COCO instance annotations" in refused(
        "scenes", "cache", "--images", world / "images", "--annotations", broken
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "in which none of 4 can be read" in refused("scenes", "show", "--images", empty, *paths[2:], cwd=tmp_path)
    taken = tmp_path / "taken"
    taken.touch()
    assert "cache must be a folder that can be written" in refused("scenes", "cache", *paths[:-1], taken)
    assert not (tmp_path / "scenes.png").exists()


@pytest.mark.parametrize("what", [[], ["index"], ["cache"], ["show"], ["download"]])
def test_help(what):
    printed = done(*what, "--help")
    assert printed.startswith("usage: python -m neuroattn.stimuli scenes")
    assert "Traceback" not in printed
