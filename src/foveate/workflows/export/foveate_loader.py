"""Answer for photographs with what `foveate export` wrote: this file, NumPy, Pillow and the runtime of the artefact.

Nothing else of Foveate is needed, nor torch (but for an artefact of torch's). Photographs are decoded and resized as in
the training: upright, 8-bit RGB, a JPEG that is much larger than its view at reduced scale, in one antialiased step.
From the command line, `python foveate_loader.py FOLDER PHOTOGRAPH...`; in a program::

    import foveate_loader

    model = foveate_loader.load("folder")
    answer = model.predict("bird.jpg")
    print(answer.top(3))  # the best classes and their probabilities
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

SCHEMA_VERSION = 1
"""Of the description that it reads."""
DESCRIPTION = "foveate.json"
"""What an artefact says of itself."""
_MEGAPIXEL = 1_000_000

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Photograph = str | os.PathLike[str] | bytes | Image.Image
Network = Callable[[Pixels], tuple[Floats, Floats]]
"""From pixels (b, H, W, 3) to probabilities and logits, both (b, c)."""


class LoaderError(ValueError):
    """An artefact or a photograph that cannot be used; the message says why, and what to do."""


class Answer(NamedTuple):
    """The answer for one photograph: of every class, in the order of ``class_names``."""

    image: str
    class_names: tuple[str, ...]
    probabilities: Floats
    """(c,); they add up to 1."""
    logits: Floats
    """(c,); the probabilities are their softmax."""

    def top(self, number: int = 5) -> list[tuple[str, float]]:
        """Return the most probable classes and their probabilities, the best first."""
        best = np.argsort(-self.probabilities, kind="stable")[:number]
        return [(self.class_names[label], float(self.probabilities[label])) for label in best]


@dataclass(frozen=True)
class Artefact:
    """What `foveate export` wrote, ready to answer; `load` makes it."""

    description: dict[str, Any]
    """Its `foveate.json`."""
    network: Network

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can tell apart."""
        return tuple(self.description["class_names"])

    def predict(self, photograph: Photograph) -> Answer:
        """Answer for one photograph: a path, encoded bytes, or a Pillow image."""
        return next(self.predict_many([photograph]))

    def predict_many(self, photographs: Iterable[Photograph], batch_size: int = 16) -> Iterator[Answer]:
        """Answer for photographs in their order, a batch at a time.

        Raises:
            LoaderError: One cannot be read.
        """
        waiting = iter(photographs)
        while batch := list(islice(waiting, batch_size)):
            pixels = np.stack([self.pixels(each) for each in batch])
            for photograph, probabilities, logits in zip(batch, *self.network(pixels), strict=True):
                yield Answer(_name(photograph), self.class_names, probabilities, logits)

    def pixels(self, photograph: Photograph) -> Pixels:
        """Return what the network sees of a photograph, (H, W, 3).

        Raises:
            LoaderError: It cannot be read.
        """
        return view(read(photograph, self.description["views"]), self.description["views"])


def load(folder: str | os.PathLike[str], threads: int | None = None) -> Artefact:
    """Open an artefact.

    Args:
        folder: As `foveate export` wrote it.
        threads: Of the processor; None: as the runtime chooses.

    Raises:
        LoaderError: It is none, damaged, or of another version, or its runtime is not installed.
    """
    description = _description(Path(folder))
    for name, digest in description["files"].items():
        _check(Path(folder) / name, digest)
    return Artefact(description, runtime(Path(folder), description, threads))


def runtime(folder: Path, description: dict[str, Any], threads: int | None = None) -> Network:
    """Return the network of an artefact; arguments and errors as in `load`.

    ``description`` names the ``model``, its ``format`` and its ``precision``.
    """
    opener = {"onnx": _onnx, "openvino": _openvino, "torch": _torch}[description["format"]]
    try:
        return opener(folder / description["model"], description["precision"], threads)
    except ImportError as error:
        name = (error.name or str(error)).partition(".")[0]
        raise LoaderError(
            f"an artefact of the format {description['format']} needs the package {name}, which is not installed; "
            f"pip install {name}"
        ) from error


def _description(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LoaderError(
            f"an artefact is a folder with a {DESCRIPTION}, as `foveate export` writes it; {folder} is not one"
        ) from error
    except (OSError, ValueError) as error:
        raise LoaderError(
            f"{file} cannot be read ({error}); restore it from a copy, or export the run again"
        ) from error
    version = description.get("schema_version") if isinstance(description, dict) else None
    if version != SCHEMA_VERSION:
        raise LoaderError(
            f"this loader reads artefacts of version {SCHEMA_VERSION}; {folder} is of version {version}; take the "
            "foveate_loader.py that lies beside it"
        )
    return dict(description)


def _check(file: Path, digest: str) -> None:
    try:
        with file.open("rb") as stream:
            there = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise LoaderError(
            f"{file} cannot be read ({error.strerror}); restore it from a copy, or export again"
        ) from error
    if there != digest:
        raise LoaderError(
            f"{file} is damaged: cut short, or not the one that was proved; restore it from a copy, or export again"
        )


def _onnx(model: Path, precision: str, threads: int | None) -> Network:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def network(pixels: Pixels) -> tuple[Floats, Floats]:
        probabilities, logits = session.run(["probabilities", "logits"], {"pixels": pixels})
        return probabilities, logits

    return network


def _openvino(model: Path, precision: str, threads: int | None) -> Network:
    openvino = importlib.import_module("openvino")
    # What is not said is chosen by the processor: bf16, where that is fast.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads:
        settings |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)

    def network(pixels: Pixels) -> tuple[Floats, Floats]:
        answers = compiled.infer_new_request({"pixels": pixels})
        return answers["probabilities"], answers["logits"]

    return network


def _torch(model: Path, precision: str, threads: int | None) -> Network:
    torch = importlib.import_module("torch")
    if threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    module = torch.export.load(model).module()

    def network(pixels: Pixels) -> tuple[Floats, Floats]:
        with torch.no_grad():
            probabilities, logits = module(torch.from_numpy(pixels))
        return probabilities.numpy(), logits.numpy()

    return network


class Raster(NamedTuple):
    """The pixels of a photograph, and how they lie in it."""

    image: Image.Image
    """Upright, 8-bit RGB."""
    size: tuple[int, int]
    """Width and height of the whole photograph, upright."""
    reduction: int
    """Pixels a side of the photograph for each of the image: 1, or of a JPEG 2, 4 or 8."""
    overhang: tuple[int, int]
    """By how many pixels of the photograph the first one of the image reaches over it: left and top."""


def read(photograph: Photograph, views: dict[str, Any]) -> Raster:
    """Decode a photograph to upright 8-bit RGB, as finely as its view needs.

    The orientation of EXIF is applied; grey, CMYK and palette pictures are converted, 16-bit grey ones scaled,
    transparency is laid over white; of an animation the first frame counts.

    Args:
        photograph: A path, encoded bytes, or a Pillow image.
        views: Of the artefact's description: how small, long and large a photograph may be.

    Raises:
        LoaderError: It is missing, damaged, or of a shape that no photograph has.
    """
    name = _name(photograph)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = photograph if isinstance(photograph, Image.Image) else _opened(photograph)
            _check_size(image, name, views)
            if image is photograph or image.format not in {"JPEG", "MPO"}:
                whole = _rgb(ImageOps.exif_transpose(image))
                return Raster(whole, whole.size, 1, (0, 0))
            return _reduced(image, views)
    except LoaderError:
        raise
    except FileNotFoundError as error:
        raise LoaderError(f"photograph not found: {name}; check the path") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = " ".join(str(error).split())[:120]
        raise LoaderError(f"photograph cannot be decoded: {name} ({reason}); replace it, or leave it out") from error


def view(raster: Raster, views: dict[str, Any]) -> Pixels:
    """Return the view of a photograph that the network sees, (H, W, 3), in one antialiased resampling.

    It is the centre of the whole photograph, squashed to a square: `input_size` of `resize_size` pixels a side, shown
    by `source_size` pixels.
    """
    squashed, side, source = (views[name] for name in ("resize_size", "input_size", "source_size"))
    first = (squashed - side) // 2
    width, height = raster.size
    left, right = (place * width / squashed for place in (first, first + side))
    top, bottom = (place * height / squashed for place in (first, first + side))
    seen = (left, top, min(right, width), min(bottom, height))
    box = [(place + raster.overhang[axis % 2]) / raster.reduction for axis, place in enumerate(seen)]
    return np.asarray(raster.image.resize((source, source), Image.Resampling.BILINEAR, box=tuple(box)))


def _reduced(image: Image.Image, views: dict[str, Any]) -> Raster:
    """Decode a JPEG at the coarsest scale that leaves two pixels a side for each of the view."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    shape = width, height = image.size
    size = (height, width) if orientation in range(5, 9) else shape
    needed = views["resize_size"] * views["source_size"] / views["input_size"] / min(size)
    reduction = next((each for each in (8, 4, 2) if 2 * needed * each <= 1 + 1e-6), 1)
    if reduction > 1:
        image.draft(None, (width // reduction, height // reduction))
    # A side is rounded up to whole pixels at its end in the file, which may be the left or the top of the photograph.
    right, below = -width % reduction, -height % reduction
    left = {2: right, 3: right, 6: below, 7: below}.get(orientation, 0)
    top = {3: below, 4: below, 7: right, 8: right}.get(orientation, 0)
    return Raster(_rgb(ImageOps.exif_transpose(image)), size, reduction, (left, top))


def _opened(photograph: str | os.PathLike[str] | bytes) -> Image.Image:
    source = photograph if isinstance(photograph, bytes) else Path(photograph).read_bytes()
    try:
        return Image.open(BytesIO(source))
    except UnidentifiedImageError:
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
    try:
        return Image.open(BytesIO(source))
    except UnidentifiedImageError as error:
        raise LoaderError(
            f"photograph cannot be decoded: {_name(photograph)} (no kind of picture that Pillow reads here; HEIC needs "
            "pip install pillow-heif); replace it, or leave it out"
        ) from error


def _check_size(image: Image.Image, name: str, views: dict[str, Any]) -> None:
    short, long = sorted(image.size)
    if short < views["smallest_side"] or long > views["largest_aspect"] * short:
        raise LoaderError(
            f"a photograph must be at least {views['smallest_side']} pixels on each side and at most "
            f"{views['largest_aspect']:.0f} times as long as wide; {name} is {image.width}x{image.height}; leave it out"
        )
    if short * long > views["largest_megapixels"] * _MEGAPIXEL:
        raise LoaderError(
            f"a photograph may have at most {views['largest_megapixels']} megapixels; {name} is "
            f"{image.width}x{image.height}; scale it down, or leave it out"
        )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _wide_grey(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _wide_grey(image: Image.Image) -> Image.Image:
    """16-bit integers span 0..65535; floating-point pictures 0..1 where nothing in them exceeds 1, else 0..255."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a pixel is no finite number")
    white = 65535.0 if image.mode != "F" else 1.0 if values.max() <= 1.0 else 255.0
    grey = np.clip(values, 0, white) * (255.0 / white)
    return Image.fromarray((grey + 0.5).astype(np.uint8)).convert("RGB")


def _name(photograph: Photograph) -> str:
    return str(photograph) if isinstance(photograph, str | os.PathLike) else "the photograph"


def main(words: Sequence[str]) -> int:
    """Print the answers for photographs; 2 where something is to be mended."""
    if len(words) < 2:
        print("usage: python foveate_loader.py FOLDER PHOTOGRAPH...", file=sys.stderr)
        return 2
    folder, *photographs = words
    try:
        for answer in load(folder).predict_many(photographs):
            print(f"{answer.image}: " + ", ".join(f"{name} {probability:.1%}" for name, probability in answer.top()))
    except LoaderError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
