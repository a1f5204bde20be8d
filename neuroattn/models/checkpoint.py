"""Weights on disk: this package's safetensors files, with their metadata, and the paper's published ``.pt`` files.

Nothing is ever unpickled except tensors (``weights_only=True``).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neuroattn.models.about import About
from neuroattn.models.gain_cnn import KIND, Attention, GainCNN, GainConfig
from neuroattn.models.gated import GatedNetwork
from neuroattn.models.metadata import FORMAT, configured, own_metadata, require_weights
from neuroattn.models.name import require_name
from neuroattn.models.published import read_published
from neuroattn.models.state_hash import state_hash
from neuroattn.runs.local_path import local_path
from neuroattn.runs.output_file import replacing
from neuroattn.runs.plain_text import shortened, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

Network: TypeAlias = GatedNetwork | GainCNN

_PACKAGE = Path(__file__).resolve().parents[1]
# An installed package carries its checkpoints; in a source tree they lie beside it.
SHIPPED_FOLDER = next((p for p in (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints") if p.is_dir()), _PACKAGE)

MOST_HEADER = 2**23  # bytes, enough for thousands of epochs


def shipped_models() -> list[str]:
    """Return the names of the networks that come with the package.

    >>> shipped_models()[:3]
    ['digits-0', 'digits-1', 'digits-2']
    """
    return sorted(path.stem for path in SHIPPED_FOLDER.glob("*.safetensors"))


def load_model(name: str | Path, *, device: str | torch.device = "cpu", strength: float | None = None) -> Network:
    """Load a network, in evaluation mode.

    Parameters
    ----------
    name
        A shipped name (`shipped_models`), or the path of a ``.safetensors`` file of this package or of a ``.pt`` file
        published with the paper. Behind the name of a plain network stands how attention acts on it, where it is not to
        act by the default: ``gaincnn-0:place,layer=1,strength=0.4``; see `neuroattn.models.gain_cnn.Attention`.
    device
        Where the weights go.
    strength
        Gate strength s in [0, 1] in place of the checkpoint's. Published files do not hold theirs; the paper's value
        is taken (0.2 for digits, 0.3 for scenes).

    Raises
    ------
    ValueError
        If the name is unknown, or the file is not a checkpoint, is damaged, or gives the network a name that
        `neuroattn.models.name` refuses.

    Examples
    --------
    >>> network = load_model("digits-0", strength=0.5)
    >>> network.name, network.config.size, network.config.strength
    ('digits-0', (1, 28, 42), 0.5)
    """
    base, attention = _attended(name)
    path = checkpoint_path(base)
    network = _load_published(path) if path.suffix == ".pt" else _load_own(path)
    if attention:
        _attend(network, attention, str(base))
    try:
        require_name(network.name)
    except ValueError as error:
        how = "rename the file" if path.suffix == ".pt" else "save it under another one"
        raise ValueError(f"model {str(path)!r} has a name that cannot be used: {error}; {how}") from error
    if strength is not None:
        network = gated(network, "strength is that of gates").with_strength(strength)
    return network.to(device).eval()


def gated(network: Network, why: str = "") -> GatedNetwork:
    """Return a network that has gates, as it is.

    Raises
    ------
    ValueError
        If it has none.

    Examples
    --------
    >>> gated(load_model("gaincnn-0"))
    Traceback (most recent call last):
    ValueError: models must be gated networks here, got 'gaincnn-0', a plain one without gates; leave it out
    """
    if isinstance(network, GatedNetwork):
        return network
    raise ValueError(
        f"models must be gated networks here{why and f' ({why})'}, got {network.name!r}, a plain one without gates; "
        "leave it out"
    )


def _attended(name: str | Path) -> tuple[str | Path, str]:
    """Return a name and how attention acts on the network, which may stand behind a colon."""
    base, colon, how = str(name).rpartition(":")
    return (base, how) if colon and (base in shipped_models() or base.endswith(".safetensors")) else (name, "")


def _attend(network: Network, how: str, name: str) -> None:
    if not isinstance(network, GainCNN):
        raise ValueError(
            f"model must be a plain network for ':{shortened(how)}' behind its name, got {name!r}, a gated one"
        )
    network.attention = Attention.from_text(how)
    network.name = f"{network.name}-{re.sub('[=,]', '-', how)}"


def load_models(
    names: Sequence[str | Path], *, device: str | torch.device = "cpu", strength: float | None = None
) -> list[Network]:
    """Load several networks, which recordings and tables tell apart by their names.

    Parameters
    ----------
    names
        As `load_model` takes them; networks come back in this order.
    device, strength
        Those of `load_model`, for all.

    Raises
    ------
    ValueError
        If one cannot be loaded, or two have the same name.

    Examples
    --------
    >>> [network.name for network in load_models(["digits-1", "digits-0"])]
    ['digits-1', 'digits-0']
    """
    networks = [load_model(name, device=device, strength=strength) for name in names]
    require_different(network.name for network in networks)
    return networks


def require_different(names: Iterable[str]) -> None:
    """Raise if two networks have the same name.

    >>> require_different(["digits-0", "digits-0"])
    Traceback (most recent call last):
    ValueError: models must have different names, got digits-0 more than once; rename a file
    """
    found = list(names)
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise ValueError(f"models must have different names, got {', '.join(twice)} more than once; rename a file")


def save_model(network: Network, path: Path, *, training: Mapping[str, Any], provenance: Mapping[str, str]) -> None:
    """Write a checkpoint, whole or not at all: weights, configuration, name and seed of the network, and its history.

    Parameters
    ----------
    network
    path
        Where to, ending in ``.safetensors``.
    training
        Options, data and metrics of the training, as JSON can hold them.
    provenance
        Code version, commit, library versions.

    Raises
    ------
    ValueError
        If the network has a name under which it could not be loaded again.
    OSError
        If the file cannot be written; one that was there is as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(load_model("digits-0"), Path(folder, "mine.safetensors"), training={}, provenance={})
    ...     load_model(Path(folder, "mine.safetensors")).seed
    0
    """
    require_name(network.name)
    metadata = {
        "format": FORMAT,
        "name": network.name,
        "seed": json.dumps(network.seed),
        "config": network.config.to_json(),
        "training": json.dumps(training),
        "provenance": json.dumps(dict(provenance)),
        **({"kind": KIND} if isinstance(network, GainCNN) else {}),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with replacing(path) as file:
        save_file(state, file, metadata)


def read_metadata(name: str | Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint of this package: name, seed, config, training, provenance.

    >>> read_metadata("digits-0")["config"]["channels"]
    [20, 50]
    """
    path = checkpoint_path(name)
    with _opened(path) as file:
        return own_metadata(path, file.metadata())


def read_about(name: str | Path) -> About:
    """Return what a network's file says of its training, without its weights; published files say nothing.

    >>> read_about("digits-0").options["epochs"]
    15
    """
    if checkpoint_path(name).suffix == ".pt":
        return About()
    metadata = read_metadata(name)
    return About(metadata["training"], metadata["provenance"])


def is_gated(name: str | Path) -> bool:
    """Return whether a network's file says that it has gates, as those published with the paper do.

    >>> is_gated("digits-0"), is_gated("gaincnn-0")
    (True, False)
    """
    return checkpoint_path(name).suffix == ".pt" or "kind" not in read_metadata(name)


def is_of_scenes(name: str | Path) -> bool:
    """Return whether a network's file says that it was trained on scenes.

    >>> is_of_scenes("scenes-0"), is_of_scenes("digits-0")
    (True, False)
    """
    return read_about(name).scenes is not None


def weights_hash(network: nn.Module) -> str:
    """Return the SHA-256 of a network's weights: names, shapes and values, whatever file or device they are on.

    Raises
    ------
    ValueError
        If its state holds something that cannot be told from others of its kind.

    Examples
    --------
    >>> network = load_model("digits-0")
    >>> weights_hash(network) == weights_hash(network.with_strength(0.5))
    True
    """
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        if isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_quantized:
            digest.update(f"{key}{tuple(value.shape)}".encode())
            # As bytes, because numpy has no bfloat16.
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(f"{key}{state_hash(value)}".encode())
    return digest.hexdigest()


def checkpoint_path(name: str | Path, option: str = "model") -> Path:
    """Return the file of a shipped name, or of a path; errors call it `option`.

    Raises
    ------
    ValueError
        If there is no such file or name.

    Examples
    --------
    >>> checkpoint_path("digits-0").name
    'digits-0.safetensors'
    """
    path = local_path("model", name)
    if path.suffix in {".safetensors", ".pt"}:
        if not path.is_file():
            raise ValueError(f"{option} must be a file that exists, got {shortened(str(name), 300)!r}; check the path")
        return path
    shipped = shipped_models()
    if str(name) not in shipped:
        raise ValueError(
            f"{option} must be a shipped name ({', '.join(shipped)}) or the path of a .safetensors or .pt file, "
            f"got {shown(str(name))}"
        )
    return SHIPPED_FOLDER / f"{name}.safetensors"


def _opened(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length <= MOST_HEADER:  # safetensors reads and decodes the whole of it
            return safe_open(path, framework="pt")
        reason = f"its header says that it has {length:,} bytes, and {MOST_HEADER:,} are the most"
    except (SafetensorError, OSError) as error:
        reason = shortened(str(error), 200)
    raise ValueError(
        f"model {str(path)!r} is not a whole safetensors file ({reason}); it may be cut off: copy it again"
    )


def _load_own(path: Path) -> Network:
    with _opened(path) as file:
        metadata = own_metadata(path, file.metadata())
        config, training = configured(path, metadata), About(metadata["training"], metadata["provenance"])
        parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 -- a safetensors file is no mapping
        require_weights(path, config, {key: (tuple(p.get_shape()), p.get_dtype()) for key, p in parts.items()})
        # How the weights were drawn before the training, for a control that is not trained.
        initial = training.options.get("initial", "uniform")
        named = {"name": metadata["name"], "seed": metadata["seed"]}
        network: Network = (
            GainCNN(config, **named)
            if isinstance(config, GainConfig)
            else GatedNetwork(config, initial=initial, **named)
        )
        network.about = training
        _fill(network, {key: file.get_tensor(key) for key in parts}, path)
    return network


def _load_published(path: Path) -> GatedNetwork:
    config, state = read_published(path)
    network = GatedNetwork(config, name=path.stem)
    _fill(network, state, path)
    return network


def _fill(network: Network, state: Mapping[str, torch.Tensor], path: Path) -> None:
    network.load_state_dict(dict(state))
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise ValueError(f"model {str(path)!r} holds weights that are not finite; its training went wrong")
