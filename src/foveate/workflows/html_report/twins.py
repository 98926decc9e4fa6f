"""The twin view: two classes that are taken for each other, and on which part of them the network decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from foveate.config.data import TestViews
from foveate.data.geometry import Geometry
from foveate.data.records import ImageRecord
from foveate.data.transforms import evaluation_geometries
from foveate.drawing.overlays import heated_by_cells
from foveate.errors import UserError
from foveate.evaluation.calibration import Judged
from foveate.evaluation.confusion import ConfusedPair, confused_pairs
from foveate.evaluation.predictions import PredictionTable
from foveate.grounding.twins import TwinContrast, TwinMaps
from foveate.inference.classifier import Classifier
from foveate.progress import progress
from foveate.report.html.contents import PhotographCard, Picture, TwinPhotograph, Twins
from foveate.report.html.pictures import PictureStore
from foveate.types import Size
from foveate.workflows.html_report.subject import Subject

_SIDE = 168  # pixels of a picture
_TYPICAL, _LOOKED_AT, _WRONG = 2, 40, 6  # photographs of a class, those among which they are chosen, of a pair


@dataclass(frozen=True)
class _Shown:
    """A photograph as the network sees it."""

    record: ImageRecord
    view: Image.Image


@dataclass(frozen=True)
class TwinView:
    """Shows pairs of classes of a subject."""

    subject: Subject
    store: PictureStore

    @cached_property
    def classifier(self) -> Classifier:
        """The network; of a Guided Zoom, the conventional one."""
        return self.subject.model.context.classifier_of(self.subject.run)

    @cached_property
    def contrast(self) -> TwinContrast | None:
        """What says where two classes differ; None where nothing sees through the network."""
        try:
            return TwinContrast(self.classifier.network, self.subject.model.grounding_layer)
        except UserError as error:
            self.subject.notes.append(f"Where twins differ cannot be shown: {error}")
            return None

    def pairs(self, table: PredictionTable, gallery: Sequence[PhotographCard], count: int) -> tuple[Twins, ...]:
        """Return the pairs of classes that are most often taken for each other, side by side."""
        judged = Judged.of(table.probabilities, table.labels)
        confused = confused_pairs(judged, len(table.class_names), count)
        pairs = []
        with progress("twins", len(confused)) as advance:
            for number, each in enumerate(confused, 1):
                pairs.append(self._twins(each, judged, table, gallery))
                advance(number)
        return tuple(pairs)

    def _twins(
        self, pair: ConfusedPair, judged: Judged, table: PredictionTable, gallery: Sequence[PhotographCard]
    ) -> Twins:
        a, b = pair.first, pair.second
        wrong = ((judged.labels == a) & (judged.answers == b)) | ((judged.labels == b) & (judged.answers == a))
        surest = sorted(np.flatnonzero(wrong).tolist(), key=lambda row: -judged.confidence[row])[:_WRONG]
        present = [row for row in surest if table.ids[row] in self.subject.records]
        shown = self._views([self.subject.records[table.ids[row]] for row in present])
        cards = {card.name: card for card in gallery}
        return Twins(
            first=table.class_names[a],
            second=table.class_names[b],
            first_as_second=pair.first_as_second,
            second_as_first=pair.second_as_first,
            typical_first=self._photographs(self._typical(a), a, b, {}),
            typical_second=self._photographs(self._typical(b), a, b, {}),
            wrong=self._photographs(shown, a, b, cards),
        )

    def _typical(self, label: int) -> list[_Shown]:
        """Return the training photographs of a class whose features are nearest to their mean; first ones without."""
        of_class = [record for record in self.subject.train if record.label == label]
        shown = self._views(of_class[:: max(1, len(of_class) // _LOOKED_AT)][:_LOOKED_AT])
        if len(shown) <= _TYPICAL:
            return shown
        try:
            features = torch.nn.functional.normalize(self.classifier.features(self._pixels(shown)))
        except UserError:  # of a network that is taken as it is they are not known
            return shown[:_TYPICAL]
        nearest = (features @ features.mean(0)).argsort(descending=True, stable=True)
        return [shown[row] for row in nearest[:_TYPICAL].tolist()]

    def _views(self, records: Sequence[ImageRecord]) -> list[_Shown]:
        transforms = self.subject.run.config.transforms
        views = []
        for record, image in zip(records, self.subject.images(records), strict=True):
            if image is not None:
                geometry: Geometry
                (geometry,) = evaluation_geometries(Size(*image.size), transforms, TestViews.CENTRE)
                views.append(_Shown(record, geometry.pixels(image)))
        return views

    @staticmethod
    def _pixels(shown: Sequence[_Shown]) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(each.view) for each in shown]))

    def _photographs(
        self, shown: Sequence[_Shown], first: int, second: int, cards: dict[str, PhotographCard]
    ) -> tuple[TwinPhotograph, ...]:
        if not shown:
            return ()
        maps = self._maps(shown, first, second)
        names = self.subject.run.class_names
        return tuple(
            TwinPhotograph(
                name=each.record.id,
                photograph=self.store.put(each.view, _SIDE, f"{each.record.class_name}, {each.record.id}"),
                for_first=None if maps is None else self._heat(each, maps.first[row], names[first], names[second]),
                for_second=None if maps is None else self._heat(each, maps.second[row], names[second], names[first]),
                number=cards[each.record.id].number if each.record.id in cards else None,
                answer=cards[each.record.id].answer if each.record.id in cards else "",
            )
            for row, each in enumerate(shown)
        )

    def _maps(self, shown: Sequence[_Shown], first: int, second: int) -> TwinMaps | None:
        """Return where each photograph speaks for one class and against the other, both ways."""
        if self.contrast is None:
            return None
        pairs = torch.tensor([[first, second]], device=self.classifier.device).expand(len(shown), -1)
        try:
            return self.contrast(self.classifier.inputs(self._pixels(shown)), pairs)
        except UserError as error:
            note = f"Where twins differ cannot be shown: {error}"
            if note not in self.subject.notes:
                self.subject.notes.append(note)
            return None

    def _heat(self, shown: _Shown, heat: Float[Tensor, "h w"], this: str, other: str) -> Picture:
        words = f"where {shown.record.id} looks like {this} and not like {other}"
        return self.store.put(heated_by_cells(shown.view.resize((_SIDE, _SIDE)), heat.cpu().numpy()), _SIDE, words)
