"""Files published with the paper: state dicts, which hold a network's weights and nothing else.

Nothing is ever unpickled except tensors (``weights_only=True``).
"""

from __future__ import annotations

import math
import pickle
import re
import warnings
import zipfile
from typing import TYPE_CHECKING

import torch

from neuroattn.models.config import digits_config, scenes_config
from neuroattn.models.metadata import require_weights
from neuroattn.runs.plain_text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuroattn.models.config import GatedConfig

# What torch.load raises on purpose; the text of anything else is a bare key, index or opcode.
_TELLING = (RuntimeError, pickle.UnpicklingError, EOFError, OSError)


def read_published(path: Path) -> tuple[GatedConfig, dict[str, torch.Tensor]]:
    """Return the configuration of a file published with the paper, and its weights by this package's names.

    Raises
    ------
    ValueError
        If it is another file, or a damaged one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"layer.weight": torch.zeros(2)}, Path(folder, "a.pt"))
    ...     read_published(Path(folder, "a.pt"))
    Traceback (most recent call last):
    ValueError: model '...a.pt' is not one of the paper's files: expected conv1 …, linear_out and their _t twins, ...
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of a file that is refused anyway
            _require_as_large(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise anything: KeyError, IndexError, AssertionError
        reason = shortened(str(error).split("\n", maxsplit=1)[0].split(". ", maxsplit=1)[0], 200)
        if not reason or not isinstance(error, _TELLING):
            reason = f"{type(error).__name__}: damaged or not a PyTorch file"
        raise ValueError(
            f"model {str(path)!r} is not a whole PyTorch state dict ({reason}); nothing but tensors is ever unpickled"
        ) from error
    if not (
        isinstance(state, dict)
        and state
        and all(isinstance(key, str) and _is_plain(value) for key, value in state.items())
    ):
        raise ValueError(
            f"model {str(path)!r} is not a state dict: expected names with dense tensors, got {type(state).__name__}; "
            "load a file published with the paper or a .safetensors checkpoint"
        )
    stages = sorted(int(match[1]) for key in state if (match := re.fullmatch(r"conv([1-9][0-9]?)\.weight", key)))
    named = {_own_key(key): value for key, value in state.items()}
    if not stages or stages != list(range(1, len(stages) + 1)) or "linear_out.weight" not in state:
        raise ValueError(
            f"model {str(path)!r} is not one of the paper's files: expected conv1 …, linear_out and their _t twins, "
            f"got {', '.join(map(shortened, list(state)[:4]))} …"
        )
    config = _published_config(state, len(stages), path)
    require_weights(path, config, {key: (tuple(value.shape), _kind(value)) for key, value in named.items()})
    return config, named


def _require_as_large(path: Path) -> None:
    """Raise if a zip archive would unpack to more than its own size, as a zip bomb does."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > path.stat().st_size:
            raise OSError(f"it would unpack to {unpacked:,} bytes, and torch.save does not compress")


def _is_plain(value: object) -> bool:
    """Return whether a value is a dense tensor on the CPU."""
    if not isinstance(value, torch.Tensor):
        return False
    return value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized


def _kind(value: torch.Tensor) -> str:
    """Return a tensor's type: safetensors' name for floating point numbers, torch's for others."""
    kinds = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    return kinds.get(value.dtype, str(value.dtype).removeprefix("torch."))


def _own_key(key: str) -> str:
    """Return this package's name of a parameter in a published file."""
    key = re.sub(r"^conv([1-9][0-9]?)_t\.", lambda match: f"stages.{int(match[1]) - 1}.top_down.deconv.", key)
    key = re.sub(r"^conv([1-9][0-9]?)\.", lambda match: f"stages.{int(match[1]) - 1}.conv.", key)
    return key.replace("linear_out_t.", "feedback.").replace("linear_out.", "readout.")


def _published_config(state: Mapping[str, torch.Tensor], stages: int, path: Path) -> GatedConfig:
    """Return the paper's configuration whose read-out is as wide, the only trace of the image's size in the file."""
    width = math.prod(state["linear_out.weight"].shape[1:])
    channels = tuple(side for number in range(1, stages + 1) for side in state[f"conv{number}.weight"].shape[:1])
    candidates = [scenes_config(), *(digits_config(n_objects=n) for n in range(2, 11))]
    for config in candidates:
        if config.channels == channels and math.prod(config.pooled_sizes[-1]) == width:
            return config
    raise ValueError(
        f"model {str(path)!r} has neither the paper's digits nor its scenes architecture (read-out of {width} units); "
        "only those two sizes can be recognised from a .pt file"
    )
