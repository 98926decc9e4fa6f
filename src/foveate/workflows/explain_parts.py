"""Show how an MA-CNN run comes to its answers: the parts it finds, and what each stream sees and says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from foveate.config import PARTS, Branch, HardwareConfig, TestViews
from foveate.data.images import upright_rgb
from foveate.data.transforms import evaluation_geometries
from foveate.evaluation.predictions import ranked_classes
from foveate.hardware import device_of
from foveate.methods.inference import Classifier, decision
from foveate.methods.macnn import PartsLook
from foveate.report.parts_picture import Crop, Part, PartsExplanation
from foveate.runs import Run
from foveate.types import Box, RankedClass, Size
from foveate.workflows.pictures import picture_of

_SHOWN = 5  # classes of the decision


@dataclass(frozen=True)
class PartsExplainer:
    """A run's network, ready to show its way."""

    run: Run
    classifier: Classifier

    @classmethod
    def of(cls, run: Run, hardware: HardwareConfig | None = None) -> PartsExplainer:
        """Load the weights; errors as in `Run.load_network`."""
        hardware = hardware or HardwareConfig()
        device_of(hardware)  # what is not there is said before the weights are read
        return cls(run, Classifier.place(run.load_network(), hardware))

    def explain(self, image: Image.Image, title: str, truth: str | None = None) -> PartsExplanation:
        """Return what the network saw in a photograph.

        Raises:
            UserError: The run is not one of MA-CNN.
        """
        image = upright_rgb(image, title, largest_megapixels=None)
        (view,) = evaluation_geometries(Size(*image.size), self.run.config.transforms, TestViews.CENTRE)
        look = self.classifier.look_at_parts(torch.from_numpy(np.array(view.pixels(image)))[None])
        answers = {branch: self._ranked(logits) for branch, logits in look.logits.present().items()}
        original = picture_of(look.original, self.classifier.network.backbone.normalisation)
        crops = {branch: self._crop(look, branch, answers[branch][0]) for branch in look.views}
        peaks = look.attention.peaks[0].cpu().numpy() * np.array(original.size)
        return PartsExplanation(
            title=title,
            image=original,
            parts=tuple(
                Part(attention.cpu().numpy(), (float(x), float(y)), crops[branch])
                for branch, attention, (x, y) in zip(PARTS, look.attention.maps[0], peaks, strict=False)
            ),
            answer=decision(answers),
            original_answer=answers[Branch.ORIGINAL][0],
            object=crops.get(Branch.OBJECT),
            truth=truth,
        )

    def _crop(self, look: PartsLook, branch: Branch, answer: RankedClass) -> Crop:
        side, normalisation = look.original.shape[-1], self.classifier.network.backbone.normalisation
        left, top, right, bottom = (look.boxes[branch][0] * side).tolist()
        return Crop(Box(left, top, right, bottom), picture_of(look.views[branch], normalisation), answer)

    def _ranked(self, logits: Float[Tensor, "1 c"]) -> tuple[RankedClass, ...]:
        return ranked_classes(logits[0].float().softmax(-1).cpu().numpy(), self.run.class_names, _SHOWN)
