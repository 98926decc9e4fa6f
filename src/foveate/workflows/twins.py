"""Why a run's network says one class and not another: contrastive maps of both, for pages and pictures."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from foveate.errors import UserError
from foveate.grounding.twins import TwinContrast, TwinEvidence
from foveate.inference.classifier import Classifier


@dataclass(frozen=True)
class TwinExplainer:
    """A run's network, ready to say what tells two of its classes apart in a photograph."""

    classifier: Classifier
    class_names: tuple[str, ...]
    contrast: TwinContrast

    @classmethod
    def of(cls, classifier: Classifier, class_names: tuple[str, ...], layer: str | None = None) -> TwinExplainer:
        """Look into a layer of a classifier's network; `layer` and errors as in `TwinContrast`."""
        return cls(classifier, class_names, TwinContrast(classifier.network, layer))

    def evidence(self, view: Image.Image, first: str, second: str) -> TwinEvidence:
        """Return both maps of a view.

        Args:
            view: What the network sees of a photograph, of the source size (`TransformConfig.source`).
            first: Name of a class.
            second: Name of another.

        Raises:
            UserError: A class is none of the run's, both are the same, or the network cannot be grounded.
        """
        pair = torch.tensor([[self._number(first), self._number(second)]], device=self.classifier.device)
        maps = self.contrast(self.classifier.inputs(torch.from_numpy(np.array(view.convert("RGB")))[None]), pair)
        return TwinEvidence(first, second, *(each[0].cpu().numpy() for each in (maps.first, maps.second)))

    def _number(self, name: str) -> int:
        if name not in self.class_names:
            close = ", ".join(difflib.get_close_matches(name, self.class_names, n=3, cutoff=0.0))
            raise UserError(f"twins must be classes that the network tells apart; got {name!r}; close: {close}")
        return self.class_names.index(name)
