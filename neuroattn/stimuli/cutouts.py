"""Copy–paste composites: segmented objects of photographs, scaled and moved, on other photographs.

Photographs with two large objects are few; single objects are many. A composite shows some of them at places of their
own on a photograph drawn at random, so that what they are must be seen from themselves.

Source of the idea: Ghiasi et al. (2021), arXiv:2012.07177.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import PIL

from neuroattn.stimuli.coco import Rule
from neuroattn.stimuli.labelled import Labelled
from neuroattn.stimuli.outlines import dense_mask, stored_outline
from neuroattn.stimuli.picture_cache import DONE, FORMAT, cached_pictures, files_digest
from neuroattn.stimuli.scene_pictures import GREY, cut_out, fitted
from neuroattn.stimuli.scenes import cache_folder, image_folder, load_index, lost_images, photograph_of

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from neuroattn.stimuli.coco import SceneIndex

SIDE = 64  # px of a cutout
MOST = 20_000  # cutouts that are kept, so that the largest annotation file needs no more room
# Of a cutout on the canvas, as fractions of the canvas's shorter side: the longer side of its object, and how far from
# the middle its centre is.
EXTENT = (0.35, 0.75)
DISTANCE = (0.18, 0.30)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Cutouts:
    """Segmented objects, and photographs to put them on.

    Attributes
    ----------
    patches
        (patch, 4, side, side) 8 bits, mapped: red, green, blue, and where the object is; the object fills the patch.
    backgrounds
        (background, 3, y, x) 8 bits, mapped: photographs at the size of the canvas.
    rows, background_rows, image_ids, background_ids
        Numbers of the patches and of the backgrounds that are used, and which image each is from.
    labels
        (cutout,) int64, numbers of classes.
    identity
        SHA-256 of what they were made from.
    notes
        What was left out, a line for each reason.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> files = write_synthetic_scenes(mkdtemp(), 5, seed=0)
    >>> cutouts = load_cutouts(*files, size=(60, 80), labels="supercategory", cache=mkdtemp())
    >>> cutouts
    <Cutouts: 10 of 64 × 64, 6 classes, 5 backgrounds of 60 × 80>
    >>> cutouts.without([1, 2])
    <Cutouts: 6 of 64 × 64, 6 classes, 3 backgrounds of 60 × 80>
    """

    patches: NDArray[np.uint8]
    backgrounds: NDArray[np.uint8]
    rows: NDArray[np.int64]
    background_rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    background_ids: NDArray[np.int64]
    identity: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Count the cutouts."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Return a line with sizes and numbers."""
        n_classes, (height, width) = np.unique(self.labels).size, self.backgrounds.shape[2:]
        behind = f"{len(self.background_rows)} backgrounds of {height} × {width}"
        return f"<Cutouts: {len(self)} of {SIDE} × {SIDE}, {n_classes} classes, {behind}>"

    def without(self, image_ids: NDArray[np.int64]) -> Cutouts:
        """Return what is not from these images.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        kept, kept_backgrounds = ~np.isin(self.image_ids, image_ids), ~np.isin(self.background_ids, image_ids)
        if not kept.any() or not kept_backgrounds.any():
            raise ValueError("images must leave objects to cut out when those held out are taken away, got none")
        return dataclasses.replace(
            self,
            rows=self.rows[kept],
            labels=self.labels[kept],
            image_ids=self.image_ids[kept],
            background_rows=self.background_rows[kept_backgrounds],
            background_ids=self.background_ids[kept_backgrounds],
        )


def load_cutouts(
    images: str | Path,
    annotations: str | Path,
    *,
    size: tuple[int, int],
    labels: str,
    cache: str | Path | None = None,
    least_area: float = 0.01,
) -> Cutouts:
    """Return the objects of a folder of images, cut out; what is not in the cache yet is made.

    Parameters
    ----------
    images, annotations
        Folder of images, and COCO's instance annotations for them.
    size
        (y, x) px of the canvas.
    labels
        Whether an object's class is its ``supercategory`` or its ``category``.
    cache
        Folder for what is kept; None: this package's in the user's cache folder.
    least_area
        Objects larger than this fraction of their image are cut out; of more than 20,000, those are drawn at random.

    Raises
    ------
    ValueError
        If the file is no annotation file, nothing of it can be cut out, classes are to be supercategories and a
        category has none, or the cache cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> files = write_synthetic_scenes(mkdtemp(), 3, seed=0)
    >>> len(load_cutouts(*files, size=(60, 80), labels="category", cache=mkdtemp()))
    6
    """
    folder = image_folder(images)
    index = load_index(annotations, cache, Rule(least_area=least_area, most_overlap=1, n_objects=1))
    names, objects, notes = index.class_names(labels), index.objects, list(index.notes)
    if len(objects) > MOST:
        notes.append(f"{MOST:,} of {len(objects):,} objects are cut out, drawn at random")
        objects = objects.sample(MOST, random_state=0).sort_index().reset_index(drop=True)
    photographs = objects.drop_duplicates("image_id").reset_index(drop=True)
    identity = _identity(index, folder, photographs["file_name"], size)
    place = cache_folder(cache) / f"cutouts-{identity[:16]}"

    of_object = pd.Index(photographs["image_id"]).get_indexer(objects["image_id"])

    @functools.lru_cache(maxsize=16)  # the objects of an image come one after the other, to several threads
    def photograph(k: int) -> NDArray[np.uint8] | int:
        return photograph_of(photographs.iloc[k], folder)

    def patch(k: int) -> dict[str, NDArray[np.uint8]] | int:
        whole = photograph(int(of_object[k]))
        return whole if isinstance(whole, int) else {"patches": _patch(whole, objects.iloc[k])}

    def background(k: int) -> dict[str, NDArray[np.uint8]] | int:
        whole = photograph(int(k))
        return whole if isinstance(whole, int) else {"backgrounds": fitted(whole, size, GREY)}

    patches, patch_state = cached_pictures(
        place / "patches", {"patches": (4, SIDE, SIDE)}, len(objects), patch, "object"
    )
    backgrounds, state = cached_pictures(
        place / "backgrounds", {"backgrounds": (3, *size)}, len(photographs), background, "photograph"
    )
    lost = lost_images(index, images, photographs["file_name"], state)
    rows, background_rows = np.flatnonzero(patch_state == DONE), np.flatnonzero(state == DONE)
    number = {name: k for k, name in enumerate(names)}
    return Cutouts(
        patches=patches["patches"],
        backgrounds=backgrounds["backgrounds"],
        rows=rows,
        background_rows=background_rows,
        labels=objects[labels].map(number).to_numpy(np.int64)[rows].astype(np.int64),
        image_ids=objects["image_id"].to_numpy(np.int64)[rows],
        background_ids=photographs["image_id"].to_numpy(np.int64)[background_rows],
        identity=identity,
        notes=(*notes, *lost),
    )


def _identity(index: SceneIndex, folder: Path, names: pd.Series[str], size: tuple[int, int]) -> str:
    made_by = {"sha256": index.sha256, "rule": dataclasses.asdict(index.rule), "size": size, "side": SIDE, "most": MOST}
    made_by |= {"format": FORMAT, "pillow": PIL.__version__}
    return hashlib.sha256(f"{json.dumps(made_by, sort_keys=True)}{files_digest(folder, names)}".encode()).hexdigest()


def _patch(photograph: NDArray[np.uint8], row: pd.Series[Any]) -> NDArray[np.uint8]:
    """Return an object on its own (4, side, side), its longer side as long as the patch."""
    inside = dense_mask(stored_outline(row["image_height"], row["image_width"], row["counts"])) > 0
    return cut_out(photograph, inside, (SIDE, SIDE), (0, SIDE, 0, SIDE))


def paste(
    cutouts: Cutouts, number: int, *, n_objects: int, generator: torch.Generator, device: str | torch.device = "cpu"
) -> Labelled:
    """Return composites of objects that are drawn so that every class is as likely, whatever it has cutouts.

    The objects of a composite stand around its middle, at equal angles from a random one; each has a random size, one
    in two is mirrored, and a later one hides what it covers of an earlier one.

    Parameters
    ----------
    cutouts
        Objects and backgrounds.
    number
        Of composites.
    n_objects
        Objects of each.
    generator
        On the CPU; all that is drawn is drawn there, so that every device shows the same.
    device
        Where the composites are wanted.

    Examples
    --------
    >>> import torch
    >>> from tempfile import mkdtemp
    >>> from neuroattn.stimuli.synthetic_scenes import write_synthetic_scenes
    >>> files = write_synthetic_scenes(mkdtemp(), 3, seed=0)
    >>> cutouts = load_cutouts(*files, size=(60, 80), labels="supercategory", cache=mkdtemp())
    >>> paste(cutouts, 7, n_objects=3, generator=torch.Generator().manual_seed(0))
    <Labelled: 7 pictures of 3 × 60 × 80, 3 objects each, 5 classes, on cpu>
    """
    import torch
    import torch.nn.functional as F

    height, width = cutouts.backgrounds.shape[2:]
    chosen = _drawn(cutouts.labels, number * n_objects, generator)
    angle = torch.rand(number, 1, generator=generator) + torch.arange(n_objects) / n_objects
    extent, distance = (
        low + (high - low) * torch.rand(number, n_objects, generator=generator) for low, high in (EXTENT, DISTANCE)
    )
    mirrored = torch.rand(number, n_objects, generator=generator) < 0.5
    behind = torch.randint(len(cutouts.background_rows), (number,), generator=generator).numpy()
    side = min(height, width)
    # From a place on the canvas, in units of half its sides from its middle, to one on the patch.
    theta = torch.zeros(number, n_objects, 2, 3)
    theta[..., 0, 0] = width / (extent * side) * torch.where(mirrored, -1, 1)
    theta[..., 1, 1] = height / (extent * side)
    centre_x = 2 * distance * side / width * torch.cos(2 * torch.pi * angle)
    centre_y = 2 * distance * side / height * torch.sin(2 * torch.pi * angle)
    theta[..., 0, 2] = -theta[..., 0, 0] * centre_x
    theta[..., 1, 2] = -theta[..., 1, 1] * centre_y
    patches = torch.from_numpy(cutouts.patches[cutouts.rows[chosen]]).to(device) * (1 / 255)
    shape = [number * n_objects, 4, height, width]
    grid = F.affine_grid(theta.flatten(0, 1), shape, align_corners=False).to(device)
    # Colours are weighted by where the object is, so that its rim is not darkened by what was around it.
    placed = F.grid_sample(torch.cat([patches[:, :3] * patches[:, 3:], patches[:, 3:]], 1), grid, align_corners=False)
    placed = placed.reshape(number, n_objects, 4, height, width)
    image = torch.from_numpy(cutouts.backgrounds[cutouts.background_rows[behind]]).to(device) * (1 / 255)
    objects = torch.empty(number, n_objects, 3, height, width, device=device)
    hidden = torch.zeros(number, 1, height, width, device=device)
    for k in reversed(range(n_objects)):
        objects[:, k] = placed[:, k, :3] * (1 - hidden)
        hidden = hidden + placed[:, k, 3:] * (1 - hidden)
    image = (image * (1 - hidden) + objects.sum(1)).clamp_(0, 1)
    labels = torch.from_numpy(cutouts.labels[chosen]).reshape(number, n_objects).to(device)
    return Labelled(images=image, objects=objects, labels=labels)


def _drawn(labels: NDArray[np.int64], number: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Return numbers of cutouts: a class drawn from those that there are, then one of its cutouts."""
    import torch

    order = np.argsort(labels, kind="stable")
    classes, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    of_class = torch.randint(len(classes), (number,), generator=generator).numpy()
    within = torch.rand(number, generator=generator, dtype=torch.float64).numpy() * count[of_class]
    return np.asarray(order[first[of_class] + within.astype(np.int64)])
