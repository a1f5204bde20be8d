"""Weights on disk: they come back as they were, or one error says why not."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import stat
import zipfile

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors.torch import save_file

from neuroattn.models import checkpoint
from neuroattn.models.checkpoint import (
    load_model,
    load_models,
    read_about,
    read_metadata,
    save_model,
    shipped_models,
    weights_hash,
)
from neuroattn.models.config import GatedConfig, digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork

TRAINING = {"options": {"epochs": 3}, "epochs": [{"epoch": 1, "validation_accuracy": 0.5}]}
SMALL = GatedConfig(size=(1, 5, 5), channels=(2,), classes=3, kernel=2)
TINY = GatedConfig(size=(3, 23, 29), channels=(5, 7), classes=11, kernel=3, resize="bicubic", strength=0.3, steps=3)
PROVENANCE = {"neuroattn": "0.1.0", "git_commit": "abc"}


def refused(text):
    return pytest.raises(ValueError, match=f"^{re.escape(text)}$")


def saved(network, path):
    save_model(network, path, training=TRAINING, provenance=PROVENANCE)
    return path


def published(network):
    """Return a network's weights under the names of the published files."""
    names = {"conv.": "conv{}.", "top_down.deconv.": "conv{}_t."}
    state = {}
    for key, value in network.state_dict().items():
        match = re.fullmatch(r"stages\.(\d+)\.(conv\.|top_down\.deconv\.)(.*)", key)
        new = names[match[2]].format(int(match[1]) + 1) + match[3] if match else key
        state[new.replace("readout.", "linear_out.").replace("feedback.", "linear_out_t.")] = value
    return state


@pytest.fixture
def path(tiny, tmp_path):
    return saved(tiny, tmp_path / "tiny.safetensors")


@pytest.fixture
def digits():
    return GatedNetwork(digits_config(), torch.Generator().manual_seed(0))


def test_everything_comes_back(tiny, path):
    again = load_model(path)
    assert again.config == tiny.config
    assert (again.name, again.seed, again.training) == ("tiny", 13, False)
    assert again.state_dict().keys() == tiny.state_dict().keys()
    for name, value in tiny.state_dict().items():
        assert_array_equal(again.state_dict()[name], value)
    assert read_metadata(path) == {
        "name": "tiny",
        "seed": 13,
        "config": {
            "size": [3, 23, 29],
            "channels": [5, 7],
            "classes": 11,
            "kernel": 3,
            "resize": "bicubic",
            "strength": 0.3,
            "steps": 3,
        },
        "training": TRAINING,
        "provenance": PROVENANCE,
    }


def test_a_seed_that_is_not_known(tiny, tmp_path):
    tiny.seed = None
    assert load_model(saved(tiny, tmp_path / "a.safetensors")).seed is None


def test_another_strength(path):
    assert load_model(str(path), strength=0.75).config.strength == 0.75
    with refused("strength must be in [0, 1], got 1.5"):
        load_model(path, strength=1.5)


def test_the_file_is_readable_by_others_and_alone_in_its_folder(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.safetensors"]


def test_a_network_whose_memory_lies_otherwise_is_saved_as_well(tiny, tmp_path):
    other = tiny.to(memory_format=torch.channels_last)
    assert weights_hash(load_model(saved(other, tmp_path / "a.safetensors"))) == weights_hash(tiny)


@pytest.mark.parametrize("broken", ["save_file", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tiny, path, monkeypatch, broken):
    before = path.read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError("no space left on device")

    if broken == "save_file":
        monkeypatch.setattr(checkpoint, "save_file", fail)
    else:
        monkeypatch.setattr(checkpoint.Path, "replace", fail)
    with torch.no_grad():
        tiny.readout.bias.add_(1)
    text = f"{str(path)!r} could not be written (no space left on device) and is as it was before"
    with pytest.raises(OSError, match=f"^{re.escape(text)}$"):
        saved(tiny, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.safetensors"]
    assert path.read_bytes() == before


def test_an_interrupted_save_leaves_nothing(tiny, tmp_path, monkeypatch):
    def interrupt(_state, temporary, _metadata):
        checkpoint.Path(temporary).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        saved(tiny, tmp_path / "a.safetensors")
    assert [entry.name for entry in tmp_path.iterdir()] == []


def test_metadata_that_json_cannot_hold_leaves_nothing(tiny, tmp_path):
    with pytest.raises(TypeError, match=r"^Object of type object is not JSON serializable"):
        save_model(tiny, tmp_path / "a.safetensors", training={"a": object()}, provenance={})
    assert [entry.name for entry in tmp_path.iterdir()] == []


# Names and paths


def test_an_unknown_name_lists_the_shipped_ones(tmp_path, monkeypatch, tiny):
    saved(tiny, tmp_path / "b-1.safetensors")
    saved(tiny, tmp_path / "a-0.safetensors")
    monkeypatch.setattr(checkpoint, "SHIPPED_FOLDER", tmp_path)
    assert shipped_models() == ["a-0", "b-1"]
    with refused("model must be a shipped name (a-0, b-1) or the path of a .safetensors or .pt file, got 'digits-99'"):
        load_model("digits-99")
    assert load_model("b-1").name == "tiny"
    assert read_metadata("a-0")["seed"] == 13


@pytest.mark.parametrize("name", ["no.safetensors", "no.pt", "."])
def test_a_file_that_is_missing(tmp_path, name):
    if name == ".":
        (tmp_path / "folder.pt").mkdir()
        name = "folder.pt"
    path = str(tmp_path / name)
    with refused(f"model must be a file that exists, got {path!r}; check the path"):
        load_model(path)


SHIPPED = {"digits": 10, "digits-balanced": 3, "digits3": 6, "scenes": 3}  # how many of each


@pytest.mark.parametrize("name", [f"{kind}-{seed}" for kind, number in SHIPPED.items() for seed in range(number)])
def test_the_shipped_networks(name):
    assert name in shipped_models()
    assert len(shipped_models()) == sum(SHIPPED.values())
    network, about = load_model(name), read_metadata(name)
    assert network.name == name == about["name"]
    options, last = about["training"]["options"], about["training"]["epochs"][-1]
    assert network.seed == options["seed"]
    if name.startswith("scenes"):
        assert network.config == scenes_config()
        assert len(about["training"]["held_out_images"]) == 16
        assert last["validation_classes_decided"] > 4
    else:
        assert network.config == digits_config(n_objects=options["n_objects"])
        assert last["validation_accuracy"] > 0.9


# Damaged and foreign safetensors


@settings(max_examples=60)
@given(fraction=st.floats(0, 1, exclude_max=True))
@example(fraction=0)
@example(fraction=1 - 1e-9)
def test_a_file_that_is_cut_off(cut, fraction):
    content, path = cut
    path.write_bytes(content[: int(fraction * len(content))])
    for read in (load_model, read_metadata):
        with pytest.raises(
            ValueError, match=r"^model '.*' is not a whole safetensors file \(.*\); it may be cut off: "
        ):
            read(path)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    return saved(GatedNetwork(SMALL, torch.Generator().manual_seed(0)), path).read_bytes(), path


@settings(max_examples=200)
@given(data=st.data())
def test_a_file_of_which_a_byte_is_wrong(cut, data):
    """Weights may change unseen; nothing but a ValueError may come of the header."""
    content, path = cut
    place = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :])
    try:
        load_model(path)
        read_metadata(path)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("metadata", "found"), [(None, "none"), ({}, "none"), ({"format": "pt"}, "pt"), ({"a": "b"}, "none")]
)
def test_a_safetensors_file_of_another_package(tmp_path, metadata, found):
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    text = (
        f"model {str(path)!r} is not a checkpoint of this package: its metadata says format {found!r}, "
        "expected 'neuroattn-checkpoint-1'; load a file that neuroattn.training wrote"
    )
    for read in (load_model, read_metadata):
        with refused(text):
            read(path)


def metadata_of(tiny, **changes):
    good = {
        "format": "neuroattn-checkpoint-1",
        "name": "tiny",
        "seed": "13",
        "config": tiny.config.to_json(),
        "training": "{}",
        "provenance": "{}",
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"config": None}, "has damaged metadata (no config); copy it again"),
        ({"seed": "1 3"}, "has damaged metadata (seed: Extra data: line 1 column 3 (char 2)); copy it again"),
        ({"seed": "13.0"}, "has damaged metadata (Expected `int | null`, got `float` - at `seed`); copy it again"),
        ({"seed": "true"}, "has damaged metadata (Expected `int | null`, got `bool` - at `seed`); copy it again"),
        ({"seed": "-1"}, "has damaged metadata (Expected `int` >= 0 - at `seed`); copy it again"),
        (
            {"seed": str(2**70)},
            "has damaged metadata (Expected `int` <= 9223372036854775807 - at `seed`); copy it again",
        ),
        (
            {"provenance": "[]"},
            "has damaged metadata (Expected `object`, got `array` - at `provenance`); copy it again",
        ),
        ({"training": "null"}, "has damaged metadata (Expected `object`, got `null` - at `training`); copy it again"),
        ({"training": "[" * 10**5}, "has damaged metadata (training: maximum recursion depth exceeded*"),
        (
            {"training": '{"epochs": [{"epoch": NaN}]}'},
            "has damaged metadata (training: NaN is no number of JSON); copy it again",
        ),
        (
            {"training": '{"classes": ["a"], "classes": ["b"]}'},
            "has damaged metadata (training: a name stands twice in one object); copy it again",
        ),
        (
            {"training": '{"options": {"initial": "' + 1000 * "\\u001b" + '"}}'},
            "has damaged metadata (Invalid enum value '\\*",
        ),
        *(
            ({"training": f'{{"{name}": {value}}}'}, f"has damaged metadata ({reason} - at `training.{name}*")
            for name, value, reason in [
                ("classes", '"animal"', "Expected `array`, got `str`"),
                ("classes", "[7]", "Expected `str`, got `int`"),
                ("held_out_images", "[1, 2.5]", "Expected `int`, got `float`"),
                ("held_out_images", f"[{2**70}]", "Expected `int` <= 9223372036854775807"),
                ("scenes", "null", "Expected `object`, got `null`"),
                ("scenes", '{"sha256": 7}', "Expected `str`, got `int`"),
                ("digits", '{"sha256": "a", "n": "7"}', "Expected `int`, got `str`"),
                ("start", '"net"', "Expected `object`, got `str`"),
                ("epochs", '[{"epoch": "1"}]', "Expected `float`, got `str`"),
                ("options", '{"phi": "large"}', "Expected `float`, got `str`"),
                ("options", '{"n_objects": 10.0}', "Expected `int`, got `float`"),
                ("options", '{"n_objects": 10000}', "Expected `int` <= 10"),
                ("options", '{"size": "40 x 60"}', "Expected `array`, got `str`"),
                ("options", '{"phi": {}}', "Expected `bool | int | float | str | array | null`, got `object`"),
                ("n_cutouts", "-1", "Expected `int` >= 0"),
            ]
        ),
        *(
            (
                {"config": json.dumps(dataclasses.asdict(TINY) | change)},
                f"has a configuration of another version, or a damaged one ({reason}",
            )
            for change, reason in [
                ({"colour": 3}, "unknown: 'colour')"),
                ({"classes": 11.0}, "Expected `int`, got `float` - at `classes`)"),
                ({"classes": True}, "Expected `int`, got `bool` - at `classes`)"),
                ({"classes": None}, "Expected `int`, got `null` - at `classes`)"),
                ({"classes": [[11]]}, "Expected `int`, got `array` - at `classes`)"),
                ({"steps": 5.5}, "Expected `int`, got `float` - at `steps`)"),
                ({"steps": 10**9}, "steps must be at most 10,000, got 1000000000)"),
                ({"strength": True}, "Expected `float`, got `bool` - at `strength`)"),
                ({"strength": 10**400}, "Number out of range - at `strength`)"),
                ({"size": [3, 23]}, "Expected `array` of length 3, got 2 - at `size`)"),
                ({"channels": []}, "channels must name at least one stage, each with at least 1 channel, got ())"),
                ({"size": [1, 20000, 20000]}, "size (1, 20000, 20000) is too large with kernel 3: the matrices that*"),
                ({"size": [3, 20000, 29]}, "size (3, 20000, 29) is too large with kernel 3: the matrices that place*"),
                ({"resize": "a\x1b" * 1000}, "resize must be one of nearest, bicubic, got 'a\\*"),
            ]
        ),
        (
            {"config": "[3]"},
            "has a configuration of another version, or a damaged one (Expected `object`, got `array`)",
        ),
    ],
)
def test_metadata_that_is_damaged(tiny, tmp_path, changes, text):
    path = tmp_path / "a.safetensors"
    save_file(dict(tiny.state_dict()), path, metadata_of(tiny, **changes))
    with pytest.raises(ValueError, match=pattern(f"model {str(path)!r} {text}")) as caught:
        load_model(path)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def pattern(text):
    """Return the pattern of a whole text, whose end a star leaves open."""
    return f"^{re.escape(text.removesuffix('*'))}" + ("" if text.endswith("*") else "$")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"classes": 10**7}, "readout.weight has shape (11, 140), expected (10000000, 140), and 2 more"),
        ({"classes": 2**70}, f"readout.weight has shape (11, 140), expected ({2**70}, 140), and 2 more"),
        ({"classes": 13}, "readout.weight has shape (11, 140), expected (13, 140), and 2 more"),
        ({"kernel": 4}, "stages.0.conv.weight has shape (5, 3, 3, 3), expected (5, 3, 4, 4), and 6 more"),
        ({"channels": [5]}, "'stages.1.conv.bias' is none of them, and 6 more"),
    ],
)
def test_a_configuration_that_the_weights_belie(tiny, tmp_path, monkeypatch, change, reason):
    """A network of it is not even begun: it may be larger than the machine."""
    path = tmp_path / "a.safetensors"
    config = json.dumps(dataclasses.asdict(TINY) | change)
    save_file(dict(tiny.state_dict()), path, metadata_of(tiny, config=config))
    monkeypatch.setattr(checkpoint, "GatedNetwork", None)
    with refused(f"model {str(path)!r} does not hold the weights its configuration needs: {reason}; copy it again"):
        load_model(path)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(torch.int64, "I64"), (torch.bool, "BOOL"), (torch.complex64, "C64"), (torch.float8_e4m3fn, "F8_E4M3")],
)
def test_weights_that_are_no_floating_point_numbers(tiny, tmp_path, dtype, kind):
    path = tmp_path / "a.safetensors"
    state = dict(tiny.state_dict())
    save_file(state | {"readout.bias": state["readout.bias"].to(dtype)}, path, metadata_of(tiny))
    with refused(
        f"model {str(path)!r} does not hold the weights its configuration needs: readout.bias holds {kind}, expected "
        "floating point numbers (F64, F32, F16, BF16); copy it again"
    ):
        load_model(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_precision_become_single(tiny, tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    state = {key: value.to(dtype) for key, value in tiny.state_dict().items()}
    save_file(state, path, metadata_of(tiny))
    for key, value in load_model(path).state_dict().items():
        assert_array_equal(value, state[key].float())
    if dtype is torch.float64:
        save_file(state | {"readout.bias": torch.full((11,), 1e300, dtype=dtype)}, path, metadata_of(tiny))
        with refused(f"model {str(path)!r} holds weights that are not finite; its training went wrong"):
            load_model(path)


def test_a_weight_that_is_missing_or_one_too_many(tiny, tmp_path):
    path = tmp_path / "a.safetensors"
    state = dict(tiny.state_dict())
    start = f"model {str(path)!r} does not hold the weights its configuration needs: "
    del state["feedback.weight"]
    save_file(state, path, metadata_of(tiny))
    with refused(f"{start}feedback.weight (140, 11) is missing; copy it again"):
        load_model(path)
    save_file(dict(tiny.state_dict()) | {"\x1b[31m" * 100: torch.zeros(1)}, path, metadata_of(tiny))
    with pytest.raises(ValueError, match=f"^{re.escape(start)}'.*' is none of them; copy it again$") as caught:
        load_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_header_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes((2**23 + 1).to_bytes(8, "little") + b"{}" + b" " * 2**23)
    monkeypatch.setattr(checkpoint, "safe_open", None)
    reason = "its header says that it has 8,388,609 bytes, and 8,388,608 are the most"
    text = f"model {str(path)!r} is not a whole safetensors file ({reason}); it may be cut off: copy it again"
    for read in (load_model, read_metadata):
        with refused(text):
            read(path)


PIECES = [b"1", b"9" * 40, b"-1", b"1e999", b"NaN", b"null", b"true", b"{}", b"[]", b'"', b"\\u0000", b"\x1b", b"\xff"]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_header_of_random_bytes(cut, data):
    """Pieces of it are replaced and its length set right."""
    content, path = cut
    length = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + length], content[8 + length :]
    for _ in range(data.draw(st.integers(1, 4))):
        first = data.draw(st.integers(0, len(header)))
        last = min(len(header), first + data.draw(st.integers(0, 12)))
        header = header[:first] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=12)) + header[last:]
    if data.draw(st.booleans()):
        body = data.draw(st.binary(max_size=4)) + body
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)
    require_network_or_line(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
NAMES = ["size", "channels", "classes", "steps", "strength", "kernel", "resize", "options", "epochs", "scenes"]


@settings(max_examples=80, deadline=None)
@given(part=st.sampled_from(["seed", "config", "training", "provenance"]), name=st.sampled_from(NAMES), value=JSON)
def test_metadata_of_random_values(cut, part, name, value):
    content, path = cut
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    for changed in (value, {**(json.loads(metadata[part]) or {}), name: value}):
        state = {key: torch.zeros(shape) for key, shape in SMALL.weight_shapes.items()}
        save_file(state, path, metadata | {part: json.dumps(changed)})
        require_network_or_line(path)


def require_network_or_line(path):
    for read in (load_model, read_metadata, read_about):
        found, line = attempt(read, path)
        assert line.startswith("model ") == (line != "")
        assert line == "" or line.isprintable()
        assert len(line) < 700
        assert line or read is not load_model or found.config.weight_shapes == SMALL.weight_shapes


def attempt(read, path):
    try:
        return read(path), ""
    except ValueError as error:
        return None, str(error)


def test_weights_that_are_not_finite(tiny, tmp_path):
    for index, bad in enumerate((float("nan"), float("inf"))):
        with torch.no_grad():
            tiny.stages[1].top_down.deconv.weight[3, 2, 1, 0] = bad
        path = saved(tiny, tmp_path / f"{index}.safetensors")
        with refused(f"model {str(path)!r} holds weights that are not finite; its training went wrong"):
            load_model(path)


# The paper's files


def test_the_published_digits_network(paper_digits):
    assert paper_digits.config == digits_config()
    assert (paper_digits.config.strength, paper_digits.name, paper_digits.seed) == (0.2, "paper_mnist_model", None)
    assert not paper_digits.training


def test_the_published_scenes_network(paper_scenes):
    assert paper_scenes.config == scenes_config()
    assert (paper_scenes.config.strength, paper_scenes.name) == (0.3, "paper_coco_model")


def test_the_published_names(paper_digits, reference):
    state = torch.load(reference / "reference" / "paper_mnist_model.pt", map_location="cpu", weights_only=True)
    ours = published(paper_digits)
    assert ours.keys() == state.keys()
    for name, value in state.items():
        assert_array_equal(ours[name], value)


def test_a_published_file_of_more_digits(tmp_path):
    network = GatedNetwork(digits_config(n_objects=3), torch.Generator().manual_seed(0))
    torch.save(published(network), tmp_path / "three.pt")
    assert load_model(tmp_path / "three.pt").config == digits_config(n_objects=3)
    assert load_model(tmp_path / "three.pt", strength=0.5).config == digits_config(n_objects=3, strength=0.5)


@settings(max_examples=60, deadline=None)
@given(fraction=st.floats(0, 1, exclude_max=True), legacy=st.booleans())
@example(fraction=0, legacy=False)
@example(fraction=1 - 1e-9, legacy=False)
@example(fraction=1 - 1e-9, legacy=True)
def test_a_published_file_that_is_cut_off(cut_pt, fraction, legacy):
    contents, path = cut_pt
    content = contents[legacy]
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ValueError, match=r"^model '.*' is not a whole PyTorch state dict \(.+\); nothing but tensors "):
        load_model(path)


@pytest.fixture(scope="module")
def cut_pt(tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.pt"
    state, contents = published(GatedNetwork(digits_config(), torch.Generator().manual_seed(0))), []
    for new in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=new)
        contents.append(path.read_bytes())
    return contents, path


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=40) | st.binary(max_size=40).map(lambda rest: b"\x80\x02" + rest))
@example(content=b"\x80\x02}q\x00.")
@example(content=b"0")
@example(content=b"\x80\x04")
def test_a_file_of_any_bytes(cut_pt, content):
    _, path = cut_pt
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^model '.*' is not a"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x02ee", "IndexError: damaged or not a PyTorch file"),
        (b"\x80\x02h\x65.", "KeyError: damaged or not a PyTorch file"),
        (b"", "EOFError: damaged or not a PyTorch file"),
    ],
)
def test_the_reason_is_never_a_bare_key(tmp_path, content, reason):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    text = f"model {str(path)!r} is not a whole PyTorch state dict ({reason}); nothing but tensors is ever unpickled"
    with refused(text):
        load_model(path)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path, how):
    path, trace = tmp_path / "a.pt", tmp_path / "executed"
    content = {"conv1.weight": Malicious(str(trace))}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(ValueError, match=r"^model '.*' is not a whole PyTorch state dict \(.+\); nothing but tensors "):
        load_model(path)
    assert not trace.exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())  # noqa: S301 -- the test's own file: it would have run code
        assert trace.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([torch.zeros(2)], "list"),
        ({}, "dict"),
        ({"conv1.weight": 3}, "dict"),
        ({1: torch.zeros(2)}, "dict"),
        (torch.zeros(2), "Tensor"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path, content, kind):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    text = (
        f"model {str(path)!r} is not a state dict: expected names with dense tensors, got {kind}; "
        "load a file published with the paper or a .safetensors checkpoint"
    )
    with refused(text):
        load_model(path)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {"layer.weight": torch.zeros(2), "layer.bias": torch.zeros(2)},
            (
                "is not one of the paper's files: expected conv1 …, linear_out and their _t twins, "
                "got layer.weight, layer.bias …"
            ),
        ),
        (
            {"conv1.weight": torch.zeros(2), "readout.weight": torch.zeros(2)},
            (
                "is not one of the paper's files: expected conv1 …, linear_out and their _t twins, "
                "got conv1.weight, readout.weight …"
            ),
        ),
        (
            {"conv1.weight": torch.zeros(2, 1, 4, 4), "linear_out.weight": torch.zeros(10, 77)},
            (
                "has neither the paper's digits nor its scenes architecture (read-out of 77 units); "
                "only those two sizes can be recognised from a .pt file"
            ),
        ),
        *(
            (
                {name: torch.zeros(2, 1, 4, 4), "linear_out.weight": torch.zeros(10, 77)},
                (
                    "is not one of the paper's files: expected conv1 …, linear_out and their _t twins, "
                    f"got {shown}, linear_out.weight …"
                ),
            )
            for name, shown in [
                ("conv01.weight", "conv01.weight"),
                ("conv١.weight", "conv١.weight"),
                ("conv0.weight", "conv0.weight"),
                (f"conv{'9' * 5000}.weight", f"conv{'9' * 49}…{'9' * 19}.weight"),
                ("\x1b[31mconv1.weight", "\\x1b[31mconv1.weight"),
            ]
        ),
        (
            {"conv1.weight": torch.tensor(2.0), "linear_out.weight": torch.zeros(7)},
            (
                "has neither the paper's digits nor its scenes architecture (read-out of 1 units); "
                "only those two sizes can be recognised from a .pt file"
            ),
        ),
    ],
)
def test_a_state_dict_of_another_architecture(tmp_path, state, text):
    path = tmp_path / "a.pt"
    torch.save(state, path)
    with refused(f"model {str(path)!r} {text}"):
        load_model(path)


def test_a_published_file_that_lacks_a_weight(tmp_path, digits):
    state = published(digits)
    del state["conv2_t.bias"]
    torch.save(state, tmp_path / "a.pt")
    text = (
        f"model {str(tmp_path / 'a.pt')!r} does not hold the weights its configuration needs: "
        "stages.1.top_down.deconv.bias (20,) is missing; copy it again"
    )
    with refused(text):
        load_model(tmp_path / "a.pt")


@pytest.mark.parametrize("kind", ["int64", "complex64", "bool"])
def test_a_published_file_whose_weights_are_no_floating_point_numbers(tmp_path, digits, kind):
    path = tmp_path / "a.pt"
    torch.save(published(digits) | {"linear_out.bias": torch.zeros(10, dtype=getattr(torch, kind))}, path)
    with refused(
        f"model {str(path)!r} does not hold the weights its configuration needs: readout.bias holds {kind}, expected "
        "floating point numbers (F64, F32, F16, BF16); copy it again"
    ):
        load_model(path)


@pytest.mark.parametrize("value", [torch.empty(10, device="meta"), torch.eye(10).to_sparse()])
def test_a_published_file_with_tensors_that_are_not_all_there(tmp_path, digits, value):
    torch.save(published(digits) | {"linear_out.bias": value}, tmp_path / "a.pt")
    text = "is not a state dict: expected names with dense tensors, got dict; load a file published with the paper or a"
    with refused(f"model {str(tmp_path / 'a.pt')!r} {text} .safetensors checkpoint"):
        load_model(tmp_path / "a.pt")


def test_a_published_file_that_unpacks_to_more_than_itself(tmp_path, digits, monkeypatch):
    with torch.no_grad():
        for parameter in digits.parameters():
            parameter.zero_()
    torch.save(published(digits), tmp_path / "plain.pt")
    assert load_model(tmp_path / "plain.pt").config == digits.config
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    monkeypatch.setattr(torch, "load", None)
    text = r"^model '.*packed\.pt' is not a whole PyTorch state dict \(it would unpack to 33\d,\d{3} bytes, and"
    with pytest.raises(ValueError, match=text):
        load_model(tmp_path / "packed.pt")


def test_a_published_file_with_weights_that_are_not_finite(tmp_path, digits):
    with torch.no_grad():
        digits.feedback.weight[7, 3] = float("nan")
    torch.save(published(digits), tmp_path / "a.pt")
    text = f"model {str(tmp_path / 'a.pt')!r} holds weights that are not finite; its training went wrong"
    with refused(text):
        load_model(tmp_path / "a.pt")


# Several networks


def test_several_networks_come_in_order_and_alike(path, digits, tmp_path):
    other = tmp_path / "other.pt"
    torch.save(published(digits), other)
    found = load_models([other, str(path)], strength=0.75)
    assert [(network.name, network.config.strength) for network in found] == [("other", 0.75), ("tiny", 0.75)]
    assert load_models([path])[0].config.strength != 0.75
    assert load_models(()) == []
    assert load_models([path], device="meta")[0].readout.weight.device.type == "meta"


def test_networks_of_one_name(path, tiny, tmp_path):
    copy = saved(tiny, tmp_path / "copy.safetensors")
    with refused("models must have different names, got tiny more than once; rename a file"):
        load_models([path, copy])


# The hash of the weights


def test_the_hash_is_that_of_the_weights_alone(tmp_path, digits):
    torch.save(published(digits), tmp_path / "a.pt")
    saved(digits, tmp_path / "b.safetensors")
    expected = weights_hash(digits)
    assert re.fullmatch(r"[0-9a-f]{64}", expected)
    assert weights_hash(load_model(tmp_path / "a.pt")) == expected
    assert weights_hash(load_model(tmp_path / "b.safetensors")) == expected
    assert weights_hash(digits.with_strength(0.9)) == expected
    assert weights_hash(digits.to(memory_format=torch.channels_last)) == expected
    if torch.cuda.is_available():
        assert weights_hash(digits.to("cuda")) == expected


def test_every_weight_counts(tiny):
    before = {weights_hash(tiny)}
    for parameter in tiny.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-4
        before.add(weights_hash(tiny))
    assert len(before) == 1 + len(list(tiny.parameters()))
