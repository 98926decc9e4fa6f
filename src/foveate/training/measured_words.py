"""What a training measures, as words for the screen; the files keep the names."""

from __future__ import annotations

from collections.abc import Mapping

from foveate.config.branches import Branch

_LOOKS = {
    Branch.ORIGINAL.value: "first look",
    Branch.DISCRIMINATIVE.value: "discriminative look",
    Branch.COMPLEMENTARY.value: "complementary look",
    Branch.JOINT.value: "joint",
}
_SPLITS = {"train": "training", "validation": "validation"}


def held_out_words(measured: Mapping[str, float]) -> str | None:
    """Return a line on cross-validated accuracy, of `Solved.measured`; None: nothing could be held out."""
    shares = {
        name.removeprefix("held-out/").removesuffix("/top1"): value
        for name, value in measured.items()
        if name.startswith("held-out/") and not name.endswith("loss")
    }
    if not shares:
        return None
    words = [f"{_look(name)} {value:.1%}" for name, value in shares.items()]
    return f"right, cross-validated on the training photographs: {', '.join(words)}"


def epoch_words(measured: Mapping[str, float]) -> str:
    """Return what an epoch measured, of the names that Lightning logs."""
    return ", ".join(_epoch_value(name, value) for name, value in measured.items())


def _look(name: str) -> str:
    return "this network" if name == "top1" else _LOOKS.get(name, name)


def _epoch_value(name: str, value: float) -> str:
    split, _, what = name.partition("/")
    words = [
        _SPLITS.get(split, split),
        *(_LOOKS.get(part, part) for part in what.split("/") if part and part != "top1"),
    ]
    return f"{' '.join(words)} top-1 {value:.2%}" if name.endswith("top1") else f"{' '.join(words)} {value:.4f}"
