"""What a module and its run are but for the weights, as text that is the same in every process."""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroattn.models.state_hash import array_hash, state_hash


def structure(module: nn.Module) -> str:
    """Return what a module is but for its weights: its parts, their plain attributes, and code that is not torch's."""
    texts = [repr(module)]
    for path, part in module.named_modules():
        own = {k: v for k, v in vars(part).items() if not k.startswith("_") and k != "training"}
        own |= dict(part.named_buffers(recurse=False))  # those too that a state does not keep
        texts.append(f"{path}{_plain(sorted(own.items()))}")
        if isinstance(part, torch.jit.ScriptModule):
            texts.append(_scripted(part))
    classes = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
    texts += [source(kind) for kind in sorted(classes, key=lambda kind: kind.__qualname__)]
    return "\n".join(texts)


def _scripted(part: torch.jit.ScriptModule) -> str:
    """Return what a module does that TorchScript took: its code, and the constants and attributes that this reads."""
    code, constants = getattr(part, "code_with_constants", ("", None))  # a list of modules has no code
    read = {name: getattr(part, name, None) for name in re.findall(r"\.(\w+)", code)}
    # TorchScript numbers classes anew in every process.
    return "".join(
        [
            re.sub(r"___torch_mangle_\d+\.", "", code),
            state_hash(getattr(constants, "const_mapping", None)),
            *(f"{name}{_plain(value)}" for name, value in sorted(read.items())),
        ]
    )


def source(run: Any) -> str:
    """Return what a run does: its source, and the plain values that it was made with."""
    if isinstance(run, functools.partial):
        return f"{source(run.func)}{_plain(run.args)}{_plain(sorted(run.keywords.items()))}"
    try:
        text = inspect.getsource(run)
    except (OSError, TypeError):  # defined in a prompt, or in C
        text = repr(getattr(run, "__qualname__", type(run)))
    held: dict[str, Any] = {}
    if inspect.isfunction(run):
        variables = inspect.getclosurevars(run)
        held = {**variables.globals, **variables.nonlocals}
    elif inspect.ismethod(run):
        held = {"self": vars(run.__self__) if hasattr(run.__self__, "__dict__") else None}
    elif not isinstance(run, type) and hasattr(run, "__dict__"):
        text, held = source(type(run)), vars(run)
    return text + _plain(held)


def _plain(value: Any) -> str:
    """Return a value as text that is the same in every process; of what has no such text, its type."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, dict):
        return _plain(sorted((str(key), _plain(held)) for key, held in value.items()))
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        if plain.layout is torch.strided and not plain.is_complex() and not plain.is_quantized:
            single = plain.float()
            if bool(((single.to(plain.dtype) == plain) | (plain != plain)).all()):  # noqa: PLR0124 -- NaN
                return f"{value.dtype}{array_hash(single.numpy())}"
        return state_hash(plain)
    if isinstance(value, np.ndarray):
        return array_hash(value)
    return repr(value) if isinstance(value, int | float | str | None) else type(value).__name__
