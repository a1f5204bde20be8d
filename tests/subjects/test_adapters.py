"""Anybody's model in the few lines of a user: stand-ins of small random weights with the modules of well-known ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from refused import refused
from torch import nn

import neuroattn
from neuroattn.models.class_tuning import class_tuning
from neuroattn.subjects.gain import feature_gain, place_gain
from neuroattn.subjects.token_maps import token_maps

SIZE = (3, 16, 24)


class BasicBlock(nn.Module):
    """As torchvision's."""

    def __init__(self, below, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(below, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential(nn.Conv2d(below, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """As torchvision's, and timm's: stem, layers, pooling, head."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(4, 5, 1))
        self.layer2 = nn.Sequential(BasicBlock(5, 7, 2))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(7, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(self.avgpool(x).flatten(1))


class Layer(nn.Module):
    """As a layer of Hugging Face's: it gives a tuple, and takes arguments by name."""

    def __init__(self, channels):
        super().__init__()
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=True)
        self.intermediate, self.output = nn.Linear(channels, 16), nn.Linear(16, channels)

    def forward(self, hidden_states, output_attentions=False):
        normed = self.layernorm_before(hidden_states)
        hidden_states = hidden_states + self.attention(normed, normed, normed, need_weights=output_attentions)[0]
        return (hidden_states + self.output(self.intermediate(self.layernorm_after(hidden_states)).relu()),)


class ViT(nn.Module):
    """As Hugging Face's: embeddings with a class token, encoder.layer, classifier of the class token."""

    def __init__(self, channels=8, patch=8):
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.projection = nn.Conv2d(3, channels, patch, patch)
        self.embeddings.cls_token = nn.Parameter(torch.randn(1, 1, channels))
        self.embeddings.position_embeddings = nn.Parameter(torch.randn(1, 7, channels))
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList([Layer(channels) for _ in range(3)])
        self.layernorm, self.classifier = nn.LayerNorm(channels), nn.Linear(channels, 10)

    def forward(self, pixel_values):
        patches = self.embeddings.projection(pixel_values).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.embeddings.cls_token.expand(len(patches), -1, -1), patches], 1)
        hidden = tokens + self.embeddings.position_embeddings
        for layer in self.encoder.layer:
            hidden = layer(hidden, output_attentions=False)[0]
        return {"logits": self.classifier(self.layernorm(hidden)[:, 0])}


class Area(nn.Module):
    """As an area of CORnet-RT: it adds its own state to its input, and gives both."""

    def __init__(self, below, channels, stride):
        super().__init__()
        self.conv_input, self.conv1 = nn.Conv2d(below, channels, 3, stride, 1), nn.Conv2d(channels, channels, 3, 1, 1)
        self.nonlin1, self.output = nn.ReLU(inplace=True), nn.Identity()

    def forward(self, inp=None, state=0):
        x = self.nonlin1(self.conv1(self.conv_input(inp) + state))
        return self.output(x), x


class CORnet(nn.Module):
    """As CORnet-RT: every area at every time step, on what the one below gave."""

    def __init__(self, times=3):
        super().__init__()
        self.times, self.V1, self.IT = times, Area(3, 5, 2), Area(5, 7, 2)
        self.decoder = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 10))

    def forward(self, inp):
        states = {"V1": 0, "IT": 0}
        for _ in range(self.times):
            output, states["V1"] = self.V1(inp, states["V1"])
            output, states["IT"] = self.IT(output, states["IT"])
        return self.decoder(output)


@pytest.fixture
def stimuli():
    generator = np.random.default_rng(0)
    objects = np.zeros((4, 2, *SIZE), np.float32)
    objects[:, 0, :, 4:11, 2:9] = generator.uniform(0.2, 0.5, (4, 3, 7, 7))
    objects[:, 1, :, 4:11, 15:22] = generator.uniform(0.2, 0.5, (4, 3, 7, 7))
    table = pd.DataFrame({"label_0": [0, 1, 2, 3], "label_1": [3, 2, 1, 0], "location_0": 0, "location_1": 1})
    return neuroattn.StimulusSet(objects.sum(1), objects, table)


def ratios(model, variable, stimuli):
    """Return (stimulus, attended, time_step, channel, y, x) responses with attention over those without."""
    shape = model.facing(SIZE).layers[variable]
    neutral = neuroattn.record(model, stimuli, [variable])[variable]["activation"].values
    cued = neuroattn.record(model, stimuli, [variable], design="cued")[variable]["activation"].values
    with np.errstate(divide="ignore", invalid="ignore"):
        return (cued.reshape(len(stimuli), 2, *neutral.shape[1:]) / neutral[:, None]).reshape(
            len(stimuli), 2, -1, *shape
        )


def sides(width, gain, elsewhere):
    left = np.sign(width / 2 - (np.arange(width) + 0.5))  # an odd width has a middle, which is of neither side
    mean, half = (gain + elsewhere) / 2, (gain - elsewhere) / 2
    return np.stack([mean + half * left, mean - half * left])


def agree(found, expected):
    expected = np.broadcast_to(expected, found.shape)
    responding = np.isfinite(found)
    assert responding.mean() > 0.2
    np.testing.assert_allclose(found[responding], expected[responding], rtol=1e-4)


IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def test_a_classifier_of_torchvision_by_place(stimuli):
    torch.manual_seed(0)
    layers = ["layer1", "layer2"]
    model = neuroattn.TimedModule(
        ResNet().eval(),
        variables={f"{name}/response": name for name in layers},
        name="resnet",
        cue=place_gain(["layer2"], 0.5),
        **IMAGENET,
    )
    assert model.facing(SIZE).layers == {"layer1/response": (5, 16, 24), "layer2/response": (7, 8, 12)}
    agree(ratios(model, "layer2/response", stimuli), sides(12, 1.5, 0.5)[:, None, None, None])
    agree(ratios(model, "layer1/response", stimuli), 1)


def test_a_classifier_of_torchvision_by_what_its_channels_prefer(stimuli):
    torch.manual_seed(0)
    network = ResNet().eval()
    tuning = class_tuning(network, ["layer2"], torch.rand(20, *SIZE), torch.arange(20) % 4)
    model = neuroattn.TimedModule(network, variables=["layer2"], cue=feature_gain(tuning, 0.5))
    f = tuning["layer2"].numpy()
    labels = stimuli.table[["label_0", "label_1"]].to_numpy()
    agree(ratios(model, "layer2", stimuli), (1 + 0.5 * f[labels])[:, :, None, :, None, None])


def vit(**options):
    torch.manual_seed(0)
    module = ViT().eval()
    blocks = [f"encoder.layer.{number}" for number in range(3)]
    mapped = token_maps(module, blocks, grid=(2, 3))
    variables = {f"block{number}/response": f"{path}.map" for number, path in enumerate(blocks)}
    return module, neuroattn.TimedModule(mapped, variables=variables, name="vit", **options)


def test_tokens_are_places_row_by_row_and_change_nothing(stimuli):
    module, model = vit()
    images = torch.from_numpy(np.array(stimuli.images))
    torch.testing.assert_close(model.module(images)["logits"], module(images)["logits"], rtol=0, atol=0)
    kept = []
    handle = module.encoder.layer[1].register_forward_hook(lambda _m, _i, output: kept.append(output[0]))
    module(images)
    handle.remove()
    assert not any(path.endswith("map") for path, _ in module.named_modules())  # the user's own stays as it is
    assert model.facing(SIZE).layers["block1/response"] == (8, 2, 3)
    found = neuroattn.record(model, stimuli, ["block1/response"])["block1/response"]["activation"].values[:, 0]
    by_place = found.reshape(4, 8, 2, 3)
    for token, (y, x) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]):
        np.testing.assert_allclose(by_place[:, :, y, x], kept[0][:, 1 + token].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_transformer_by_place(stimuli):
    _, model = vit(cue=place_gain(["encoder.layer.1.map"], 0.5))
    agree(ratios(model, "block1/response", stimuli), sides(3, 1.5, 0.5)[:, None, None, None])
    agree(ratios(model, "block0/response", stimuli), 1)
    above = ratios(model, "block2/response", stimuli)
    assert np.abs(above - 1).max() > 0.01  # the gain reaches what comes next


def test_a_grid_that_the_tokens_do_not_have():
    module = ViT().eval()
    with refused(
        "grid must be (rows, columns) of the tokens of 'encoder.layer.0', (batch, 1 + 3 × 3, channel), got (7, 8) a "
        "picture; correct grid or prefix, or show pictures of the size that the transformer takes"
    ):
        token_maps(module, ["encoder.layer.0"], grid=(3, 3))(torch.zeros(1, *SIZE))
    with refused("layers must be modules of ViT, got 'blocks.0'; it has *"):
        token_maps(module, ["blocks.0"], grid=(2, 3))
    with refused("grid must be (rows, columns) and prefix from 0, got (0, 3) and 1"):
        token_maps(module, ["encoder.layer.0"], grid=(0, 3))


def test_a_recurrent_network_has_a_step_for_each_of_its_own(stimuli):
    torch.manual_seed(0)
    areas = {f"{area}/response": f"{area}.output" for area in ("V1", "IT")}
    model = neuroattn.TimedModule(CORnet().eval(), variables=areas, name="cornet", cue=place_gain(["IT.output"], 0.5))
    assert model.facing(SIZE).steps == (0, 1, 2)
    found = ratios(model, "IT/response", stimuli)
    assert found.shape[2] == 3
    agree(found, sides(6, 1.5, 0.5)[:, None, None, None])


@pytest.mark.parametrize("path", ["IT", "IT.output"])
def test_a_gain_on_an_area_acts_on_what_it_hands_on(stimuli, path):
    """What an area returns beside its output, its own state, is left as it is."""
    torch.manual_seed(0)
    module = CORnet(times=2).eval()
    model = neuroattn.TimedModule(module, variables={"IT/response": path}, cue=place_gain([path], 1.0))
    agree(ratios(model, "IT/response", stimuli), sides(6, 2.0, 0.0)[:, None, None, None])


def test_none_is_a_state_too(stimuli):
    _, model = vit()
    with refused("design must be free for vit, got 'cued': it cannot be cued; give TimedModule a cue"):
        neuroattn.record(model, stimuli, ["block0/response"], design="cued")


@pytest.mark.slow
def test_protocols_take_a_recurrent_network_and_say_what_a_transformer_lacks(tmp_path):
    torch.manual_seed(0)
    module = CORnet()
    module.V1.conv_input = nn.Conv2d(1, 5, 3, 2, 1)
    cue = place_gain(["V1.output"], 0.5)  # what it hands on; its state goes on without
    model = neuroattn.TimedModule(module.eval(), variables={"V1/response": "V1.output"}, name="cornet", cue=cue)
    options = {"n_stimuli": 60, "n_control_stimuli": 20, "n_units": 60, "n_resamples": 100, "controls": ["none"]}
    run = neuroattn.run("cost_and_benefit", models=[model], out=tmp_path / "cornet", **options)
    units = run.units.query("excluded_by == ''")
    assert units["benefit"].median() == pytest.approx(0.2, abs=0.01)
    vit = ViT(patch=7)
    vit.embeddings.projection = nn.Conv2d(1, 8, 7, 7)
    vit.embeddings.position_embeddings = nn.Parameter(torch.randn(1, 4 * 6 + 1, 8))
    mapped = token_maps(vit.eval(), ["encoder.layer.0"], grid=(4, 6))
    cue = place_gain(["encoder.layer.0.map"], 0.5)
    variables = {"block0/response": "encoder.layer.0.map"}
    model = neuroattn.TimedModule(mapped, variables=variables, name="vit", cue=cue)
    with refused(
        "n_control_stimuli must leave units that see one object alone in 8 stimuli of each half, got 20 stimuli, in "
        "which there is none; show more, or lower alone"
    ):
        neuroattn.run("cost_and_benefit", models=[model], out=tmp_path / "vit", **options)
