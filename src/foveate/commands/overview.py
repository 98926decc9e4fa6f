"""What `foveate` alone prints: every command in a line, by what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Your photographs": {
        "check": "find copies, leaks between splits, doubtful labels and unusable files",
        "data": "say what a data set holds, and read every photograph once",
        "fit": "try the methods that fit the time, train the best one",
    },
    "A trained model": {
        "report": "one HTML file: what is wrong and why, and when to trust an answer",
        "predict": "name what is in photographs",
        "explain": "show where it looked, and why it answered so",
        "serve": "a page and an API that answer for photographs, on this machine",
        "export": "one file for onnxruntime, OpenVINO or torch, with a proof that it answers the same",
        "push": "share it on the Hugging Face hub, with a model card",
    },
    "Training": {
        "train": "train one method: foveate train s3n FOLDER",
        "adopt": "take in a network that was trained elsewhere",
        "ensemble": "several trained networks that answer together, as one",
        "guided-zoom": "refine a trained network's answers by their evidence",
        "tune": "fit how the answer is decided to held-out photographs",
        "pool": "the evidence pool of Guided Zoom, alone",
        "recipes": "list what can be trained",
    },
    "Measuring": {
        "evaluate": "accuracy, with intervals",
        "compare": "paired differences of several models, and their cost",
        "trust": "calibration, risk by coverage, confused classes",
        "localise": "whether class maps say where the object is",
        "attention": "what S3N's sparse attention falls on",
        "grounding": "how well each method of grounding points at the class",
    },
    "This project": {
        "demo": "draw birds, train, compare and report: minutes on two cores",
        "reproduce": "the papers' tables, figures and trainings",
    },
}
"""One sentence a command, in the order of use; together all of `foveate.commands.main.commands`."""


def overview() -> str:
    """Return the page that lists the commands."""
    width = max(map(len, names()))
    blocks = [
        "\n".join([f"{title}:", *(f"  {name:<{width}}  {sentence}" for name, sentence in group.items())])
        for title, group in GROUPS.items()
    ]
    return "\n\n".join(
        [
            "Fine-grained image recognition that looks closer and shows why.",
            "usage: foveate COMMAND ...",
            *blocks,
            "`foveate COMMAND --help` says what a command takes; `foveate --version` which version this is.",
        ]
    )


def names() -> list[str]:
    """Return the commands' names, in this order."""
    return list(chain.from_iterable(GROUPS.values()))
