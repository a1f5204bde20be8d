"""Receptive fields of any module: by geometry and by gradients, against pixels that are changed one by one."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

from neuroattn.subjects.fields import Fields, fields_of, own_object, random_pictures, squares
from neuroattn.subjects.timed_module import TimedModule


def edges(fields):
    return [fields.top, fields.bottom, fields.left, fields.right]


def by_pixel(module, size):
    """Return the boxes of the pixels whose change moves a place, in double precision, in any of several pictures."""
    module = module.double()
    images = torch.rand(30, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        before = module(images)
        moved = np.zeros((*before.shape[-2:], *size[1:]), bool)
        for y, x in np.ndindex(*size[1:]):
            for value in (-4.0, 4.0):
                changed = images.clone()
                changed[:, :, y, x] += value
                moved[..., y, x] |= (module(changed) != before).flatten(0, 1).any(0).numpy()
    boxes = np.zeros((4, *before.shape[-2:]), np.int64)
    for place in np.ndindex(*before.shape[-2:]):
        rows, columns = (np.flatnonzero(moved[place].any(axis)) for axis in (1, 0))
        boxes[(slice(None), *place)] = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return list(boxes)


class Residual(nn.Module):
    """Two branches of different width, added."""

    def __init__(self):
        super().__init__()
        self.first, self.narrow = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 3, padding=1)
        self.wide = nn.Conv2d(3, 3, 3, padding=2, dilation=2)

    def forward(self, images):
        x = self.first(images)
        return torch.relu(x + self.wide(torch.tanh(self.narrow(x))))


class Scaled(nn.Module):
    """A map multiplied by its mean over all places, which has the stride of one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, images):
        x = self.conv(images)
        return x * nn.functional.avg_pool2d(x, x.shape[-2:], stride=1)


MODULES = {
    "padding": (nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True)), (1, 7, 5)),
    "stride, pooling": (
        nn.Sequential(nn.Conv2d(2, 5, (2, 3), stride=(1, 2)), nn.BatchNorm2d(5), nn.GELU(), nn.MaxPool2d(2, 2)),
        (2, 7, 11),
    ),
    "mean pooling": (nn.Sequential(nn.AvgPool2d(3, padding=1), nn.Conv2d(1, 2, 2)), (1, 8, 11)),
    "branches": (Residual(), (1, 7, 9)),
    "broadcast": (Scaled(), (1, 5, 7)),
    "adaptive": (nn.Sequential(nn.Conv2d(1, 2, 2), nn.AdaptiveAvgPool2d((2, 3))), (1, 6, 8)),
    "norm of the batch": (
        nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2, track_running_stats=False)),
        (1, 4, 5),
    ),
    "transposed": (nn.Sequential(nn.Conv2d(1, 3, 2), nn.ConvTranspose2d(3, 2, 3, stride=2)), (1, 4, 5)),
}


def random(module):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_a_field_holds_every_pixel_that_moves_a_unit(name):
    module, size = MODULES[name]
    module = random(module).float()
    image = random_pictures(size).requires_grad_()
    found = fields_of(image, module(image * 1))
    assert_array_equal(edges(found), by_pixel(module, size))


def test_geometry_tells_fields_that_gradients_would_miss():
    """A rectifier that is shut in every picture lets no gradient through; the convolution before it has its field."""
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    nn.init.constant_(module[0].bias, -1e6)
    image = random_pictures((1, 6, 7)).requires_grad_()
    found = fields_of(image, module(image))
    assert_array_equal(edges(found), edges(squares(1, 3, (4, 5))))


def test_pixels_of_masks_are_counted():
    fields = Fields(
        top=np.array([[0, 2]]), bottom=np.array([[3, 5]]), left=np.array([[1, 1]]), right=np.array([[4, 2]])
    )
    masks = np.random.default_rng(0).random((3, 2, 5, 7)) < 0.5
    expected = np.stack([masks[..., 0:3, 1:4].sum((-2, -1)), masks[..., 2:5, 1:2].sum((-2, -1))], -1)[..., None, :]
    assert_array_equal(fields.pixels(masks), expected)


def test_the_own_object_has_its_share_of_the_pixels():
    pixels = np.array([[9, 1], [5, 5], [0, 0], [1, 10], [8, 2]]).T.reshape(1, 2, 1, 5)
    assert own_object(pixels, 0.9).tolist() == [[[0, -1, -1, 1, -1]]]
    assert own_object(pixels, 0.8).tolist() == [[[0, -1, -1, 1, 0]]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda image: image.detach(), "along gradients, got a value that has none; leave torch.no_grad out"),
        (lambda _image: torch.ones(2, 2, 3, 3, requires_grad=True) * 2, "of a map that depends on the pictures"),
    ],
)
def test_what_has_no_field(make, text):
    image = random_pictures((1, 5, 5)).requires_grad_()
    with pytest.raises(ValueError, match=re.escape(text)):
        fields_of(image, make(image))


def test_fields_of_a_recurrent_module_are_of_the_first_sweep():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, images):
            return self.conv(self.conv(images))

    subject = TimedModule(random(Recurrent()), mean=[0.2], std=[0.5])
    assert_array_equal(subject.fields("conv", (7, 9)).bottom[:, 0], [2, 3, 4, 5, 6, 7, 7])
    assert_array_equal(subject.facing((1, 7, 9)).fields("conv").right[0], [2, 3, 4, 5, 6, 7, 8, 9, 9])
