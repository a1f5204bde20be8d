"""A hash of module state that is more than plain weights."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def state_hash(value: Any) -> str:
    """Return the SHA-256 of the state of a module: tensors, quantized or sparse ones too, and any extra state.

    Raises
    ------
    ValueError
        If it can be neither read nor pickled.

    Examples
    --------
    >>> state_hash({"scale": 1.5, "shift": torch.zeros(2)}) == state_hash({"shift": torch.zeros(2), "scale": 1.5})
    True
    """
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().resolve_conj()
        if plain.is_quantized:
            scheme = _scales(plain)
            return state_hash([str(plain.dtype), *scheme, plain.int_repr()])
        if plain.layout is not torch.strided:
            plain = plain.to_dense()
        numbers = plain.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        text = f"{value.dtype}{value.layout}{tuple(value.shape)}".encode() + numbers
    elif isinstance(value, Mapping):
        text = state_hash([[str(key), value[key]] for key in sorted(value, key=str)]).encode()
    elif isinstance(value, list | tuple):
        text = "".join(map(state_hash, value)).encode()
    elif value is None or isinstance(value, bool | int | float | str | torch.dtype):
        text = f"{type(value).__name__}{value!r}".encode()
    else:
        try:
            text = pickle.dumps(value.getvalue() if isinstance(value, io.BytesIO) else value, protocol=4)
        except Exception as error:  # whatever the object's own code raises
            raise ValueError(
                f"the state of a module must be tensors and plain values, got {type(value).__name__}, which cannot be "
                "told from another; return plain values from get_extra_state"
            ) from error
    return hashlib.sha256(text).hexdigest()


def _scales(quantized: torch.Tensor) -> list[Any]:
    """Return the scales and zero points of a quantized tensor."""
    if quantized.qscheme() in {torch.per_tensor_affine, torch.per_tensor_symmetric}:
        return [quantized.q_scale(), quantized.q_zero_point()]
    return [quantized.q_per_channel_scales(), quantized.q_per_channel_zero_points(), quantized.q_per_channel_axis()]


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's dtype, shape and values.

    >>> array_hash(np.zeros(3)) == array_hash(np.zeros((3, 1)))
    False
    """
    plain = np.ascontiguousarray(array)
    return hashlib.sha256(f"{plain.dtype.str}{plain.shape}".encode() + plain.tobytes()).hexdigest()
