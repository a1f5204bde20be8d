"""Scenes made by the package itself, in COCO's format, for those who have no COCO at hand.

Objects cut from photographs that scikit-image ships, and drawn ones, side by side on its textures. They try a protocol
out; they are no sample of anything, and files, labels and findings call them synthetic.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 240
NAME = "instances_synthetic.json"

_TEXTURES = ("brick.png", "grass.png", "gravel.png")
_SHARE = (0.11, 0.14)  # of the picture that an object covers: enough for a scene's rule
# COCO's ids and names; the outlines of photographs are a polygon, as SVG writes its points, and ellipses
# (x0, y0, x1, y1), px of their files.
_PHOTOGRAPHS: dict[str, tuple[int, str, str, str, list[tuple[int, int, int, int]]]] = {
    "astronaut.png": (
        1,
        "person",
        "person",
        (
            "200,18 240,15 275,30 298,65 300,105 275,130 270,165 300,200 305,240 340,260 362,320 350,360 290,390 "
            "270,511 20,511 25,420 40,330 85,235 115,200 120,165 160,150 185,140 155,105 155,60 170,35"
        ),
        [],
    ),
    "chelsea.png": (
        17,
        "cat",
        "animal",
        (
            "40,40 60,5 130,0 330,0 375,5 390,40 365,100 360,140 345,190 310,240 280,285 230,295 160,285 100,250 "
            "50,180 30,100"
        ),
        [],
    ),
    "coffee.png": (47, "cup", "kitchen", "", [(75, 85, 477, 385), (176, 17, 410, 200)]),
    "motorcycle_left.png": (
        4,
        "motorcycle",
        "vehicle",
        (
            "100,205 150,165 240,170 330,195 400,165 480,165 500,130 560,130 570,180 640,290 640,320 520,320 460,370 "
            "330,390 270,360 150,240"
        ),
        [(120, 238, 280, 398), (513, 278, 685, 450)],
    ),
}
_DRAWN = {"ball": (37, "sports ball", "sports"), "screen": (72, "tv", "electronic"), "pizza": (59, "pizza", "food")}


def write_synthetic_scenes(folder: str | Path, number: int, seed: int) -> tuple[Path, Path]:
    """Write synthetic scenes of two objects each.

    Parameters
    ----------
    folder
        Made if need be; files in it are replaced.
    number
        Of scenes.
    seed
        Of which objects, sizes, places and backgrounds.

    Returns
    -------
    images, annotations : Path
        A folder of PNG files, and an annotation file in COCO's format.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> images, annotations = write_synthetic_scenes(mkdtemp(), 2, seed=0)
    >>> sorted(path.name for path in images.iterdir())
    ['synthetic-000000.png', 'synthetic-000001.png']
    """
    generator = np.random.default_rng(seed)
    objects = [*(_photographed(name) for name in _PHOTOGRAPHS), *(_drawn(name) for name in _DRAWN)]
    kinds = [entry[:3] for entry in (*_PHOTOGRAPHS.values(), *_DRAWN.values())]
    folder = Path(folder)
    pictures = folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for k in range(number):
        scene = _background(generator)
        pair = generator.choice(len(objects), 2, replace=False)
        for place, which in enumerate(pair):
            share = generator.uniform(*_SHARE)
            alone = _scaled(objects[which], share * WIDTH * HEIGHT, mirrored=bool(generator.random() < 0.5))
            height, width = alone.shape[:2]
            half = WIDTH // 2
            left = place * half + int(generator.integers(0, half - width + 1))
            top = int(generator.integers(0, HEIGHT - height + 1))
            inside = alone[..., 3] > 127
            scene[top : top + height, left : left + width][inside] = alone[..., :3][inside]
            whole = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            whole[top : top + height, left : left + width] = inside
            outline = outlines.encode(np.asfortranarray(whole))
            annotations.append(
                {
                    "id": 2 * k + place + 1,
                    "image_id": k + 1,
                    "category_id": kinds[which][0],
                    "iscrowd": 0,
                    "area": int(inside.sum()),
                    "bbox": outlines.toBbox(outline).tolist(),
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": outline["counts"].decode("ascii")},
                }
            )
        name = f"synthetic-{k:06d}.png"
        Image.fromarray(scene).save(pictures / name)
        images.append({"id": k + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
    categories = [{"id": number, "name": name, "supercategory": above} for number, name, above in kinds]
    about = {"description": "synthetic scenes made by neuroattn; photographs and textures: scikit-image", "seed": seed}
    file = folder / NAME
    file.write_text(json.dumps({"info": about, "images": images, "annotations": annotations, "categories": categories}))
    return pictures, file


def _read(name: str) -> Image.Image:
    """Return a picture that scikit-image ships."""
    with resources.as_file(resources.files("skimage") / "data" / name) as path, Image.open(path) as file:
        return file.convert("RGB")


def _photographed(name: str) -> Image.Image:
    """Return the object of a photograph, transparent around it, cut to its size."""
    photograph = _read(name)
    inside = Image.new("L", photograph.size)
    draw = ImageDraw.Draw(inside)
    *_, polygon, ellipses = _PHOTOGRAPHS[name]
    if polygon:
        draw.polygon([int(coordinate) for coordinate in polygon.replace(",", " ").split()], fill=255)
    for ellipse in ellipses:
        draw.ellipse(ellipse, fill=255)
    photograph.putalpha(inside)
    return photograph.crop(inside.getbbox())


def _drawn(name: str) -> Image.Image:
    """Return a drawn object, transparent around it."""
    picture = Image.new("RGBA", (200, 200))
    draw = ImageDraw.Draw(picture)
    if name == "ball":
        draw.ellipse((0, 0, 199, 199), fill=(235, 235, 230, 255))
        for x, y in ((100, 100), (100, 15), (185, 80), (150, 175), (50, 175), (15, 80)):
            draw.regular_polygon((x, y, 34), 5, fill=(25, 25, 30, 255))
        round_ = Image.new("L", picture.size)
        ImageDraw.Draw(round_).ellipse((0, 0, 199, 199), fill=255)
        picture.putalpha(round_)
    elif name == "screen":
        draw.rectangle((0, 20, 199, 150), fill=(20, 20, 22, 255))
        draw.rectangle((10, 30, 189, 140), fill=(90, 150, 215, 255))
        draw.rectangle((85, 150, 115, 180), fill=(20, 20, 22, 255))
        draw.rectangle((45, 180, 155, 192), fill=(20, 20, 22, 255))
    else:
        draw.ellipse((0, 0, 199, 199), fill=(190, 130, 60, 255))
        draw.ellipse((14, 14, 185, 185), fill=(240, 200, 90, 255))
        for x, y in ((70, 60), (130, 70), (100, 110), (60, 130), (140, 135), (100, 165)):
            draw.ellipse((x - 17, y - 17, x + 17, y + 17), fill=(180, 45, 35, 255))
    return picture.crop(picture.getbbox())


def _scaled(picture: Image.Image, area: float, *, mirrored: bool) -> NDArray[np.uint8]:
    """Return an object (y, x, 4) of an area (px²), or as large as half the width of a scene allows."""
    scale = min((area / (np.asarray(picture)[..., 3] > 127).sum()) ** 0.5, WIDTH / 2 / picture.width)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return pixels[:, ::-1] if mirrored else pixels


def _background(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a part of a texture (y, x, 3), tinted."""
    texture = np.asarray(_read(_TEXTURES[generator.integers(len(_TEXTURES))]), dtype=np.float64)
    top = generator.integers(texture.shape[0] - HEIGHT + 1)
    left = generator.integers(texture.shape[1] - WIDTH + 1)
    tint = generator.uniform(0.6, 1.0, 3)
    return (texture[top : top + HEIGHT, left : left + WIDTH] * tint).astype(np.uint8)
