"""The model card: what a stranger reads of a model before they use it, written from its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.config.data import Split
from foveate.errors import UserError
from foveate.evaluation.accuracy import Accuracy
from foveate.evaluation.calibration import Judged
from foveate.evaluation.predictions import PredictionTable, read_predictions
from foveate.evaluation.risk_coverage import risk_coverage
from foveate.files.documents import read_json, structured
from foveate.report.tables import accuracies_markdown, accuracy_markdown, markdown_table
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import read_calibration, read_held_out
from foveate.runs.run import Run
from foveate.workflows.fit.ladder_table import LadderTable
from foveate.workflows.html_report.answers import accuracy_by_class, risk_sentence
from foveate.workflows.hub.access import hub
from foveate.workflows.hub.licence import Licence

_NAMED = 200
"""Classes that are named; of more, how many there are."""
_WORST = 5
"""Classes whose accuracy is shown."""
_USE = """```python
import foveate

model = foveate.load("ADDRESS")
print(model.predict("photograph.jpg").best)
```

```sh
foveate predict ADDRESS photographs/*.jpg
foveate explain ADDRESS photograph.jpg
```

It is of safetensors, JSON and Parquet; `foveate.json` has the SHA-256 of each file, which is checked."""
_FILL_IN = "*not given: fill it in*"
_MARKS = re.compile(r"([\\`*_{}\[\]<>#!&~])")


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a kept evaluation says, and as Markdown."""

    accuracy: Accuracy
    markdown: str


def model_card(model: Run | GuidedZoomRun, name: str, licence: Licence) -> str:
    """Return the model card of a run or a Guided Zoom as Markdown, its metadata before it.

    Args:
        model: Finished. Its numbers are those of its kept evaluation of the test split; nothing is measured here.
        name: On the hub, user/name.
        licence: What others may do with it.

    Raises:
        UserError: Something in the folder is damaged.
    """
    if isinstance(model, GuidedZoomRun):
        run, zoom, measured = model.base_run(), model, _measured_zoom(model)
    else:
        run, zoom, measured = model, None, _measured_run(model)
    sections = (
        ("", _beginning(run, zoom, name)),
        ("Use", _use(name)),
        ("How often it is right", _accuracy(measured)),
        ("What it was compared with", _rivals(model.path)),
        ("Photographs", _photographs(run)),
        ("Limits", _limits(model, run, measured)),
        ("How it was made", _making([run] if zoom is None else [run, zoom.evidence_run()])),
        ("Licence", _licence(licence)),
    )
    text = "\n".join(f"## {title}\n\n{body}\n" if title else f"{body}\n" for title, body in sections)
    return f"---\n{_metadata(run, zoom, name, licence, measured)}\n---\n\n{text}"


def _metadata(run: Run, zoom: GuidedZoomRun | None, name: str, licence: Licence, measured: _Measured | None) -> str:
    """Return what the hub reads, as YAML."""
    client = hub()
    method = run.config.network.method
    results = None
    if measured is not None:
        value = round(measured.accuracy.top1.value, 4)
        kind, of = "image-classification", run.description.dataset
        results = [
            client.EvalResult(
                task_type=kind, dataset_type="photographs", dataset_name=of, metric_type="accuracy", metric_value=value
            )
        ]
    data: str = client.ModelCardData(
        license=licence.identifier,
        license_name=licence.name,
        license_link=licence.link,
        library_name="foveate",
        pipeline_tag="image-classification",
        tags=["foveate", "fine-grained", method, *([] if zoom is None else ["guided-zoom"])],
        model_name=name.rpartition("/")[2],
        eval_results=results,
    ).to_yaml()
    return data


def _beginning(run: Run, zoom: GuidedZoomRun | None, name: str) -> str:
    network = f"a network of the method `{run.config.network.method}`, on `{run.config.network.base}`"
    asked = "" if zoom is None else ", questioned by a Guided Zoom: its best classes are weighed by their evidence"
    return (
        f"# {plain(name.rpartition('/')[2])}\n\nIt names {len(run.class_names)} classes that look alike, of "
        f"{plain(run.description.dataset)}. It is {network}{asked}. Made with Foveate."
    )


def _use(name: str) -> str:
    return _USE.replace("ADDRESS", f"hf://{name}")


def _measured_run(run: Run) -> _Measured | None:
    """Return what the run's evaluation says; None where none is kept."""
    report = run.path / "evaluation" / f"{Split.TEST}-centre"
    if not report.with_suffix(".json").exists():
        return None
    content = read_json(report.with_suffix(".json"))
    accuracy = _accuracy_of(content, "accuracy", report.with_suffix(".json"))
    table = read_predictions(report.with_suffix(".parquet"))
    title = f"{plain(str(content.get('dataset')))}, {Split.TEST} split"
    return _Measured(accuracy, f"{accuracy_markdown(accuracy, title)}\n{_by_class(table)}")


def _measured_zoom(zoom: GuidedZoomRun) -> _Measured | None:
    """Return what the Guided Zoom's evaluation says; None where none is kept, or one of an older version."""
    file = zoom.path / "evaluation" / f"{Split.TEST}.json"
    content = read_json(file) if file.exists() else {}
    if not {"before", "after"} <= content.keys():
        return None
    before, after = (_accuracy_of(content, each, file) for each in ("before", "after"))
    return _Measured(after, accuracies_markdown({"its network alone": before, "with the evidence": after}))


def _accuracy_of(content: dict[str, Any], name: str, file: Path) -> Accuracy:
    """Return an accuracy of a report; one of an older version does not say top-2, or groups."""
    value = content.get(name)
    if not isinstance(value, dict):
        raise UserError(f"{file} must hold {name!r}; it does not; write it again with `foveate evaluate`")
    return structured({"top2": None, "groups": None, **value}, Accuracy, file, "an accuracy")


def _by_class(table: PredictionTable) -> str:
    """Return the classes that are recognised worst, and what the surest answers are worth."""
    worst = accuracy_by_class(table)[:_WORST]
    rows = [(plain(each.name), str(each.photographs), str(each.right), plain(each.taken_for)) for each in worst]
    header = ("recognised worst", "photographs", "right", "most often taken for")
    risk = risk_sentence(risk_coverage(Judged.of(table.probabilities, table.labels)))
    return f"{markdown_table(header, rows)}\n{risk}"


def _accuracy(measured: _Measured | None) -> str:
    if measured is None:
        return "Not measured: no evaluation of test photographs is kept. Measure it on photographs of yours."
    return measured.markdown


def _rivals(folder: Path) -> str:
    """Return the ladder that a fit climbed."""
    if not LadderTable.is_in(folder):
        return "Nothing: no other method was tried beside it on these photographs."
    ladder = LadderTable.read(folder)
    return ladder.markdown().partition("\n\n")[2].strip()


def _photographs(run: Run) -> str:
    names = ", ".join(map(plain, run.class_names[:_NAMED]))
    more = f", and {len(run.class_names) - _NAMED} more" if len(run.class_names) > _NAMED else ""
    return (
        f"- Data set: {plain(run.description.dataset)}; trained on {len(run.trained_ids()):,} photographs.\n"
        f"- Whose photographs, and on what terms: {_FILL_IN}\n"
        f"- How they were taken (cameras, places, seasons): {_FILL_IN}\n"
        f"- The {len(run.class_names)} classes: {names}{more}.\n\n"
        "No photograph is in this repository, nor the name of one."
    )


def _limits(model: Run | GuidedZoomRun, run: Run, measured: _Measured | None) -> str:
    """Return what the model cannot do."""
    lines = [
        f"It knows {len(run.class_names)} classes and answers with one of them, whatever the photograph shows.",
        "Photographs of other cameras, places or seasons than those of the training are named worse than the figures "
        "say.",
        _sureness(model.path),
    ]
    if measured is not None and (measured.accuracy.groups or measured.accuracy.images) < 1000:
        groups = measured.accuracy.groups
        of = f"{measured.accuracy.images} photographs{'' if groups is None else f' in {groups} groups'}"
        lines.append(f"The figures are of {of}; the intervals say what chance alone may do.")
    return "\n".join(f"- {each}" for each in (*lines, f"What it must not be used for: {_FILL_IN}"))


def _sureness(folder: Path) -> str:
    """Say what the percentages rest on."""
    held_out = read_held_out(folder)
    if held_out is None:
        return "Its percentages are not calibrated: no photographs were held out of the training for that."
    temperature = read_calibration(folder).temperature
    return (
        f"Its percentages are calibrated (temperature {temperature:.2f}) by {held_out.photographs} held-out "
        "photographs of the same data set; of others they are not."
    )


def _making(runs: Sequence[Run]) -> str:
    """Return how each network was made, the second being that of a Guided Zoom's evidence."""
    lists = ["\n".join(f"- {name}: {value}" for name, value in _facts(each).items()) for each in runs]
    return "\n\nAnd the network that judges its evidence:\n\n".join(lists)


def _facts(run: Run) -> dict[str, str]:
    config, environment = run.config, run.environment()
    begun = config.network.trained_backbone
    return {
        "method": f"`{config.network.method}`",
        "architecture": f"`{config.network.base}`",
        "began with weights": "its own" if begun is None else f"`{Path(begun.weights).name}`",
        "pixels": str(config.transforms.input_size),
        "epochs": str(config.trained_epochs or "none"),
        "seed": str(config.seed),
        "minutes": f"{run.metrics()['minutes']:.1f}",
        "hardware": plain(environment["hardware"]),
        "Foveate": f"{environment['foveate']}, commit {environment['commit'] or 'of an installed version'}",
        "packages": ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
    }


def _licence(licence: Licence) -> str:
    link = f" ({licence.link})" if licence.link else ""
    return (
        f"`{licence.name or licence.identifier}`{link}, of the weights and of what is beside them. The terms of the "
        "photographs, and of the pretrained weights that the training began with, hold beside it."
    )


def plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line; in a table, `markdown_table` escapes what parts cells.

    >>> print(plain("<b>Gull *western*"))
    \<b\>Gull \*western\*
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
