"""Show how a Guided Zoom comes to its answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from foveate.config.data import TestViews, TransformConfig
from foveate.data.images import read_image, upright_raster
from foveate.data.paths import find_photographs
from foveate.data.raster import Raster
from foveate.data.roots import shown_path
from foveate.data.transforms import evaluation_geometries
from foveate.errors import UserError
from foveate.evaluation.rank_correlation import rank_correlation
from foveate.files.documents import write_json
from foveate.grounding.twins import TwinEvidence
from foveate.guided_zoom.algorithm_1 import decide, own_scores, terms_of
from foveate.guided_zoom.conventional_cnn import ConventionalCNN
from foveate.guided_zoom.explanation import ClassEvidence, ExplainedRound, PoolPatch, ZoomExplanation
from foveate.guided_zoom.guided_zoom import GuidedZoomOutput
from foveate.guided_zoom.nearest_patches import Nearest
from foveate.guided_zoom.object_region import object_region, share_on
from foveate.guided_zoom.picture import zoom_picture
from foveate.guided_zoom.reasons import zoom_document
from foveate.guided_zoom.refined_probabilities import refined_probabilities
from foveate.guided_zoom.refiner import Refiner
from foveate.runs.context import HERE, RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import Calibration, calibration_of_first, read_calibration
from foveate.runs.run import Run
from foveate.types import Box
from foveate.workflows.explanation_pictures import draw_photographs, shown_name
from foveate.workflows.load_guided_zoom import load_guided_zoom
from foveate.workflows.pool_features import PoolFeatures, pool_features
from foveate.workflows.true_classes import true_classes
from foveate.workflows.twins import TwinExplainer


@dataclass(frozen=True)
class ZoomExplainer:
    """Both networks of a Guided Zoom and the features of its pool, ready to show their way."""

    run: Run
    """Of the conventional network."""
    refiner: Refiner
    pool: PoolFeatures
    twins: TwinExplainer | None
    """None: the network has no layer to look into for what tells two classes apart."""
    nearest: int = 1
    """How many patches of the pool are shown for each patch."""
    calibration: Calibration = field(default_factory=Calibration)
    """Of the refined answer, as `foveate predict` has it."""
    first_calibration: Calibration = field(default_factory=Calibration)
    """Of the network's own answer (`calibration_of_first`)."""

    @classmethod
    def of(cls, zoom: GuidedZoomRun, context: RunContext = HERE) -> ZoomExplainer:
        """Load the networks and the pool.

        Raises:
            UserError: The Guided Zoom is unfinished, or what it was made of has changed or is gone.
        """
        networks = load_guided_zoom(zoom, context.hardware)
        return cls.put_together(zoom, Refiner.of(networks, zoom.description.refinement), context)

    @classmethod
    def put_together(cls, zoom: GuidedZoomRun, refiner: Refiner, context: RunContext = HERE) -> ZoomExplainer:
        """Load the pool for networks that are loaded; errors as in `of`."""
        workers, evidence_cnn = context.hardware.workers, refiner.zoom.evidence_cnn
        bare = cls.without_pool(zoom.base_run(), refiner, read_calibration(zoom.path))
        if zoom.shared:
            context.say("the nearest training evidence is not shown: its photographs are not shared")
            return bare
        pool = pool_features(zoom, evidence_cnn, workers=workers, root=context.root, say=context.say)
        return replace(bare, pool=pool)

    @classmethod
    def without_pool(cls, run: Run, refiner: Refiner, calibration: Calibration) -> ZoomExplainer:
        """Return what shows no training photographs, for where they are gone, or not to be seen."""
        zoom = refiner.zoom
        return cls(
            run,
            refiner,
            PoolFeatures.none(zoom.evidence_cnn, zoom.transforms.input_size),
            _twin_explainer(run, zoom.conventional),
            calibration=calibration,
            first_calibration=calibration_of_first(run),
        )

    @property
    def transforms(self) -> tuple[TransformConfig, TransformConfig]:
        """What a photograph is turned into: what the network sees, and what patches are cut from."""
        transforms = self.run.config.transforms
        return transforms, self.refiner.source_of(transforms)

    def explain(
        self, image: Image.Image | Raster, title: str, truth: str | None = None, besides: Path | None = None
    ) -> ZoomExplanation:
        """Return the evidence for each of the best classes of a photograph, and what it did.

        Args:
            image: The photograph.
            title: What to call it.
            truth: Its true class, where that is known.
            besides: Its path: patches of it in the pool are not its nearest.
        """
        raster, config = upright_raster(image, title), self.refiner.config
        (small,), (large,) = (evaluation_geometries(raster.source, each, TestViews.CENTRE) for each in self.transforms)
        first, view = raster.view(small), raster.view(large)
        output = self.refiner.zoom.output(_pixels(first), _pixels(view), config.top_k)
        evidence, refined = output.evidence, decide(output.evidence, config)
        own = evidence.logits.float().softmax(1)
        refined_ones = refined_probabilities(own, evidence.classes, refined, config.scores)
        shown = self.first_calibration.tempered(own), self.calibration.tempered(refined_ones)
        explanation = ZoomExplanation(
            title=title,
            image=view,
            window=large.window,
            classes=self._classes(output, view, torch.cat(shown), refined.scores[0].tolist(), besides),
            chosen=evidence.classes[0].tolist().index(int(refined.classes[0])),
            considered=bool(refined.considered[0]),
            entropy=float(torch.special.entr(own[0].double()).sum()),
            config=config,
            truth=truth,
            map_correlation=_correlation(output.maps[0, :, 0]),
        )
        return replace(explanation, twins=self._twins(explanation, first))

    def _twins(self, explanation: ZoomExplanation, view: Image.Image) -> TwinEvidence | None:
        """Say why the chosen class and not its rival; None where there is no other, or the network cannot be asked."""
        rival, chosen = explanation.rival, explanation.classes[explanation.chosen]
        if rival is None or self.twins is None:
            return None
        with suppress(UserError):
            return self.twins.evidence(view, chosen.class_name, rival.class_name)
        return None

    def _classes(
        self,
        output: GuidedZoomOutput,
        view: Image.Image,
        probabilities: Float[Tensor, "2 c"],
        scores: Sequence[float],
        besides: Path | None,
    ) -> tuple[ClassEvidence, ...]:
        """Gather what is known of each class; probabilities are those before and after the evidence."""
        evidence, config = output.evidence, self.refiner.config
        terms = terms_of(own_scores(evidence, config.scores), evidence.scores, config.weights)[0]
        classes = evidence.classes[0, :, None].expand(evidence.scores.shape[1:]).flatten()
        near = self.pool.nearest(output.features.flatten(0, 2), classes, self.nearest, besides)
        rounds = terms.shape[1] - 1
        region = object_region(output.maps[0, :, 0].cpu().numpy())
        return tuple(
            ClassEvidence(
                class_name=self.run.class_names[label],
                probability=float(probabilities[0, label]),
                refined=float(probabilities[1, label]),
                terms=tuple(terms[rank].tolist()),
                score=scores[rank],
                rounds=tuple(self._round(output, view, rank, number, near, region) for number in range(rounds)),
            )
            for rank, label in enumerate(evidence.classes[0].tolist())
        )

    def _round(
        self,
        output: GuidedZoomOutput,
        view: Image.Image,
        rank: int,
        number: int,
        near: Nearest,
        region: Bool[np.ndarray, "g g"] | None,
    ) -> ExplainedRound:
        evidence, each = output.evidence, (0, rank, number)
        x, y = evidence.places[each].tolist()
        box = evidence.boxes[each].tolist()
        frame = Box(*map(float, box))
        row = rank * evidence.scores.shape[2] + number
        heat = output.maps[each].clamp(min=0).nan_to_num(0.0)
        return ExplainedRound(
            erased=Image.fromarray(output.erased[each].cpu().numpy()),
            heat=(heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny)).cpu().numpy(),
            place=(x, y),
            box=frame,
            found=bool(evidence.found[each]),
            patch=self._patch(view, box),
            probability=float(output.probabilities[each]),
            score=float(evidence.scores[each]),
            nearest=self._patches(near.rows[row].tolist(), near.distances[row].tolist()),
            on_object=None if region is None else share_on(region, frame, view.width),
        )

    def _patch(self, view: Image.Image, box: Sequence[int]) -> Image.Image:
        left, top, right, bottom = box
        patches, patch = self.refiner.zoom.patches, view.crop((left, top, right, bottom))
        return patch.resize((patches.side, patches.side), Image.Resampling.BILINEAR) if patches.stretch else patch

    def _patches(self, rows: Sequence[int], distances: Sequence[float]) -> tuple[PoolPatch, ...]:
        records = [
            (self.pool.records[row], distance) for row, distance in zip(rows, distances, strict=True) if row >= 0
        ]
        return tuple(
            PoolPatch(each.id, distance, read_image(each.image, each.id, largest_megapixels=None))
            for each, distance in records
        )


def explain_zoom(
    zoom: GuidedZoomRun | Path | str,
    patterns: Sequence[str],
    *,
    out: Path | None = None,
    context: RunContext = HERE,
) -> tuple[Path, ...]:
    """Write a picture and a JSON file for each photograph: the evidence for its best classes, and what it did.

    Args:
        zoom: A finished Guided Zoom, or its folder.
        patterns: Photographs, folders, globs.
        out: Folder for both, named after the photographs (`picture_paths`); None: `explanations/` in the Guided Zoom's
            folder.
        context: As `RunContext` says.

    Returns:
        The pictures.

    Raises:
        UserError: The Guided Zoom is unfinished, or a photograph cannot be read.
    """
    zoom = GuidedZoomRun.of(zoom)
    photographs, explainer = find_photographs(patterns, context.say), ZoomExplainer.of(zoom, context)
    truths = true_classes(explainer.run, photographs, context)

    def draw(image: Raster, photograph: Path, picture: Path) -> None:
        explanation = explainer.explain(image, shown_name(photograph), truths.get(photograph), photograph)
        zoom_picture(explanation, picture)
        document = {"path": shown_path(photograph.absolute()), **zoom_document(explanation)}
        write_json(picture.with_suffix(".json"), document)

    folder = out or zoom.path / "explanations"
    return draw_photographs(photographs, explainer.run, explainer.transforms, folder, "explained", draw, context)


def _twin_explainer(run: Run, conventional: ConventionalCNN) -> TwinExplainer | None:
    """Return what looks into the layer that the pool was grounded in; None where the network has none to look into."""
    with suppress(UserError):
        return TwinExplainer.of(conventional.classifier, run.class_names, conventional.layer)
    return None


def _correlation(maps: Float[Tensor, "k h w"]) -> float | None:
    """Return the mean rank correlation of two of some maps; None where there is one."""
    first, second = torch.triu_indices(len(maps), len(maps), offset=1)
    return float(rank_correlation(maps[first], maps[second]).mean()) if len(first) else None


def _pixels(view: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(view))[None]
