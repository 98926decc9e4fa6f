"""Name what is in photographs."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from foveate.atomic import atomic_path
from foveate.config import HardwareConfig, OnError, TestViews, TransformConfig
from foveate.data.image_kinds import IMAGE_SUFFIXES
from foveate.data.images import ImageError, read_image, upright_rgb
from foveate.data.transforms import evaluation_geometries
from foveate.documents import write_text
from foveate.errors import UserError
from foveate.evaluation.predictions import ranked_classes
from foveate.guided_runs import GuidedZoomRun
from foveate.hardware import processors
from foveate.methods.inference import Classifier
from foveate.methods.refiner import Refiner
from foveate.runs import Run
from foveate.types import Prediction, Size
from foveate.workflows.judge import assemble

_COLUMNS = ("image", "rank", "class_name", "probability", "entropy", "sure")

Photograph = Path | str | bytes | Image.Image

_Views = tuple[np.ndarray, ...]  # of one photograph, for each size: (v, H, W, 3)


class Named(NamedTuple):
    """A photograph, and the name of its class."""

    image: str
    class_name: str


@dataclass(frozen=True)
class Model:
    """A trained run, or a Guided Zoom of one, ready to answer; `foveate.load` makes it."""

    run: Run
    classifier: Classifier
    refiner: Refiner | None = None
    """Of a Guided Zoom: what decides by the evidence for the run's best classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can tell apart."""
        return self.run.class_names

    def predict(
        self,
        photograph: Photograph,
        *,
        top: int = 5,
        entropy_threshold: float | None = None,
        views: TestViews = TestViews.CENTRE,
    ) -> Prediction:
        """Answer for one photograph: a path, encoded bytes or a Pillow image. See `predict_many`."""
        answers = self.predict_many([photograph], top=top, entropy_threshold=entropy_threshold, views=views)
        return next(answers)

    def predict_many(
        self,
        photographs: Sequence[Photograph],
        *,
        top: int = 5,
        entropy_threshold: float | None = None,
        views: TestViews = TestViews.CENTRE,
        batch_size: int = 16,
        unreadable: Callable[[str], None] | None = None,
    ) -> Iterator[Prediction]:
        """Answer for many photographs, in their order, a batch at a time.

        Args:
            photographs: Paths, encoded bytes or Pillow images.
            top: How many classes each answer ranks; at most all.
            entropy_threshold: Nats; an answer whose entropy is above it is marked not sure. None: all are sure.
            views: Which views of a photograph are averaged.
            batch_size: Photographs at a time.
            unreadable: Receives what is wrong with each photograph that cannot be read, which is then left out.
                None: that is an error.

        Raises:
            UserError: A photograph is missing or cannot be read, an argument is out of range, or several views are
                asked of a Guided Zoom or of a network that looks closer at some photographs only.
        """
        if top < 1:
            raise UserError(f"top must be at least 1; got {top}")
        if entropy_threshold is not None and not entropy_threshold >= 0:
            raise UserError(f"entropy_threshold must not be negative, in nats; got {entropy_threshold}")
        closer = self.classifier.zoom_above
        if closer is not None and entropy_threshold is not None and entropy_threshold < closer:
            raise UserError(
                f"what is not looked at closer must count as sure: zoom_above, {closer}, must not be above "
                f"entropy_threshold, {entropy_threshold}; lower the one or raise the other"
            )
        if self.refiner is not None and views is not TestViews.CENTRE:
            raise UserError(
                f"a Guided Zoom looks for evidence in one view of a photograph, views {TestViews.CENTRE}; got {views}; "
                "leave it out"
            )
        for names, pixels in self._decoded_batches(photographs, views, batch_size, unreadable):
            for name, row in zip(names, self._probabilities(*pixels), strict=True):
                yield self._answer(name, row, top, entropy_threshold)

    def classify_many(
        self,
        photographs: Sequence[Photograph],
        *,
        batch_size: int = 16,
        unreadable: Callable[[str], None] | None = None,
    ) -> Iterator[Named]:
        """Name each photograph and its class, the best one of `predict_many`, and nothing else.

        A Guided Zoom then looks at a class's evidence only while the class can still win, which with several rounds
        takes fewer passes (docs/performance.md), and with one as many.

        Args:
            photographs: Paths, encoded bytes or Pillow images.
            batch_size: Photographs at a time.
            unreadable: As in `predict_many`.

        Raises:
            UserError: A photograph is missing or cannot be read.
        """
        for names, pixels in self._decoded_batches(photographs, TestViews.CENTRE, batch_size, unreadable):
            if self.refiner is None:
                best = self.classifier.probabilities(pixels[0]).argmax(1)
            else:
                best = self.refiner.classes(*(each[:, 0] for each in pixels))
            yield from map(Named, names, (self.class_names[label] for label in best.tolist()))

    def _probabilities(
        self, images: UInt8[Tensor, "b v H W 3"], source: UInt8[Tensor, "b 1 Hs Ws 3"] | None = None
    ) -> Float[Tensor, "b c"]:
        if self.refiner is None or source is None:
            return self.classifier.probabilities(images)
        return self.refiner.probabilities(images[:, 0], source[:, 0])

    @property
    def _seen(self) -> tuple[TransformConfig, ...]:
        """What a photograph is turned into: what the network sees, and what patches are cut from."""
        seen = self.run.config.transforms
        return (seen,) if self.refiner is None else (seen, self.refiner.source_of(seen))

    def _decoded_batches(
        self,
        photographs: Sequence[Photograph],
        views: TestViews,
        batch_size: int,
        unreadable: Callable[[str], None] | None,
    ) -> Iterator[tuple[list[str], list[UInt8[Tensor, "b v H W 3"]]]]:
        """Decode the next batch on all processors while the caller's network looks at this one."""
        starts = range(0, len(photographs), batch_size)
        with ThreadPoolExecutor(processors()) as pool:
            ahead: deque[list[tuple[str, Future[_Views]]]] = deque()
            for start in (*starts, None):
                if start is not None:
                    batch = photographs[start : start + batch_size]
                    ahead.append([(_name(each), pool.submit(self._views, each, views)) for each in batch])
                if len(ahead) > (start is not None):
                    decoded = _readable(ahead.popleft(), unreadable)
                    if decoded:
                        each = zip(*(pixels for _, pixels in decoded), strict=True)
                        yield [name for name, _ in decoded], [torch.from_numpy(np.stack(size)) for size in each]

    def _views(self, photograph: Photograph, views: TestViews) -> _Views:
        if isinstance(photograph, Image.Image):
            image = upright_rgb(photograph, "the Pillow image")
        else:
            image = read_image(photograph if isinstance(photograph, bytes) else Path(photograph))
        geometries = (evaluation_geometries(Size(*image.size), each, views) for each in self._seen)
        return tuple(np.stack([np.asarray(view.pixels(image)) for view in each]) for each in geometries)

    def _answer(self, name: str, row: Float[Tensor, " c"], top: int, threshold: float | None) -> Prediction:
        entropy = float(torch.special.entr(row.double()).sum())
        ranked = ranked_classes(row.numpy(), self.class_names, top)
        return Prediction(name, ranked, entropy, threshold is None or entropy <= threshold)


def load(path: Path | str, *, hardware: HardwareConfig | None = None, zoom_above: float | None = None) -> Model:
    """Load a finished run's network, or a Guided Zoom with both of its networks, ready to predict.

    Args:
        path: The run folder, or the Guided Zoom's.
        hardware: Where to compute; none: the fast choice of this machine.
        zoom_above: Of an S3N run: look closer only where the entropy of the first look, in nats, is above this; None:
            always. `foveate evaluate --split validation` shows what each threshold saves.

    Raises:
        UserError: It is neither, it is not finished, its weights are missing or not its own; or `zoom_above` is
            negative, or given for what is no S3N that looks closer.
    """
    path, hardware = Path(path).expanduser(), hardware or HardwareConfig()
    if GuidedZoomRun.is_at(path):
        if zoom_above is not None:
            raise UserError("zoom_above says where an S3N run looks closer; got a Guided Zoom; leave it out")
        made = GuidedZoomRun.open(path)
        zoom = assemble(made, hardware)
        return Model(made.base_run(), zoom.conventional.classifier, Refiner.of(zoom, made.description.refinement))
    run = Run.open(path)
    return Model(run, Classifier.place(run.load_network(), hardware, zoom_above=zoom_above))


def write_answers(path: Path, answers: Sequence[Prediction]) -> None:
    """Write answers as CSV, JSON or Parquet, by the file's ending: one row for each class of each answer.

    Raises:
        UserError: The ending is another one, or the file cannot be written.
    """
    write = _writer(path)
    rows = [
        {
            "image": answer.image,
            "rank": rank,
            "class_name": ranked.class_name,
            "probability": ranked.probability,
            "entropy": answer.entropy,
            "sure": answer.sure,
        }
        for answer in answers
        for rank, ranked in enumerate(answer.top, 1)
    ]
    write(path, rows, _COLUMNS)


def _writer(path: Path) -> Callable[[Path, list[dict[str, Any]], Sequence[str]], None]:
    writers = {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}
    if path.suffix.lower() not in writers:
        raise UserError(f"answers are written as {', '.join(writers)}; got {path.name!r}; choose one of these endings")
    return writers[path.suffix.lower()]


def name_paths(
    run: Path,
    patterns: Sequence[str],
    *,
    zoom_above: float | None = None,
    out: Path | None = None,
    on_error: OnError = OnError.STOP,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Named, ...]:
    """Name the class of files, folders and globs, and nothing else; write the names to `out`, or say them.

    Arguments and errors as in `predict_paths`.
    """
    if out is not None:
        _writer(out)
    model, paths = load(run, hardware=hardware, zoom_above=zoom_above), find_photographs(patterns)
    answers = []
    for answer in model.classify_many(paths, unreadable=say if on_error is OnError.SKIP else None):
        answers.append(answer)
        if out is None:
            say(f"{answer.image}: {answer.class_name}")
    if out is not None:
        _writer(out)(out, [answer._asdict() for answer in answers], Named._fields)
    _say_what_was_done(len(answers), len(paths), out, say)
    return tuple(answers)


def predict_paths(
    run: Path,
    patterns: Sequence[str],
    *,
    top: int = 5,
    entropy_threshold: float | None = None,
    views: TestViews = TestViews.CENTRE,
    zoom_above: float | None = None,
    out: Path | None = None,
    on_error: OnError = OnError.STOP,
    hardware: HardwareConfig | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Prediction, ...]:
    """Answer for files, folders and globs; write the answers to `out`, or say them.

    Arguments and errors as in `load`, `Model.predict_many`, `find_photographs` and `write_answers`. Photographs that
    cannot be read stop it, or are left out and named.
    """
    if out is not None:
        _writer(out)  # a wrong ending is said before the work, not after
    model = load(run, hardware=hardware, zoom_above=zoom_above)
    paths = find_photographs(patterns)
    skip = on_error is OnError.SKIP
    answers = []
    for answer in model.predict_many(
        paths, top=top, entropy_threshold=entropy_threshold, views=views, unreadable=say if skip else None
    ):
        answers.append(answer)
        if out is None:
            say(_line(answer))
    if out is not None:
        write_answers(out, answers)
    _say_what_was_done(len(answers), len(paths), out, say)
    return tuple(answers)


def _say_what_was_done(answers: int, paths: int, out: Path | None, say: Callable[[str], None]) -> None:
    if answers < paths:
        say(f"left out {paths - answers} of {paths} photographs that cannot be read")
    if out is not None:
        say(f"{answers} answers in {out}")


def _line(answer: Prediction) -> str:
    others = ", ".join(f"{each.class_name} {each.probability:.1%}" for each in answer.top[1:])
    verdict = f"{answer.best.class_name} {answer.best.probability:.1%}"
    doubt = "" if answer.sure else f"not sure (entropy {answer.entropy:.2f} nats), best: "
    return f"{answer.image}: {doubt}{verdict}" + (f"  [{others}]" if others else "")


def _write_csv(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _write_json(path: Path, rows: list[dict[str, Any]], _: Sequence[str]) -> None:
    write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, rows: list[dict[str, Any]], _: Sequence[str]) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary)


def _readable(
    batch: Sequence[tuple[str, Future[_Views]]], unreadable: Callable[[str], None] | None
) -> list[tuple[str, _Views]]:
    decoded = []
    for name, future in batch:
        try:
            decoded.append((name, future.result()))
        except ImageError as error:
            if unreadable is None:
                raise
            unreadable(str(error))
    return decoded


def _name(photograph: Photograph) -> str:
    return str(photograph) if isinstance(photograph, Path | str) else "image"
