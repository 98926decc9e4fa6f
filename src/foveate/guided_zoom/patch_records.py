"""The patches of an evidence pool as photographs, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from jaxtyping import Int
from typing_extensions import override

from foveate.config.data import TransformConfig
from foveate.data.records import ImageRecord, Patch, photograph_of

WHOLE = -1
"""In place of a round: the whole view, not a patch of it."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchRecords(Sequence[ImageRecord]):
    """A million patches cost what their numbers cost, in every process that reads them.

    Args:
        photographs: What the patches are cut from.
        which: The photograph of each patch.
        rounds: In which round it was found, or `WHOLE`; the last part of the patch's id.
        boxes: (left, top, right, bottom) in whole pixels of the view.
        transforms: Of the view that patches are cut from.
        stretched: Side of the square that a patch is resized to; None: it is left as it is.
    """

    photographs: Sequence[ImageRecord]
    which: Int[np.ndarray, " n"]
    rounds: Int[np.ndarray, " n"]
    boxes: Int[np.ndarray, "n 4"]
    transforms: TransformConfig
    stretched: int | None

    @override
    def __len__(self) -> int:
        return len(self.which)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> PatchRecords: ...
    @override
    def __getitem__(self, index: int | slice) -> ImageRecord | PatchRecords:
        if isinstance(index, slice):
            return replace(self, which=self.which[index], rounds=self.rounds[index], boxes=self.boxes[index])
        record, number = self.photographs[int(self.which[index])], int(self.rounds[index])
        left, top, right, bottom = self.boxes[index].tolist()
        square = None if number == WHOLE else self.stretched
        image = Patch(photograph_of(record.image), self.transforms, (left, top, right, bottom), square)
        name = "whole" if number == WHOLE else str(number)
        patch: ImageRecord = replace(record, id=f"{record.id}#{name}", image=image, box=None, parts=())
        return patch
