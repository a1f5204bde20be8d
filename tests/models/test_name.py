"""What a network may be called, and that one of another name is never loaded."""

from __future__ import annotations

import pytest
import torch
from refused import refused
from safetensors import safe_open
from safetensors.torch import save_file

from neuroattn.models.checkpoint import load_model, save_model, shipped_models
from neuroattn.models.config import digits_config
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.name import require_name

CHARACTERS = "name must consist of letters, digits, '-', '_' and '.', got {}"
REFUSED = [
    ("", CHARACTERS.format("''")),
    ("a/b", CHARACTERS.format("'a/b'")),
    ("a b", CHARACTERS.format("'a b'")),
    ("\x1b[2J", CHARACTERS.format(r"'\x1b[2J'")),
    ("conv١", CHARACTERS.format("'conv١'")),
    ("=1+1", CHARACTERS.format("'=1+1'")),
    ("..", "name must not begin with '.', got '..'; it names files and folders"),
    ("-1", "name must not begin with '-', got '-1'; it names files and folders"),
    ("x" * 300, f"name must have at most 100 characters, got 300: '{'x' * 37}...{'x' * 38}'"),
    ("zarr.json", "name must not be 'zarr.json', got 'zarr.json', which is a file of every store"),
    ("Zarr.JSON", "name must not be 'zarr.json', got 'Zarr.JSON', which is a file of every store"),
]


@pytest.mark.parametrize(("name", "text"), [*REFUSED, (None, CHARACTERS.format("None")), (7, CHARACTERS.format("7"))])
def test_names_that_are_refused(name, text):
    with refused(text):
        require_name(name)


@pytest.mark.parametrize("name", ["a", "_x", "digits-0", "paper_mnist_model", "A.b-3_c", "x" * 100])
def test_names_that_are_taken(name):
    require_name(name)


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_file_with_such_a_name_in_it(tmp_path, name, text):
    path = tmp_path / "a.safetensors"
    save_model(
        GatedNetwork(digits_config(), torch.Generator().manual_seed(0), name="a"), path, training={}, provenance={}
    )
    with safe_open(path, framework="pt") as file:
        metadata, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(state, path, metadata | {"name": name})
    with refused(f"model {str(path)!r} has a name that cannot be used: {text}; save it under another one"):
        load_model(path)


def test_a_published_file_is_called_after_its_file(reference, tmp_path):
    path = tmp_path / "a copy.pt"
    path.write_bytes((reference / "reference" / "paper_mnist_model.pt").read_bytes())
    with refused(
        f"model {str(path)!r} has a name that cannot be used: {CHARACTERS.format(repr('a copy'))}; rename the file"
    ):
        load_model(path)


def test_no_file_is_written_that_could_not_be_loaded(tmp_path):
    with refused(CHARACTERS.format("'a/b'")):
        save_model(GatedNetwork(digits_config(), name="a/b"), tmp_path / "a.safetensors", training={}, provenance={})
    assert not list(tmp_path.iterdir())


def test_every_shipped_network_may_be_called_so():
    for name in shipped_models():
        require_name(name)
