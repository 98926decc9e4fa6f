"""Where a report's models come from: their data, their training, their settings, what an answer costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.csv as csv

from foveate.data.roots import shown_path
from foveate.errors import UserError
from foveate.files.documents import unstructured
from foveate.report.html.contents import Chart, ClassGlance, DataGlance, MadeBy, Table
from foveate.report.html.figures import learning_chart
from foveate.report.html.pictures import PictureStore
from foveate.runs.run import Run
from foveate.workflows.compared_models import ComparedModel
from foveate.workflows.fit.ladder_table import LadderTable
from foveate.workflows.html_report.subject import Subject

_CLASSES = 60  # whose examples are shown
_SIDE = 112  # pixels of an example


def method_words(model: ComparedModel) -> str:
    """Say the method, the network and the size of its input."""
    run = model.runs[0]
    config = run.config
    size, source = config.transforms.input_size, config.transforms.source
    closer = f", closer looks from {source}" if source != size else ""
    method = f"{model.prefix}{config.network.method} on {config.network.base}, {size} pixels{closer}"
    return f"{method}; trained on {run.description.dataset}"


def data_glance(subject: Subject, store: PictureStore) -> DataGlance | None:
    """Return the data set in a look; None where its photographs are not where they were."""
    if not subject.records:
        return None
    run, test = subject.run, list(subject.records.values())
    train, of_test = (Counter(each.label for each in part) for part in (subject.train, test))
    examples = {each.label: each for each in (*test, *subject.train)}
    shown = list(range(len(run.class_names)))[:_CLASSES]
    images = subject.images([examples[label] for label in shown if label in examples])
    pictures = dict(zip([label for label in shown if label in examples], images, strict=True))
    classes = []
    for label in shown:
        image, name = pictures.get(label), run.class_names[label]
        example = None if image is None else store.put(image, _SIDE, f"a photograph of {name}", square=True)
        classes.append(ClassGlance(name, train[label], of_test[label], example))
    return DataGlance(
        name=run.description.dataset,
        root=shown_path(subject.model.context.data_of(run).root),
        train=len(subject.train),
        validation=len(subject.validation),
        test=len(test),
        classes=tuple(classes),
        total=len(run.class_names),
    )


def learning_charts(run: Run) -> tuple[Chart, ...]:
    """Return what was logged over the epochs: losses, and accuracies where a split was watched."""
    columns = _logged(run)
    losses = {name: curve for name, curve in columns.items() if name.endswith("loss")}
    accuracies = {name: curve for name, curve in columns.items() if name.endswith("top1")}
    charts = []
    if losses:
        last = "; ".join(f"{name} {curve[-1, 1]:.2f}" for name, curve in losses.items())
        words = f"After {int(next(iter(losses.values()))[-1, 0])} epochs: {last}."
        charts.append(Chart(learning_chart(losses, "loss"), "Loss", words))
    if accuracies:
        last = "; ".join(f"{name} {100 * curve[-1, 1]:.1f}%" for name, curve in accuracies.items())
        charts.append(Chart(learning_chart(accuracies, "right, share"), "Accuracy", f"At the end: {last}."))
    return tuple(charts)


def ladder_of(folder: Path) -> Table | None:
    """Return the ladder that a fit climbed; None where the folder is of none."""
    if not LadderTable.is_in(folder):
        return None
    ladder = LadderTable.read(folder)
    rows = tuple(tuple(each.cells(taken=each.name == ladder.winner)) for each in ladder.rungs)
    held_out = ("held-out top-1, %", "mean per class, %", "behind the best")
    words = " ".join(ladder.sentences)
    return Table(("method", *held_out, "passes", "GFLOP", "minutes", "note"), rows, words, noted=True)


def made_by(runs: Sequence[Run]) -> tuple[MadeBy, ...]:
    """Return how each run came about."""
    return tuple(_made_by(each) for each in runs)


def _made_by(run: Run) -> MadeBy:
    config = run.config
    settings = json.dumps(unstructured(config), indent=1, default=str, ensure_ascii=False)
    facts = [("folder", shown_path(run.path)), ("seed", str(config.seed))]
    try:
        metrics, origin = run.metrics(), run.environment()
        facts += [
            ("command", origin["command"]),
            ("commit", origin["commit"] or "an installed version"),
            ("hardware", origin["hardware"]),
            ("minutes", f"{metrics['minutes']:.1f}"),
            ("packages", ", ".join(f"{name} {version}" for name, version in origin["packages"].items())),
        ]
    except UserError as error:
        facts.append(("not known", str(error)))
    return MadeBy(run.path.name, tuple(facts), settings)


def _logged(run: Run) -> dict[str, np.ndarray]:
    """Return (epoch, value) of each number that was logged, of all starts of the training together."""
    columns: dict[str, dict[int, float]] = {}
    for file in sorted(run.path.glob("logs/*/metrics.csv"), key=lambda each: each.stat().st_mtime):
        try:
            rows = csv.read_csv(file).to_pylist()
        except (OSError, ValueError):  # an interrupted start may leave half a line
            continue
        for row in rows:
            for name, value in row.items():
                if name not in ("epoch", "step") and isinstance(value, int | float) and row.get("epoch") is not None:
                    columns.setdefault(name, {})[int(row["epoch"]) + 1] = float(value)
    named = {name.replace("train/", "training ").replace("/", " "): values for name, values in columns.items()}
    return {name: np.array(sorted(values.items())) for name, values in named.items() if len(values) > 1}
