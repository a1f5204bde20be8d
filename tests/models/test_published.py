"""Files published with the paper: state dicts of tensors, and nothing else is taken from a file."""

from __future__ import annotations

import os
import pickle
import re
import zipfile

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refused import refused

from neuroattn.models.checkpoint import load_model, weights_hash
from neuroattn.models.config import digits_config, scenes_config
from neuroattn.models.gated import GatedNetwork


def digits(n_objects=2):
    return GatedNetwork(digits_config(n_objects=n_objects), torch.Generator().manual_seed(0))


def published(network):
    """Return a network's weights under the names of the published files."""
    names = {"conv.": "conv{}.", "top_down.deconv.": "conv{}_t."}
    state = {}
    for key, value in network.state_dict().items():
        match = re.fullmatch(r"stages\.(\d+)\.(conv\.|top_down\.deconv\.)(.*)", key)
        new = names[match[2]].format(int(match[1]) + 1) + match[3] if match else key
        state[new.replace("readout.", "linear_out.").replace("feedback.", "linear_out_t.")] = value
    return state


def test_the_published_networks(paper_digits, paper_scenes):
    assert paper_digits.config == digits_config()
    assert (paper_digits.config.strength, paper_digits.name, paper_digits.seed) == (0.2, "paper_mnist_model", None)
    assert not paper_digits.training
    assert paper_scenes.config == scenes_config()
    assert (paper_scenes.config.strength, paper_scenes.name) == (0.3, "paper_coco_model")


def test_the_published_names(paper_digits, reference):
    state = torch.load(reference / "reference" / "paper_mnist_model.pt", map_location="cpu", weights_only=True)
    torch.testing.assert_close(published(paper_digits), dict(state), rtol=0, atol=0)


@pytest.mark.parametrize("n_objects", [2, 3])
def test_a_published_file_of_digits(tmp_path, n_objects):
    network, path = digits(n_objects), tmp_path / "some.pt"
    torch.save(published(network), path)
    assert load_model(path).config == digits_config(n_objects=n_objects)
    assert load_model(path, strength=0.5).config == digits_config(n_objects=n_objects, strength=0.5)
    assert weights_hash(load_model(path)) == weights_hash(network)


@pytest.fixture(scope="module")
def cut_pt(tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.pt"
    state, contents = published(digits()), []
    for new in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=new)
        contents.append(path.read_bytes())
    return contents, path


NOT_WHOLE = r"^model '.*' is not a whole PyTorch state dict \(.+\); nothing but tensors "


@settings(max_examples=60, deadline=None)
@given(fraction=st.floats(0, 1, exclude_max=True), legacy=st.booleans())
@example(fraction=0, legacy=False)
@example(fraction=1 - 1e-9, legacy=False)
@example(fraction=1 - 1e-9, legacy=True)
def test_a_file_that_is_cut_off(cut_pt, fraction, legacy):
    contents, path = cut_pt
    content = contents[legacy]
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ValueError, match=NOT_WHOLE):
        load_model(path)


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
    ("content", "reason"), [(b"\x80\x02ee", "IndexError"), (b"\x80\x02h\x65.", "KeyError"), (b"", "EOFError")]
)
def test_the_reason_is_never_a_bare_key(tmp_path, content, reason):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    reason = f"{reason}: damaged or not a PyTorch file"
    with refused(
        f"model {str(path)!r} is not a whole PyTorch state dict ({reason}); nothing but tensors is ever unpickled"
    ):
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
    with pytest.raises(ValueError, match=NOT_WHOLE):
        load_model(path)
    assert not trace.exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())  # noqa: S301 -- the test's own file: it would have run code
        assert trace.exists()


NO_STATE = (
    "is not a state dict: expected names with dense tensors, got {}; load a file published with the paper or a "
    ".safetensors checkpoint"
)
FOREIGN = "is not one of the paper's files: expected conv1 …, linear_out and their _t twins, got {} …"
OTHER_SIZE = (
    "has neither the paper's digits nor its scenes architecture (read-out of {} units); only those two sizes can be "
    "recognised from a .pt file"
)
OTHER_WEIGHTS = "does not hold the weights its configuration needs: {}; copy it again"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([torch.zeros(2)], NO_STATE.format("list")),
        ({}, NO_STATE.format("dict")),
        ({"conv1.weight": 3}, NO_STATE.format("dict")),
        ({1: torch.zeros(2)}, NO_STATE.format("dict")),
        (torch.zeros(2), NO_STATE.format("Tensor")),
        (
            {"layer.weight": torch.zeros(2), "layer.bias": torch.zeros(2)},
            FOREIGN.format("layer.weight, layer.bias"),
        ),
        (
            {"conv1.weight": torch.zeros(2), "readout.weight": torch.zeros(2)},
            FOREIGN.format("conv1.weight, readout.weight"),
        ),
        *(
            ({name: torch.zeros(2, 1, 4, 4), "linear_out.weight": torch.zeros(10, 77)}, FOREIGN.format(told))
            for name, told in [
                ("conv01.weight", "conv01.weight, linear_out.weight"),
                ("conv١.weight", "conv١.weight, linear_out.weight"),
                ("conv0.weight", "conv0.weight, linear_out.weight"),
                (f"conv{'9' * 5000}.weight", f"conv{'9' * 49}…{'9' * 19}.weight, linear_out.weight"),
                ("\x1b[31mconv1.weight", "\\x1b[31mconv1.weight, linear_out.weight"),
            ]
        ),
        (
            {"conv1.weight": torch.zeros(2, 1, 4, 4), "linear_out.weight": torch.zeros(10, 77)},
            OTHER_SIZE.format(77),
        ),
        ({"conv1.weight": torch.tensor(2.0), "linear_out.weight": torch.zeros(7)}, OTHER_SIZE.format(1)),
    ],
)
def test_a_file_that_holds_something_else(tmp_path, content, text):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    with refused(f"model {str(path)!r} {text}"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"conv2_t.bias": None}, OTHER_WEIGHTS.format("stages.1.top_down.deconv.bias (20,) is missing")),
        *(
            (
                {"linear_out.bias": torch.zeros(10, dtype=getattr(torch, kind))},
                OTHER_WEIGHTS.format(
                    f"readout.bias holds {kind}, expected floating point numbers (F64, F32, F16, BF16)"
                ),
            )
            for kind in ("int64", "complex64", "bool")
        ),
        ({"linear_out.bias": torch.empty(10, device="meta")}, NO_STATE.format("dict")),
        ({"linear_out.bias": torch.eye(10).to_sparse()}, NO_STATE.format("dict")),
        (
            {"linear_out.bias": torch.full((10,), float("nan"))},
            "holds weights that are not finite; its training went wrong",
        ),
    ],
)
def test_a_published_file_with_another_weight(tmp_path, changes, text):
    state = {name: value for name, value in (published(digits()) | changes).items() if value is not None}
    torch.save(state, tmp_path / "a.pt")
    with refused(f"model {str(tmp_path / 'a.pt')!r} {text}"):
        load_model(tmp_path / "a.pt")


def test_a_file_that_unpacks_to_more_than_itself(tmp_path, monkeypatch):
    network = digits()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    torch.save(published(network), tmp_path / "plain.pt")
    assert load_model(tmp_path / "plain.pt").config == network.config
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
