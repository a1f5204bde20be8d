"""Weights on disk: they come back as they were, or one error says why not."""

from __future__ import annotations

import dataclasses
import json
import re
import stat

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refused import refused
from safetensors.torch import save_file

from neuroattn.models import checkpoint
from neuroattn.models.checkpoint import (
    is_gated,
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
from neuroattn.runs.plain_text import shown

TRAINING = {"options": {"epochs": 3}, "epochs": [{"epoch": 1, "validation_accuracy": 0.5}]}
SMALL = GatedConfig(size=(1, 5, 5), channels=(2,), classes=3, kernel=2)
PROVENANCE = {"neuroattn": "0.1.0", "git_commit": "abc"}


def saved(network, path):
    save_model(network, path, training=TRAINING, provenance=PROVENANCE)
    return path


@pytest.fixture
def path(tiny, tmp_path):
    return saved(tiny, tmp_path / "tiny.safetensors")


def test_everything_comes_back(tiny, path):
    again = load_model(path)
    assert again.config == tiny.config
    assert (again.name, again.seed, again.training) == ("tiny", 13, False)
    torch.testing.assert_close(again.state_dict(), tiny.state_dict(), rtol=0, atol=0)
    assert read_metadata(path) == {
        "name": "tiny",
        "seed": 13,
        "config": json.loads(json.dumps(dataclasses.asdict(tiny.config))),
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


FULL = "{} could not be written (no space left on device) and is as it was before"


def fail(*_args, **_kwargs):
    raise OSError("no space left on device")


def interrupt(_state, temporary, _metadata):
    checkpoint.Path(temporary).write_bytes(b"half")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("broken", "training", "error", "text"),
    [
        (("save_file", fail), {}, OSError, FULL),
        (("Path.replace", fail), {}, OSError, FULL),
        (("save_file", interrupt), {}, KeyboardInterrupt, ""),
        (None, {"a": object()}, TypeError, "Object of type object is not JSON serializable*"),
    ],
)
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tiny, path, monkeypatch, broken, training, error, text):
    before = path.read_bytes()
    if broken is not None:
        monkeypatch.setattr(f"neuroattn.models.checkpoint.{broken[0]}", broken[1])
    with torch.no_grad():
        tiny.readout.bias.add_(1)
    with refused(text.format(repr(str(path))), error):
        save_model(tiny, path, training=training, provenance={})
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.safetensors"]
    assert path.read_bytes() == before


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


@pytest.mark.parametrize("name", ["no.safetensors", "no.pt", "folder.pt"])
def test_a_file_that_is_missing(tmp_path, name):
    (tmp_path / "folder.pt").mkdir()
    path = str(tmp_path / name)
    with refused(f"model must be a file that exists, got {path!r}; check the path"):
        load_model(path)


SHIPPED = {"digits": 10, "digits-balanced": 3, "digits3": 6, "scenes": 3}  # how many of each


@pytest.mark.parametrize("name", [f"{kind}-{seed}" for kind, number in SHIPPED.items() for seed in range(number)])
def test_the_shipped_networks(name):
    assert name in shipped_models()
    assert sum(map(is_gated, shipped_models())) == sum(SHIPPED.values())
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


def test_several_networks_come_in_order_and_alike(path, tiny, tmp_path):
    tiny.name = "other"
    other = saved(tiny, tmp_path / "other.safetensors")
    found = load_models([other, str(path)], strength=0.75)
    assert [(network.name, network.config.strength) for network in found] == [("other", 0.75), ("tiny", 0.75)]
    assert load_models([path])[0].config.strength != 0.75
    assert load_models(()) == []
    assert load_models([path], device="meta")[0].readout.weight.device.type == "meta"
    with refused("models must have different names, got tiny more than once; rename a file"):
        load_models([path, other, path])


# Damaged and foreign files


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    return saved(GatedNetwork(SMALL, torch.Generator().manual_seed(0)), path).read_bytes(), path


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
    for read in (load_model, read_metadata):
        with refused(
            f"model {str(path)!r} is not a checkpoint of this package: its metadata says format {found!r}, "
            "expected 'neuroattn-checkpoint-1'; load a file that neuroattn.training wrote"
        ):
            read(path)


def test_a_header_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes((2**23 + 1).to_bytes(8, "little") + b"{}" + b" " * 2**23)
    monkeypatch.setattr(checkpoint, "safe_open", None)
    reason = "its header says that it has 8,388,609 bytes, and 8,388,608 are the most"
    for read in (load_model, read_metadata):
        with refused(
            f"model {str(path)!r} is not a whole safetensors file ({reason}); it may be cut off: copy it again"
        ):
            read(path)


def rewritten(network, path, state=None, **changes):
    """Write a network's weights and metadata with changes; None takes a part away."""
    good = {
        "format": "neuroattn-checkpoint-1",
        "name": "tiny",
        "seed": "13",
        "config": network.config.to_json(),
        "training": "{}",
        "provenance": "{}",
    }
    parts = dict(network.state_dict()) | (state or {})
    save_file(
        {key: value for key, value in parts.items() if value is not None},
        path,
        {key: value for key, value in (good | changes).items() if value is not None},
    )
    return path


DAMAGED = "has damaged metadata ({}); copy it again"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"config": None}, DAMAGED.format("no config")),
        *(
            ({"seed": seed}, DAMAGED.format(reason))
            for seed, reason in [
                ("1 3", "seed: Extra data: line 1 column 3 (char 2)"),
                ("13.0", "Expected `int | null`, got `float` - at `seed`"),
                ("true", "Expected `int | null`, got `bool` - at `seed`"),
                ("-1", "Expected `int` >= 0 - at `seed`"),
                (str(2**70), "Expected `int` <= 9223372036854775807 - at `seed`"),
            ]
        ),
        ({"provenance": "[]"}, DAMAGED.format("Expected `object`, got `array` - at `provenance`")),
        ({"training": "null"}, DAMAGED.format("Expected `object`, got `null` - at `training`")),
        ({"training": "[" * 10**5}, "has damaged metadata (training: maximum recursion depth exceeded*"),
        ({"training": '{"epochs": [{"epoch": NaN}]}'}, DAMAGED.format("training: NaN is no number of JSON")),
        (
            {"training": '{"classes": ["a"], "classes": ["b"]}'},
            DAMAGED.format("training: a name stands twice in one object"),
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
    ],
)
def test_metadata_that_is_damaged(tiny, tmp_path, changes, text):
    require_line(rewritten(tiny, tmp_path / "a.safetensors", **changes), text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
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
        ([3], "Expected `object`, got `array`)"),
    ],
)
def test_a_configuration_that_is_damaged(tiny, tmp_path, change, reason):
    config = dataclasses.asdict(tiny.config) | change if isinstance(change, dict) else change
    path = rewritten(tiny, tmp_path / "a.safetensors", config=json.dumps(config))
    require_line(path, f"has a configuration of another version, or a damaged one ({reason}")


def require_line(path, text):
    with refused(f"model {str(path)!r} {text}") as caught:
        load_model(path)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


STRANGE = "\x1b[31m" * 100


@pytest.mark.parametrize(
    ("config", "state", "reason"),
    [
        ({"classes": 10**7}, {}, "readout.weight has shape (11, 140), expected (10000000, 140), and 2 more"),
        ({"classes": 2**70}, {}, f"readout.weight has shape (11, 140), expected ({2**70}, 140), and 2 more"),
        ({"classes": 13}, {}, "readout.weight has shape (11, 140), expected (13, 140), and 2 more"),
        ({"kernel": 4}, {}, "stages.0.conv.weight has shape (5, 3, 3, 3), expected (5, 3, 4, 4), and 6 more"),
        ({"channels": [5]}, {}, "'stages.1.conv.bias' is none of them, and 6 more"),
        ({}, {"feedback.weight": None}, "feedback.weight (140, 11) is missing"),
        ({}, {STRANGE: torch.zeros(1)}, f"{shown(STRANGE)} is none of them"),
        *(
            (
                {},
                {"readout.bias": torch.zeros(11).to(dtype)},
                f"readout.bias holds {kind}, expected floating point numbers (F64, F32, F16, BF16)",
            )
            for dtype, kind in [
                (torch.int64, "I64"),
                (torch.bool, "BOOL"),
                (torch.complex64, "C64"),
                (torch.float8_e4m3fn, "F8_E4M3"),
            ]
        ),
    ],
)
def test_weights_that_do_not_fit_the_configuration(tiny, tmp_path, monkeypatch, config, state, reason):
    """A network of it is not even begun: it may be larger than the machine."""
    config = json.dumps(dataclasses.asdict(tiny.config) | config)
    path = rewritten(tiny, tmp_path / "a.safetensors", state, config=config)
    monkeypatch.setattr(checkpoint, "GatedNetwork", None)
    require_line(path, f"does not hold the weights its configuration needs: {reason}; copy it again")


NOT_FINITE = "holds weights that are not finite; its training went wrong"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_precision_become_single(tiny, tmp_path, dtype):
    state = {key: value.to(dtype) for key, value in tiny.state_dict().items()}
    found = load_model(rewritten(tiny, tmp_path / "a.safetensors", state)).state_dict()
    torch.testing.assert_close(found, {key: value.float() for key, value in state.items()}, rtol=0, atol=0)
    if dtype is torch.float64:
        state["readout.bias"] = torch.full((11,), 1e300, dtype=dtype)
        require_line(rewritten(tiny, tmp_path / "a.safetensors", state), NOT_FINITE)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tiny, tmp_path, bad):
    with torch.no_grad():
        tiny.stages[1].top_down.deconv.weight[3, 2, 1, 0] = bad
    require_line(saved(tiny, tmp_path / "a.safetensors"), NOT_FINITE)


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
        try:
            found = read(path)
        except ValueError as error:
            line = str(error)
            assert line.startswith("model ")
            assert line.isprintable()
            assert len(line) < 700
        else:
            assert read is not load_model or found.config.weight_shapes == SMALL.weight_shapes


# The hash of the weights


def test_the_hash_is_that_of_the_weights_alone(tiny, path):
    expected = weights_hash(tiny)
    assert re.fullmatch(r"[0-9a-f]{64}", expected)
    assert weights_hash(load_model(path)) == expected
    assert weights_hash(tiny.with_strength(0.9)) == expected
    assert weights_hash(tiny.to(memory_format=torch.channels_last)) == expected
    if torch.cuda.is_available():
        assert weights_hash(tiny.to("cuda")) == expected


def test_every_weight_counts(tiny):
    before = {weights_hash(tiny)}
    for parameter in tiny.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-4
        before.add(weights_hash(tiny))
    assert len(before) == 1 + len(list(tiny.parameters()))
