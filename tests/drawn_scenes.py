"""Photographs of two drawn boxes each, with COCO annotations: scenes whose every pixel is known."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

CATEGORIES = [
    {"id": 1, "name": "dog", "supercategory": "animal"},
    {"id": 2, "name": "car", "supercategory": "vehicle"},
    {"id": 3, "name": "pizza", "supercategory": "food"},
]
COLOURS = {1: (250, 40, 40), 2: (40, 250, 40), 3: (40, 40, 250)}
WIDTH, HEIGHT = 120, 80


def drawn_scenes(folder, number, *, categories=(1, 2), seed=0):
    """Write `number` images, a box of each of two categories in turn; return the folder and the annotation file."""
    generator = np.random.default_rng(seed)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for k in range(number):
        pixels = generator.integers(100, 156, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        name = f"{k:012d}.png"  # no loss, so that pixels are what was drawn
        for place in range(2):
            category = categories[(k + place) % len(categories)]
            width, height = int(generator.integers(34, 44)), int(generator.integers(40, 60))
            x, y = 4 + 62 * place, int(generator.integers(4, 14))
            pixels[y : y + height, x : x + width] = COLOURS[category]
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                {
                    "id": 10 * k + place + 1,
                    "image_id": k + 1,
                    "category_id": category,
                    "iscrowd": 0,
                    "area": width * height,
                    "bbox": [x, y, width, height],
                    "segmentation": [corners],
                }
            )
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": k + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
    file = folder / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return folder / "images", file
