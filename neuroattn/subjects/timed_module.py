"""Any torch module as a subject: names of its modules, and a run that says which phase and step comes next."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import nn

from neuroattn import dims
from neuroattn.models.about import About
from neuroattn.models.checkpoint import weights_hash
from neuroattn.subjects.clock import Clock
from neuroattn.subjects.fields import fields_of, random_pictures
from neuroattn.subjects.presentations import of_objects
from neuroattn.subjects.structure import source, structure
from neuroattn.subjects.subject import STATES, Tapped, device_of, takes_hooks
from neuroattn.subjects.tap import element, tap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from neuroattn.stimuli.stimulus_set import StimulusSet
    from neuroattn.subjects.fields import Fields
    from neuroattn.subjects.subject import InForce

    Run = Callable[[nn.Module, torch.Tensor], Iterator[tuple[int, int]]]
    Cue = Callable[[nn.Module, torch.Tensor, "Target"], Iterator[tuple[int, int]]]

N_CUED = 2  # objects that are cued in turn
# Layers whose output depends on chance or on the batch while a module trains; torch has no public name for them.
_RESTLESS = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)  # noqa: SLF001


def one_pass(module: nn.Module, images: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Run a module once, in phase 0 and step 0; what is called again in the pass takes the steps that follow."""
    yield 0, 0
    module(images)


class Target(NamedTuple):
    """The object that a cue directs attention to, in a batch of stimuli.

    Attributes
    ----------
    number
        Which object of every stimulus, from 0.
    picture
        (batch, channel, y, x) the object alone on black, as the stimuli hold it, on the module's device.
    label, location
        (batch,) its class, and its place from the left; None where the stimuli do not tell.
    """

    number: int
    picture: torch.Tensor
    label: torch.Tensor | None
    location: torch.Tensor | None


@runtime_checkable
class AdjustableCue(Protocol):
    """A cue that knows on which layers it acts, and how strongly (`neuroattn.subjects.gain`)."""

    def require(self, module: nn.Module) -> None:
        """Raise ValueError unless the module has the layers."""

    def with_strength(self, strength: float) -> Cue:
        """Return the cue with another strength."""

    def __call__(self, module: nn.Module, images: torch.Tensor, target: Target) -> Iterator[tuple[int, int]]:
        """Run the module; see `TimedModule`."""


class TimedModule:
    """Any torch module, to be recorded, and to go through a protocol where it can be cued.

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
    cue
        ``cue(module, images, target)``: as `run`, in one presentation, with attention directed to an object (`Target`):
        by a gain on units, a prompt, a picture before the stimulus, or whatever directs it. `run` is then how the
        module runs with attention directed nowhere. None: the module cannot be cued.

    Raises
    ------
    ValueError
        If the module trains, or a name is none of its modules.

    Examples
    --------
    >>> import neuroattn
    >>> import numpy as np
    >>> import torch
    >>> def steps(module, images):
    ...     state = images
    ...     for step in range(3):
    ...         yield 0, step
    ...         state = module(state)
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1)).eval()
    >>> model = TimedModule(module, run=steps, variables={"V1/response": "0"}, name="recurrent")
    >>> stimuli = neuroattn.StimulusSet(np.random.default_rng(0).random((7, 1, 11, 13), np.float32))
    >>> neuroattn.record(model, stimuli, ["V1/response"])["V1/response"]["activation"].shape
    (7, 3, 143)
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
        cue: Cue | None = None,
    ) -> None:
        _require_rest(module)
        if isinstance(cue, AdjustableCue):
            cue.require(module)
        self.module, self._run, self._cue, self.seed = module, run, cue, seed
        self.name = type(module).__name__.lower() if name is None else name
        self._mean, self._std = mean, std
        self._known: dict[str, str] | None = None
        if variables is not None:
            named = variables if isinstance(variables, Mapping) else {path: path for path in variables}
            self.tapped(list(dict.fromkeys(named.values())))  # as names of modules
            self._known = dict(named)
        self.size: tuple[int, int, int] | None = None  # any, as far as is known before it faces some
        self._design = "free"
        self._layers: dict[str, tuple[int, int, int]] | None = None
        self._steps: tuple[int, ...] = ()

    about = About()
    n_classes: int | None = None

    def known(self, about: About, n_classes: int | None) -> TimedModule:
        """Return the subject with what is known of its training, and of the classes that it tells apart."""
        return self._with(about=about, n_classes=n_classes)

    def __repr__(self) -> str:
        cued = "can be cued" if self._cue else "cannot be cued"
        return f"TimedModule {self.name!r} of {type(self.module).__name__}, {len(self._variables())} variables, {cued}"

    @property
    def layers(self) -> Mapping[str, tuple[int, int, int]]:
        """Maps among its variables (of its parts without parts, where none were named), as they are computed."""
        if self._layers is None:
            raise ValueError(f"layers of {self.name} are known once it faces pictures; take subject.facing(size)")
        return self._layers

    @property
    def steps(self) -> tuple[int, ...]:
        """Time steps at which all layers are computed."""
        return self._steps

    @property
    def ungated(self) -> Mapping[str, Any]:
        """The last step, with attention directed nowhere."""
        return {"steps": [self._steps[-1]]}

    @property
    def lacks(self) -> Mapping[str, str]:
        """What it cannot be asked for; see `neuroattn.subjects.subject.Subject`."""
        found = {
            "free": "it has no order of its own in which it attends objects",
            "strength": "its attention has no strength that could be set",
            "inhibition": "it hands no inhibition from one phase to the next",
            "choice": "it does not say which object it attends",
            "zero_strength": "its attention has no strength that could be set",
            "shuffled_gates": "it has no gates",
        }
        if isinstance(self._cue, AdjustableCue):
            found["strength"] = "the strength of its attention is no gate strength in [0, 1]"
            del found["zero_strength"]
        if self._cue is None:
            found["cued"] = "it cannot be cued; give TimedModule a cue"
        if len(self._steps) == 1:
            found["one_step"] = "it has a single step"
        if not any(True for _ in self.module.parameters()):
            found["untrained"] = "it has no weights"
        fixed = [path for path, part in self.module.named_modules() if not _can_be_drawn(part)]
        if fixed:
            found["untrained"] = f"the weights of {fixed[0] or type(self.module).__name__!r} cannot be drawn anew"
        return found

    def _variables(self) -> list[str]:
        if self._known is not None:
            return list(self._known)
        return [
            path
            for path, part in self.module.named_modules()
            if path and takes_hooks(part) and not any(True for _ in part.children())
        ]

    def facing(self, size: tuple[int, int, int]) -> Self:
        """Return the module before pictures of a size, once it has run through a grey one."""
        shapes, steps = self._rehearsed(size)
        common = set.intersection(*steps) if steps else set()
        if not common:
            raise ValueError(
                f"models must have layers, maps (channel, y, x) that are computed at the same step, got {self.name}, "
                "which has none; name such variables of it"
            )
        return self._with(size=size, _layers=shapes, _steps=tuple(sorted(common)))

    def _with(self, **changed: Any) -> Self:
        """Return the subject with some of what it holds changed."""
        twin = copy.copy(self)
        vars(twin).update(changed)
        return twin

    @torch.no_grad()
    def _rehearsed(self, size: tuple[int, int, int]) -> tuple[dict[str, tuple[int, int, int]], list[set[int]]]:
        """Return the shapes of the maps among the variables, bottom up, and the steps at which each is computed."""
        clock, shapes, steps = Clock(), dict[str, tuple[int, int, int]](), dict[str, set[int]]()

        def receive(name: str, presentation: int, step: int, value: torch.Tensor) -> None:
            if presentation == 0 and value.ndim == 4 and value.is_floating_point():
                _, channels, height, width = value.shape
                shapes.setdefault(name, (channels, height, width))
                steps.setdefault(name, set()).add(step)

        try:
            with tap(self.tapped(self._variables()), clock, receive), clock.run(np.arange(2), 2):
                for phase, step in self._run(self.module, self._shown(torch.full((2, *size), 0.5))):
                    clock.announce(phase, step)
        except (RuntimeError, TypeError, IndexError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"models must take pictures of (channel, y, x) = {size}, got {self.name}, which does not: {reason}"
            ) from error
        return shapes, list(steps.values())

    def _first_value(self, variable: str, images: torch.Tensor) -> torch.Tensor:
        """Return what a variable is when it is computed first."""
        where, found = self.tapped([variable])[variable], list[torch.Tensor]()
        handle = where.module.register_forward_hook(
            lambda _module, _inputs, output: found.append(element(output, variable, where.element))
        )
        try:
            for _ in self._run(self.module, images):
                if found:
                    break
        finally:
            handle.remove()
        if not found:
            raise ValueError(f"{variable} must be computed in the run, got no value of it; record the module around it")
        return found[0]

    def control(self, name: str, seed: int) -> Self:
        """Return the module of a control that it does not lack; see `neuroattn.dims.CONTROLS`."""
        if name in self.lacks:
            raise ValueError(f"control must be one that {self.name} has, got {name!r}: {self.lacks[name]}")
        if name == "zero_strength" and isinstance(self._cue, AdjustableCue):
            return self._with(_cue=self._cue.with_strength(0.0))
        if name != "untrained":
            return self
        module = copy.deepcopy(self.module)
        drawn = int(np.random.default_rng([seed, *self.name.encode()]).integers(2**32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(drawn)
            for part in module.modules():
                if any(True for _ in part.parameters(recurse=False)):
                    part.reset_parameters()  # type: ignore[operator]
        return self._with(module=module)

    def with_strength(self, strength: float) -> Self:
        """Refuse; see `lacks`."""
        raise ValueError(f"strength cannot be set for {self.name}, got {strength}: {self.lacks['strength']}")

    def on(self, device: torch.device) -> Self:
        """Return the module on a device, in evaluation mode."""
        if device_of(self.module) == device:
            return self
        return self._with(module=copy.deepcopy(self.module).to(device))

    def trials(
        self,
        stimuli: StimulusSet,
        variables: Sequence[str],
        steps: Sequence[int] | None,
        design: str,
        phases: int | None,
    ) -> Self:
        """Return the module about to run, or to be cued to either object; see `neuroattn.record`."""
        del stimuli, variables, steps
        if phases is not None:
            raise ValueError("phases must be left out for a model that is no gated network; its run says them")
        if design not in STATES:
            raise ValueError(f"design must be one of {', '.join(STATES)}, got {design!r}")
        if design in self.lacks and design == "cued":
            raise ValueError(f"design must be free for {self.name}, got 'cued': {self.lacks['cued']}")
        return self._with(_design=design)

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

    def run(
        self, stimuli: StimulusSet, clock: Clock, in_force: InForce | None = None
    ) -> Generator[tuple[int, int], None, pd.DataFrame]:
        """Show a batch of stimuli; see `Subject`. Without a cue nothing but their order is known of presentations."""
        del in_force  # all that can act here acts on variables
        images = self._shown(torch.from_numpy(np.array(stimuli.images, order="C")))
        columns: dict[str, Any] = {} if self.seed is None else {"seed": self.seed}
        if self._design == "cued":
            for number in range(N_CUED):
                yield from _generated("cue", self._cue_to(stimuli, images, number))
                if len(clock.phases) != number + 1:
                    raise ValueError(
                        f"a cue must make one presentation, got phases {clock.phases[number:]}; correct it"
                    )
            columns |= _directed(stimuli)
        else:
            yield from _generated("run", self._run(self.module, images))
        return pd.DataFrame(columns, index=range(len(stimuli) * len(clock.phases)))

    def _shown(self, images: torch.Tensor) -> torch.Tensor:
        """Return images as the module takes them."""
        first = next((part for part in self.module.parameters() if part.is_floating_point()), torch.empty(0))
        images = images.to(device_of(self.module), first.dtype)
        if self._mean is not None:
            images = images - images.new_tensor(self._mean).reshape(-1, 1, 1)
        if self._std is not None:
            images = images / images.new_tensor(self._std).reshape(-1, 1, 1)
        return images

    def _cue_to(self, stimuli: StimulusSet, images: torch.Tensor, number: int) -> Iterator[tuple[int, int]]:
        if self._cue is None or stimuli.objects is None:
            raise TypeError("only a module with a cue is cued, and to an object")
        table = stimuli.table
        known = [
            torch.as_tensor(table[name].to_numpy(copy=True), device=images.device)
            if (name := f"{column}_{number}") in table and table[name].dtype.kind in "iu"
            else None
            for column in ("label", "location")
        ]
        picture = torch.from_numpy(np.array(stimuli.objects[:, number], order="C")).to(images.device)
        return self._cue(self.module, images, Target(number, picture, *known))

    def require(self, stimuli: StimulusSet) -> None:
        """Raise unless normalisation and stimuli have the same channels; the module itself says what else it takes."""
        _require_rest(self.module)
        channels = stimuli.images.shape[1]
        for name, values in (("mean", self._mean), ("std", self._std)):
            if values is not None and len(values) != channels:
                raise ValueError(f"{name} must have one value for each of {channels} channels, got {len(values)}")
        if self._std is not None and not min(self._std) > 0:
            raise ValueError(f"std must be above 0 in every channel, got {list(self._std)}")
        if self._design == "cued" and stimuli.n_objects != N_CUED:
            raise ValueError(f"design must be free for stimuli without {N_CUED} objects each, got 'cued'; give objects")

    def fields(self, variable: str, size: tuple[int, int] | None = None) -> Fields:
        """Return the receptive fields of a map, the first time that it is computed; see `neuroattn.subjects.fields`."""
        faced = self.size
        if faced is None or size not in {None, faced[1:]}:
            if size is None:
                raise ValueError(
                    f"size must be given for {self.name}, which faces no pictures yet; take (y, x) of them"
                )
            faced = (self._channels(), *size)
        leaf = random_pictures(faced).requires_grad_()
        with torch.enable_grad():
            value = self._first_value(variable, self._shown(leaf * 1))
            if value.ndim != 4:
                raise ValueError(
                    f"variable must be a map (channel, y, x) to have receptive fields, got {variable!r} of shape "
                    f"{tuple(value.shape[1:])}"
                )
            return fields_of(leaf, value)

    def _channels(self) -> int:
        """Return the channels of the pictures that it takes, as its first convolution tells them."""
        first = next((part for part in self.module.modules() if isinstance(part, nn.Conv2d)), None)
        return first.in_channels if first is not None else len(self._mean or self._std or (1,))

    def architecture(self) -> dict[str, Any]:
        """Return structure, run, cue and normalisation, as JSON can hold them."""
        own = {name: path for name, path in (self._known or {}).items() if name != path}
        return {
            "structure_sha256": hashlib.sha256(structure(self.module).encode()).hexdigest(),
            "run_sha256": hashlib.sha256(source(self._run).encode()).hexdigest(),
            **({"cue_sha256": hashlib.sha256(source(self._cue).encode()).hexdigest()} if self._cue else {}),
            **({"modules": own} if own else {}),
        }

    def identity(self) -> dict[str, Any]:
        """Return weights, structure, run, trials and normalisation; see `Subject`."""
        return {
            "network": f"{type(self.module).__module__}.{type(self.module).__qualname__}",
            "weights": weights_hash(self.module),
            "model_config": self.architecture(),
            **({"design": self._design} if self._design != "free" else {}),
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


def _listed(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _generated(name: str, steps: Any) -> Iterator[tuple[int, int]]:
    """Return the steps of a run, once it is certain that they are announced one by one."""
    if not hasattr(steps, "__next__"):
        raise ValueError(
            f"{name} must be a generator that yields (phase, step), got one that returned {type(steps).__name__}; "
            "yield before each step"
        )
    found: Iterator[tuple[int, int]] = steps
    return found


def _directed(stimuli: StimulusSet) -> dict[str, Any]:
    """Return what is known of presentations whose attention is directed to either object in turn.

    A module that does not say which object it attends has nothing that could contradict its cue.
    """
    number = np.tile(np.arange(N_CUED), len(stimuli))
    columns = {dims.CUED: number, dims.ATTENDED: number, dims.CONFIRMED: np.ones(len(number), bool)}
    return columns | of_objects(columns, stimuli.table, N_CUED, N_CUED)


def _can_be_drawn(part: nn.Module) -> bool:
    return hasattr(part, "reset_parameters") or not any(True for _ in part.parameters(recurse=False))
