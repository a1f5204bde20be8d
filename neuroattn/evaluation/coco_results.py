"""The image's gate as a segmentation of the attended object, in COCO's format of results, scored by COCO's own code."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pycocotools import mask as outlines

from neuroattn.evaluation.trials import row
from neuroattn.models.trial import GATE_THRESHOLD
from neuroattn.stimuli.outlines import stored_outline
from neuroattn.stimuli.scene_pictures import canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuroattn.models.trial import Phase
    from neuroattn.stimuli.scenes import Scenes

# Rows of COCOeval's summary: over all areas and thresholds of overlap, and at two of them.
_SCORES = {"segmentation_ap": 0, "segmentation_ap50": 1, "segmentation_ap75": 2}


class SceneResults:
    """One detection a phase: where the gate of the last step but one lets the image pass.

    Parameters
    ----------
    scenes
        That the phases are of.

    Notes
    -----
    The gate is brought to the size of the photograph (bilinear, the padding cut off); what is below 0.5 there is the
    detection, the same threshold that the network's own inhibition has. Its score is the probability of the decision.
    Its category is the decision where classes are COCO's categories; where they are supercategories there is none to
    name, and it is the attended object's, so scores are meant without regard to category (``useCats = 0``).
    """

    def __init__(self, scenes: Scenes) -> None:
        self._scenes = scenes
        self._ids = scenes.category_ids if scenes.labels_are == "category" else {}
        self.overlaps: list[float] = []
        self.detections: list[dict[str, Any]] = []

    def add(self, chosen: NDArray[np.int64], phase: Phase, attended: torch.Tensor) -> None:
        """Add a phase of a batch of scenes: their numbers, the phase, and the objects (scene,) it attends."""
        table, size = self._scenes.table, self._scenes.size
        scores = phase.logits.float().softmax(1).amax(1).cpu().numpy()
        decided = phase.logits.argmax(1).cpu().numpy()
        for place, (number, k) in enumerate(zip(chosen, attended.tolist(), strict=True)):
            scene = table.iloc[number]
            name = self._scenes.classes[int(decided[place])]
            height, width = int(scene["image_height"]), int(scene["image_width"])
            top, left, whole_y, whole_x = canvas((height, width), size)
            gate = F.interpolate(phase.gates[0][place : place + 1, :1].float(), (whole_y, whole_x), mode="bilinear")
            open_ = (gate[0, 0, top : top + height, left : left + width] < GATE_THRESHOLD).cpu().numpy()
            outline = outlines.encode(np.asfortranarray(open_.astype(np.uint8)))
            of_object = stored_outline(height, width, scene[f"counts_{k}"])
            self.overlaps.append(float(outlines.iou([outline], [of_object], [0])[0, 0]) if open_.any() else 0.0)
            self.detections.append(
                {
                    "image_id": int(scene["image_id"]),
                    "category_id": self._ids.get(name, int(scene[f"category_id_{k}"])),
                    "segmentation": {"size": [height, width], "counts": outline["counts"].decode("ascii")},
                    "score": float(scores[place]),
                }
            )

    def table(self) -> pd.DataFrame:
        """Return rows of COCO's average precision, without regard to category, and of the mean overlap."""
        overlaps, scored = np.array(self.overlaps), self._scored()
        n, note = len(overlaps), "intersection over union of the open gate and the attended object"
        overlap = row("gate_overlap", overlaps.mean(), sd=overlaps.std(ddof=1), n=n, note=note)
        note = "COCOeval on the scenes' objects, categories ignored"
        return pd.DataFrame([overlap, *(row(what, scored[k], n=n, note=note) for what, k in _SCORES.items())])

    def _scored(self) -> NDArray[np.float64]:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):  # it speaks of its progress
            truth = COCO()
            truth.dataset = self._truth()
            truth.createIndex()
            scorer = COCOeval(truth, truth.loadRes([dict(one) for one in self.detections]), "segm")
            scorer.params.useCats = 0
            scorer.evaluate()
            scorer.accumulate()
            scorer.summarize()
        return np.asarray(scorer.stats, dtype=np.float64)

    def _truth(self) -> dict[str, Any]:
        """Return the scenes' objects as an annotation file."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        categories: dict[int, str] = {}
        for scene in self._scenes.table.to_dict("records"):
            size = [scene["image_height"], scene["image_width"]]
            images.append(
                {"id": scene["image_id"], "height": size[0], "width": size[1], "file_name": scene["file_name"]}
            )
            for k in range(self._scenes.n_objects):
                outline = stored_outline(size[0], size[1], scene[f"counts_{k}"])
                categories[scene[f"category_id_{k}"]] = scene[f"category_{k}"]
                annotations.append(
                    {
                        "id": len(annotations) + 1,  # COCOeval takes an id of 0 for no match
                        "image_id": scene["image_id"],
                        "category_id": scene[f"category_id_{k}"],
                        "segmentation": outline,
                        "area": scene[f"area_{k}"],
                        "bbox": outlines.toBbox(outline).tolist(),
                        "iscrowd": 0,
                    }
                )
        named = [{"id": number, "name": name} for number, name in categories.items()]
        return {"info": {}, "images": images, "annotations": annotations, "categories": named}
