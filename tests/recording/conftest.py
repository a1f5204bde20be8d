"""A small network, stimuli for it, and the equations of a trial written out once more, without the network's code."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from recording.small import small_network, small_stimuli

from neuroattn.recording import stream


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Several threads would wait for each other longer than these small networks compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def step_by_hand(network, image, gates, masks):
    """Run a time step with plain torch; return variable → (stimulus, channel, y, x) or (stimulus, channel)."""
    values, x, pooled = {}, image, []
    for number, (stage, gate) in enumerate(zip(network.stages, gates, strict=True), 1):
        z = x * (1 - network.config.strength * gate)
        a = F.relu(F.conv2d(z, stage.conv.weight, stage.conv.bias))
        x = F.max_pool2d(a, 2)
        pooled.append(x)
        values |= {f"stage{number}/gated_input": z, f"stage{number}/response": a, f"stage{number}/pooled": x}
    logits = F.linear(x.flatten(1), network.readout.weight, network.readout.bias)
    signal = torch.tanh(F.linear(logits, network.feedback.weight, network.feedback.bias)).reshape(x.shape)
    values |= {"readout/logits": logits, "readout/feedback": signal}
    for number in range(len(network.stages), 0, -1):
        deconv = network.stages[number - 1].top_down.deconv
        size = values[f"stage{number}/response"].shape[2:]
        both = torch.cat([F.interpolate(signal, size), F.interpolate(pooled[number - 1], size)], 1)
        signal = torch.tanh(F.conv_transpose2d(both, deconv.weight, deconv.bias))
        gate = signal.expand(-1, gates[number - 1].shape[1], -1, -1)
        values[f"stage{number}/gate"] = torch.where(masks[number - 1], torch.ones_like(gate), gate)
    return values


@torch.no_grad()
def trial_by_hand(network, image, phases=2, masks=None):
    """Run a trial; return variable → (stimulus, phase, step, …) and the masks that follow each phase."""
    sizes, n_steps, stages = network.config.input_sizes, network.config.steps, len(network.stages)
    masks = [torch.zeros(len(image), *size, dtype=torch.bool) for size in sizes] if masks is None else masks
    taken, following = {}, []
    for _ in range(phases):
        gates, steps = [torch.zeros(len(image), *size) for size in sizes], []
        for step in range(n_steps):
            if step == n_steps - 1:
                next_masks = [mask | (gate < 0.5) for mask, gate in zip(masks, gates, strict=True)]
            steps.append(step_by_hand(network, image, gates, masks))
            gates = [steps[-1][f"stage{number}/gate"] for number in range(1, stages + 1)]
        masks = next_masks
        following.append(masks)
        for name in steps[0]:
            taken.setdefault(name, []).append(torch.stack([values[name] for values in steps], 1))
    return {name: torch.stack(parts, 1).numpy() for name, parts in taken.items()}, following


@pytest.fixture
def by_hand():
    """`trial_by_hand`, for tests to call."""
    return trial_by_hand


@pytest.fixture
def stopped():
    """Return a context in which `record` writes so many blocks, and then raises."""

    @contextmanager
    def stopping(after, error):
        real, written = stream.write_block, []

        def write_block(*what):
            if len(written) == after:
                raise error
            written.append(real(*what))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream, "write_block", write_block)
            yield

    return stopping


@pytest.fixture
def network():
    return small_network()


@pytest.fixture
def stimuli():
    return small_stimuli()


@pytest.fixture
def images(stimuli):
    return stimuli.images


@pytest.fixture
def objects(stimuli):
    return stimuli.objects


@pytest.fixture
def table(stimuli):
    return stimuli.table
