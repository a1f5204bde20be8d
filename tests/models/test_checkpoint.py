"""Weights on disk: they come back as they were, or one error says why not."""

from __future__ import annotations

import os
import pickle
import re
import stat

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
    read_metadata,
    save_model,
    shipped_models,
    weights_hash,
)
from neuroattn.models.config import GatedConfig, digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork

TRAINING = {"options": {"epochs": 3}, "epochs": [{"epoch": 1, "validation_accuracy": 0.5}]}
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
    with pytest.raises(OSError, match=r"^no space left on device$"):
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
    monkeypatch.setattr(checkpoint, "_SHIPPED", tmp_path)
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
    config = GatedConfig(size=(1, 5, 5), channels=(2,), classes=3, kernel=2)
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    return saved(GatedNetwork(config, torch.Generator().manual_seed(0)), path).read_bytes(), path


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
        ({"config": None}, "has damaged metadata ('config'); copy it again"),
        ({"seed": "1 3"}, "has damaged metadata (Extra data: line 1 column 3 (char 2)); copy it again"),
        (
            {"config": '{"colour": 3}'},
            (
                "has a configuration of another version "
                "(GatedConfig.__init__() got an unexpected keyword argument 'colour')"
            ),
        ),
        ({"config": "[3]"}, "has a configuration of another version ('list' object has no attribute 'items')"),
    ],
)
def test_metadata_that_is_damaged(tiny, tmp_path, changes, text):
    path = tmp_path / "a.safetensors"
    save_file(dict(tiny.state_dict()), path, metadata_of(tiny, **changes))
    with refused(f"model {str(path)!r} {text}"):
        load_model(path)


def test_weights_of_another_configuration(tiny, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(dict(tiny.state_dict()), path, metadata_of(tiny, config=digits_config().to_json()))
    start = f"model {str(path)!r} does not hold the weights its configuration needs: "
    with pytest.raises(ValueError, match=f"^{re.escape(start)}.*size mismatch for readout.weight") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


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
        f"model {str(path)!r} is not a state dict: expected names with tensors, got {kind}; "
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
        f"model {str(tmp_path / 'a.pt')!r} does not hold the weights its configuration needs: Error(s) in loading "
        'state_dict for GatedNetwork: Missing key(s) in state_dict: "stages.1.top_down.deconv.bias".'
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        load_model(tmp_path / "a.pt")


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
