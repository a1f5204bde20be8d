"""Any torch module as a subject: names of its modules, and a run that says which phase and step comes next."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from neuroattn.models.checkpoint import weights_hash
from neuroattn.models.state_hash import state_hash
from neuroattn.recording.subject import Tapped, device_of, takes_hooks
from neuroattn.recording.units import array_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from neuroattn.recording.clock import Clock
    from neuroattn.stimuli.stimulus_set import StimulusSet

    Run = Callable[[nn.Module, torch.Tensor], Iterator[tuple[int, int]]]

# Layers whose output depends on chance or on the batch while a module trains; torch has no public name for them.
_RESTLESS = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)  # noqa: SLF001


def one_pass(module: nn.Module, images: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Run a module once, in phase 0 and step 0; what is called again in the pass takes the steps that follow."""
    yield 0, 0
    module(images)


class TimedModule:
    """Any torch module, to be recorded.

    Parameters
    ----------
    module
        The model, in evaluation mode.
    run
        ``run(module, images)`` with images (batch, channel, y, x) on the module's device: a generator that yields
        (phase, step), whole numbers from 0, *before* it computes that step. A module called several times within one
        announced step takes the steps that follow; announcing those as well is then an error. A phase, or steps that
        begin again, begin another presentation of the same stimuli. The default calls the module once.
    variables
        Names of modules whose outputs can be recorded, dotted as ``module.named_modules()`` gives them; or a mapping
        from names of your own (``V1/response``) to those. ``name[k]`` is element k of a tuple, without it the
        first is taken; ``name[key]`` is that of a mapping. None: every module under its dotted name. Outputs have the
        batch first, then up to three axes, which are labelled channel, y, x.
    name, seed
        What recordings call it, and the seed it was trained from.
    mean, std
        For each channel: images in [0, 1] are shown as (image − mean)/std. None shows them as they are.

    Raises
    ------
    ValueError
        If the module trains, or a name is none of its modules.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        run: Run = one_pass,
        variables: Sequence[str] | Mapping[str, str] | None = None,
        name: str | None = None,
        seed: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        _require_rest(module)
        self.module, self._run, self.seed = module, run, seed
        self.name = type(module).__name__.lower() if name is None else name
        self._mean, self._std = mean, std
        self._known: dict[str, str] | None = None
        if variables is not None:
            named = variables if isinstance(variables, Mapping) else {path: path for path in variables}
            self.tapped(list(dict.fromkeys(named.values())))  # as names of modules
            self._known = dict(named)

    def tapped(self, variables: Sequence[str]) -> dict[str, Tapped]:
        """Return where variables exist; see `Subject`."""
        modules = {path: part for path, part in self.module.named_modules() if path}
        known = list(modules) if self._known is None else list(self._known)
        listed = ", ".join(known[:12]) + (f" … ({len(known)} in all)" if len(known) > 12 else "")
        if not variables:
            raise ValueError(f"variables must name at least one variable, got none; choose from {listed}")
        twice = sorted({name for name in variables if list(variables).count(name) > 1})
        if twice:
            raise ValueError(f"variables must not repeat, got {', '.join(twice)} more than once; name each once")
        found = {}
        for name in variables:
            path = name if self._known is None else self._known.get(name, "")
            match = re.fullmatch(r"(.*?)(?:\[([^\[\]]+)\])?", path)
            part = self.module if match is None else modules.get(match[1], self.module)
            if not takes_hooks(part):
                raise ValueError(
                    f"variables must be of modules that torch can watch, got {name!r}, which TorchScript took; record "
                    "the module as it was before torch.jit, or a part around it"
                )
            if match is None or match[1] not in modules:
                raise ValueError(f"variables must be among {listed}, got {name!r}; {self._advice(path)}")
            key = match[2]
            found[name] = Tapped(part, int(key) if key is not None and re.fullmatch(r"\d+", key) else key)
        return found

    def _advice(self, path: str) -> str:
        """Return what to do about a name that is none of the modules'."""
        under_all_names = dict(self.module.named_modules(remove_duplicate=False))
        if path and self._known is None and path in under_all_names:
            first = next(name for name, part in self.module.named_modules() if part is under_all_names[path])
            return f"that is {first!r} again: record {first!r}, which has a time step for each of its calls"
        return "correct the name"

    def run(self, stimuli: StimulusSet, clock: Clock) -> Generator[tuple[int, int], None, pd.DataFrame]:
        """Show a batch of stimuli; see `Subject`. Nothing but their order is known of the presentations."""
        first = next((part for part in self.module.parameters() if part.is_floating_point()), torch.empty(0))
        # Users flip pictures and map them from read-only files; torch takes neither.
        images = torch.from_numpy(np.array(stimuli.images, order="C")).to(device_of(self.module), first.dtype)
        if self._mean is not None:
            images = images - images.new_tensor(self._mean).reshape(-1, 1, 1)
        if self._std is not None:
            images = images / images.new_tensor(self._std).reshape(-1, 1, 1)
        steps = self._run(self.module, images)
        if not hasattr(steps, "__next__"):
            raise ValueError(
                f"run must be a generator that yields (phase, step), got one that returned {type(steps).__name__}; "
                "yield before each step"
            )
        yield from steps
        columns = {} if self.seed is None else {"seed": self.seed}
        return pd.DataFrame(columns, index=range(len(stimuli) * len(clock.phases)))

    def require(self, stimuli: StimulusSet) -> None:
        """Raise unless normalisation and stimuli have the same channels; the module itself says what else it takes."""
        _require_rest(self.module)
        channels = stimuli.images.shape[1]
        for name, values in (("mean", self._mean), ("std", self._std)):
            if values is not None and len(values) != channels:
                raise ValueError(f"{name} must have one value for each of {channels} channels, got {len(values)}")
        if self._std is not None and not min(self._std) > 0:
            raise ValueError(f"std must be above 0 in every channel, got {list(self._std)}")

    def sees(self, variable: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Refuse: the receptive fields of any module are not known."""
        del mask
        raise ValueError(
            f"field must be None for {variable} of {self.name}: receptive fields are known of gated networks only; use "
            "y and x"
        )

    def identity(self) -> dict[str, Any]:
        """Return weights, structure, run and normalisation; see `Subject`."""
        own = {name: path for name, path in (self._known or {}).items() if name != path}
        return {
            "network": f"{type(self.module).__module__}.{type(self.module).__qualname__}",
            "weights": weights_hash(self.module),
            "model_config": {
                "structure_sha256": hashlib.sha256(_structure(self.module).encode()).hexdigest(),
                "run_sha256": hashlib.sha256(_source(self._run).encode()).hexdigest(),
                **({"modules": own} if own else {}),
            },
            "preprocessing": {"mean": _listed(self._mean), "std": _listed(self._std)},
        }


def _dropout(part: nn.Module) -> float:
    given = getattr(part, "dropout", 0)
    return given if isinstance(given, int | float) else 0


def _require_rest(module: nn.Module) -> None:
    restless = [
        path
        for path, part in module.named_modules()
        # A recurrent layer and an attention layer have their dropout as a number.
        if getattr(part, "training", False) and (isinstance(part, _RESTLESS) or _dropout(part) > 0)
    ]
    if restless:
        raise ValueError(f"module must be in evaluation mode, got {restless[0]!r} in training; call .eval() first")


def _structure(module: nn.Module) -> str:
    """Return what a module is but for its weights: its parts, their plain attributes, and code that is not torch's."""
    texts = [repr(module)]
    for path, part in module.named_modules():
        own = {k: v for k, v in vars(part).items() if not k.startswith("_") and k != "training"}
        own |= dict(part.named_buffers(recurse=False))  # those too that a state does not keep
        texts.append(f"{path}{_plain(sorted(own.items()))}")
        if isinstance(part, torch.jit.ScriptModule):
            texts.append(_scripted(part))
    classes = {type(part) for part in module.modules() if not type(part).__module__.startswith("torch.")}
    texts += [_source(kind) for kind in sorted(classes, key=lambda kind: kind.__qualname__)]
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


def _source(run: Any) -> str:
    """Return what a run does: its source, and the plain values that it was made with."""
    if isinstance(run, functools.partial):
        return f"{_source(run.func)}{_plain(run.args)}{_plain(sorted(run.keywords.items()))}"
    try:
        source = inspect.getsource(run)
    except (OSError, TypeError):  # defined in a prompt, or in C
        source = repr(getattr(run, "__qualname__", type(run)))
    held: dict[str, Any] = {}
    if inspect.isfunction(run):
        variables = inspect.getclosurevars(run)
        held = {**variables.globals, **variables.nonlocals}
    elif inspect.ismethod(run):
        held = {"self": vars(run.__self__) if hasattr(run.__self__, "__dict__") else None}
    elif not isinstance(run, type) and hasattr(run, "__dict__"):
        source, held = _source(type(run)), vars(run)
    return source + _plain(held)


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


def _listed(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
