"""What is tried: one thing at a time, around what is the default and around a guess at a better one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from screening.settings import Settings

_NOW = Settings()
_GUESS = Settings(steps=1120, probe=True, head_rate=0.01)

_SMALL = replace(_GUESS, trained=160)
_LATE = replace(_GUESS, frozen_stages=2)
_LONG = replace(_LATE, learning_rate=0.06, steps=1680)


def _adamw(rate: float) -> dict[str, Any]:
    return {"optimiser": "adamw", "learning_rate": rate, "head_rate": rate, "weight_decay": 0.05}


PLAN: dict[str, Settings] = {
    "now": _NOW,
    "guess": _GUESS,
    "now, three times the steps": replace(_NOW, steps=1680),
    "guess, head at random": replace(_GUESS, probe=False, head_rate=0.1),
    "guess, rate 0.003": replace(_GUESS, learning_rate=0.003),
    "guess, rate 0.03": replace(_GUESS, learning_rate=0.03),
    "guess, norms frozen": replace(_GUESS, frozen_norms=True),
    "guess, norms frozen, rate 0.003": replace(_GUESS, frozen_norms=True, learning_rate=0.003),
    "guess, layers 0.7": replace(_GUESS, layer_decay=0.7),
    "guess, layers 0.85, rate 0.02": replace(_GUESS, layer_decay=0.85, learning_rate=0.02),
    "guess, adamw 1e-4": replace(_GUESS, optimiser="adamw", learning_rate=1e-4, head_rate=1e-4, weight_decay=0.05),
    "guess, adamw 3e-4": replace(_GUESS, optimiser="adamw", learning_rate=3e-4, head_rate=3e-4, weight_decay=0.05),
    "guess, adamw 1e-3": replace(_GUESS, optimiser="adamw", learning_rate=1e-3, head_rate=1e-3, weight_decay=0.05),
    "guess, adamw 1e-3, layers 0.7": replace(
        _GUESS, optimiser="adamw", learning_rate=1e-3, head_rate=1e-3, weight_decay=0.05, layer_decay=0.7
    ),
    "guess, trivial": replace(_GUESS, augment="trivial"),
    "guess, trivial, twice the steps": replace(_GUESS, augment="trivial", steps=2240),
    "guess, square": replace(_GUESS, square=True),
    "guess, area 0.25": replace(_GUESS, smallest=0.25),
    "guess, area 0.08": replace(_GUESS, smallest=0.08),
    "guess, area 0.8": replace(_GUESS, smallest=0.8),
    "guess, twice the steps": replace(_GUESS, steps=2240),
    "S3N now": Settings(looks=3),
    "three crops": Settings(crops=3),
    "guess, S3N": replace(_GUESS, looks=3),
    "guess, mixup 0.2": replace(_GUESS, mixup=0.2),
    "guess, dropout 0.2": replace(_GUESS, dropout=0.2),
    "guess, decay 1e-3": replace(_GUESS, weight_decay=1e-3),
    "guess, head rate 0.1": replace(_GUESS, head_rate=0.1),
    "guess, head rate 0.001": replace(_GUESS, head_rate=0.001),
    "guess, batch 32, rate 0.02": replace(_GUESS, batch=32, learning_rate=0.02, head_rate=0.02, steps=560),
    "guess, no smoothing": replace(_GUESS, smoothing=0.0),
    "guess, three times the steps": replace(_GUESS, steps=3360),
    "adamw, layers, trivial, long": replace(
        _GUESS,
        optimiser="adamw",
        learning_rate=5e-4,
        head_rate=5e-4,
        weight_decay=0.05,
        layer_decay=0.85,
        augment="trivial",
        steps=2240,
    ),
    "frozen, trivial, long": replace(_GUESS, frozen_norms=True, augment="trivial", steps=2240),
    "guess, whole view": replace(_GUESS, share=1.0),
    "S3N, source 448": Settings(looks=3, source=448),
    "160": _SMALL,
    "guess, stages 2": _LATE,
    "late, adamw 5e-4": replace(_LATE, **_adamw(5e-4)),
    "late, rate 0.03": replace(_LATE, learning_rate=0.03),
    "late, trivial": replace(_LATE, augment="trivial"),
    "late, rate 0.1": replace(_LATE, learning_rate=0.1, head_rate=0.1),
    "late, rate 0.1, head 0.01": replace(_LATE, learning_rate=0.1),
    "late, rate 0.06, 1680 steps": replace(_LATE, learning_rate=0.06, steps=1680),
    "late, area 0.25": replace(_LATE, smallest=0.25),
    "late, area 0.25, rate 0.03": replace(_LATE, smallest=0.25, learning_rate=0.03),
    "late, trivial, rate 0.03": replace(_LATE, augment="trivial", learning_rate=0.03),
    "late, rate 0.03, S3N": replace(_LATE, learning_rate=0.03, looks=3, source=448, steps=700),
    "late, rate 0.06, S3N": replace(_LATE, learning_rate=0.06, looks=3, source=448, radius_rate=0.0),
    "long, snapmix": replace(_LONG, patched="snapmix"),
    "long, half snapmix": replace(_LONG, patched="snapmix", share_patched=0.5),
    "long, cutmix": replace(_LONG, patched="cutmix"),
    "long, mixup 0.2": replace(_LONG, mixup=0.2),
    "long, trivial": replace(_LONG, augment="trivial"),
    "long, teacher's features": replace(_LONG, teacher="features", taught=3.0),
    "long, teacher's answers": replace(_LONG, teacher="answers"),
    "long, teacher's features, 10": replace(_LONG, teacher="features", taught=10.0),
    "late, twice the steps": replace(_LATE, steps=2240),
    "late, adamw 5e-4, twice the steps": replace(_LATE, **_adamw(5e-4), steps=2240),
    "late, trivial, twice the steps": replace(_LATE, augment="trivial", steps=2240),
}
"""Most telling first, for where the time ends before the plan."""
