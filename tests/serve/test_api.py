"""The API answers what the model answers, and says why."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

import foveate
from foveate.data.images import ImageError, read_image
from foveate.data.records import photograph_of
from foveate.errors import UserError
from foveate.inference.classifier import Calibration
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run
from foveate.serve import pictures
from foveate.serve.config import ServeConfig
from foveate.serve.evidence import explained
from foveate.serve.logs import JSONLines, log, written_logs
from foveate.serve.server import serve
from foveate.serve.service import Service
from foveate.types import Prediction
from foveate.workflows.twins import TwinExplainer
from foveate.workflows.typical_photographs import TypicalPhotographs
from serving import loaded, serving
from zooms import QUIET, SLOW


def files(paths: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photographs", (path.name, path.read_bytes())) for path in paths]


def shares(answer: dict[str, object]) -> dict[str, float]:
    return {each["class_name"]: each["probability"] for each in answer["top"]}  # type: ignore[attr-defined]


def said(prediction: Prediction) -> dict[str, Any]:
    return {each.class_name: pytest.approx(each.probability, abs=1e-5) for each in prediction.top}


def test_predict_answers_as_the_model_does(address: str, made: GuidedZoomRun, birds: list[Path]) -> None:
    model = foveate.load(made.path, hardware=SLOW)
    url = f"{address}/v1/predict"
    response = httpx.post(url, params={"top": 3, "together": True}, files=files(birds[:5]), timeout=30)
    content = response.json()
    assert response.status_code == 200, content
    direct = list(model.predict_many(birds[:5], top=3))
    assert [each["photograph"] for each in content["answers"]] == [path.name for path in birds[:5]]
    assert [shares(each) for each in content["answers"]] == [said(each) for each in direct]
    assert shares(content["together"]) == said(model.predict_together(birds[:5], top=3))
    assert content["together"]["photographs"] == 5
    bare = httpx.post(url, params={"refine": False, "top": 3}, files=files(birds[:2]), timeout=30).json()
    base = foveate.load(made.base_run().path, hardware=SLOW)
    assert [shares(each) for each in bare["answers"]] == [said(each) for each in base.predict_many(birds[:2], top=3)]
    assert (content["refined"], bare["refined"]) == (True, False)


def test_explain_says_why(address: str, zoom_service: Service, made: GuidedZoomRun, birds: list[Path]) -> None:
    content = httpx.post(f"{address}/v1/explain", files=files(birds[:1]), timeout=30).json()
    assert [len(content["maps"]), len(content["evidence"]["classes"])] == [3, 3]
    assert content["twins"]["first"] == content["answer"]["top"][0]
    chosen = [each["class_name"] for each in content["evidence"]["classes"] if each["chosen"]]
    assert chosen == [content["answer"]["top"][0]["class_name"]]
    rounds = content["evidence"]["classes"][0]["rounds"]
    assert len(rounds) == 3
    assert all(0 <= each["box"]["left"] < each["box"]["right"] <= 1 for each in rounds)
    told = foveate.load(made.path, hardware=SLOW).predict(birds[0])
    assert told.first is not None
    assert content["first_answer"]["class_name"] == told.first.class_name
    assert content["first_answer"]["probability"] == pytest.approx(told.first.probability, abs=1e-5)
    assert content["evidence"]["changed"] == told.changed
    assert content["window"] == pytest.approx({"left": 1 / 18, "top": 1 / 18, "right": 17 / 18, "bottom": 17 / 18})
    for source in (content["photograph"], content["maps"][0]["picture"], content["twins"]["for_first"]):
        kind, _, code = source["source"].partition(";base64,")
        assert kind in ("data:image/jpeg", "data:image/png")
        assert Image.open(io.BytesIO(base64.b64decode(code))).size == (source["width"], source["height"])
    asked: dict[str, Any] = {"refine": False, "classes": [2, 0]}
    bare = httpx.post(f"{address}/v1/explain", params=asked, files=files(birds[:1]), timeout=30).json()
    names = made.base_run().class_names
    assert (bare["evidence"], bare["first_answer"]) == (None, None)
    assert [each["class_name"] for each in bare["maps"]] == [names[2], names[0]]
    assert bare["twins"]["second"]["number"] == 0
    view = Image.fromarray(zoom_service.read("bird", birds[0].read_bytes()).decoded.pixels[0][0])
    explainer = TwinExplainer.of(zoom_service.unrefined.classifier, names)
    found = explainer.evidence(view, names[2], names[0])
    twins = [pictures.heat(each).model_dump() for each in (found.first, found.second)]
    assert [bare["twins"][name] for name in ("for_first", "for_second")] == twins
    assert twins[0] != twins[1]
    typical = httpx.get(f"{address}/v1/classes/1/photograph")
    assert Image.open(io.BytesIO(typical.content)).format == "JPEG"


def test_an_s3n_run_shows_its_views(s3n_run: Run, birds: list[Path]) -> None:
    with serving(loaded(s3n_run.path)) as url:
        content = httpx.post(f"{url}/v1/explain", files=files(birds[:1]), timeout=30).json()
    assert len(content["groups"][0]["panels"]) == 3
    assert content["evidence"] is None
    assert len(content["maps"]) == 3


def test_a_network_without_class_maps_is_grounded(macnn_run: Run, birds: list[Path]) -> None:
    with serving(loaded(macnn_run.path)) as url:
        content = httpx.post(f"{url}/v1/explain", files=files(birds[:1]), timeout=30).json()
    assert len(content["maps"]) == 3
    assert content["groups"]


def test_training_photographs_can_be_kept_back(made: GuidedZoomRun, birds: list[Path]) -> None:
    with serving(loaded(made.path, ServeConfig(training_photographs=False))) as url:
        content = httpx.post(f"{url}/v1/explain", files=files(birds[:1]), timeout=30).json()
        assert content["evidence"]["classes"][0]["rounds"][0]["nearest"] is None
        assert httpx.get(f"{url}/v1/classes/1/photograph").status_code == 404
        assert httpx.get(f"{url}/v1/model").json()["training_photographs"] is False


def test_the_state_of_the_server(address: str) -> None:
    assert httpx.get(f"{address}/health").json() == {"status": "alive"}
    assert httpx.get(f"{address}/ready").json() == {"status": "ready"}
    counts = httpx.get(f"{address}/metrics").text
    assert 'foveate_requests_total{path="/ready",status="200"}' in counts
    description = httpx.get(f"{address}/openapi.json").json()
    operation = description["paths"]["/v1/predict"]["post"]
    assert {"200", "401", "413", "415", "422", "429", "503"} <= operation["responses"].keys()
    assert "multipart/form-data" in operation["requestBody"]["content"]
    facts = httpx.get(f"{address}/v1/model").json()
    assert (facts["refines"], facts["needs_key"], len(facts["class_names"])) == (True, False, 4)


def test_the_page_takes_nothing_from_outside_and_escapes_names(zoom_service: Service, address: str) -> None:
    response = httpx.get(address)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in response.text.replace('xmlns="http:', "")
    assert "<script>" not in response.text
    assert "style=" not in response.text
    assert response.headers["cache-control"] == "no-store"
    hostile = "<script>alert(1)</script>"
    run = zoom_service.model.run
    names = (hostile, *run.class_names[1:])
    renamed = replace(run, description=replace(run.description, class_names=names))
    with serving(replace(zoom_service, model=replace(zoom_service.model, run=renamed))) as url:
        assert "<script>" not in httpx.get(url).text
        assert "&lt;script&gt;" in httpx.get(url).text


def test_a_port_in_use_is_said_before_the_model_is_loaded(address: str, made: GuidedZoomRun) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=f"{port} of 127.0.0.1 is in use; name another with --port"):
        serve(made.path, ServeConfig(port=port), context=QUIET)
    with pytest.raises(UserError, match="host must be an address"):
        serve(made.path, ServeConfig(host="203.0.113.7", port=0), context=QUIET)


def test_a_log_is_a_line_of_json() -> None:
    record = logging.LogRecord("foveate.serve", logging.INFO, "", 0, "a\nrequest", (), None)
    record.facts = {"path": "/v1/predict", "status": 200}
    line = JSONLines().format(record)
    assert "\n" not in line
    assert json.loads(line).items() >= {"event": "a\nrequest", "level": "info", "status": 200}.items()


def test_concurrent_answers_are_not_mixed_up(address: str, made: GuidedZoomRun, birds: list[Path]) -> None:
    birds = birds[::3]
    direct = [said(each) for each in foveate.load(made.path, hardware=SLOW).predict_many(birds, top=4)]

    def ask(path: Path) -> dict[str, float]:
        response = httpx.post(f"{address}/v1/predict", params={"top": 4}, files=files([path]), timeout=30)
        assert response.status_code == 200, response.text
        return shares(response.json()["answers"][0])

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, birds))
    assert answers == direct
    assert len({tuple(np.round(list(each.values()), 4)) for each in answers}) > 6, "the answers tell them apart"


def test_training_photographs_that_are_gone_are_said_and_not_shown(
    zoom_service: Service, birds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise ImageError("image not found: bird.jpg; restore it")

    lines: list[str] = []
    monkeypatch.setattr("foveate.workflows.explain_zoom.read_image", gone)
    monkeypatch.setattr("foveate.workflows.typical_photographs.read_image", gone)
    service = replace(zoom_service, say=lines.append)
    service.typical = TypicalPhotographs.of(service.model.run, service.model.classifier, QUIET)
    with serving(service) as url:
        for _ in range(2):
            content = httpx.post(f"{url}/v1/explain", files=files(birds[:1]), timeout=30).json()
            assert content["evidence"]["classes"][0]["rounds"][0]["nearest"] is None
        assert httpx.get(f"{url}/v1/classes/1/photograph").status_code == 404
    assert len(lines) == 1
    assert "not shown any more: image not found" in lines[0]


def test_it_answers_until_it_is_told_to_stop(made: GuidedZoomRun, capsys: pytest.CaptureFixture[str]) -> None:
    said: SimpleQueue[str] = SimpleQueue()
    statuses: list[int] = []

    def ask_and_stop() -> None:
        url = said.get(timeout=60).split(" answers at ")[1].split()[0]
        deadline = time.monotonic() + 30
        while not statuses and time.monotonic() < deadline:
            with contextlib.suppress(httpx.ConnectError):  # until it listens
                statuses.append(httpx.get(f"{url}/v1/model", timeout=30).status_code)
        os.kill(os.getpid(), signal.SIGTERM)

    before, asking = signal.getsignal(signal.SIGTERM), threading.Thread(target=ask_and_stop)
    asking.start()
    config = ServeConfig(port=0, training_photographs=False)
    serve(made.path, config, context=RunContext(hardware=SLOW, say=said.put))
    asking.join(30)
    assert statuses == [200]
    assert said.get(timeout=1) == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["path"], line["status"]) for line in lines] == [("request", "/v1/model", 200)]


def test_a_typical_photograph_is_decoded_once_and_within_the_limit(
    zoom_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def watched(*arguments: Any, **options: Any) -> Image.Image:
        threads.append(threading.current_thread().name.partition("_")[0])
        return read_image(*arguments, **options)

    monkeypatch.setattr("foveate.workflows.typical_photographs.read_image", watched)
    typical = TypicalPhotographs.of(zoom_service.model.run, zoom_service.model.classifier, QUIET)
    candidates = typical.candidates(1, 16)
    assert all(max(each.shown.size) == 16 for each in candidates)
    features = zoom_service.model.classifier.features(torch.from_numpy(np.stack([each.view for each in candidates])))
    unit = features / features.norm(dim=1, keepdim=True)
    best = int((unit @ unit.mean(0)).argmax())
    assert typical.typical(candidates) is candidates[best]
    threads.clear()
    with serving(replace(zoom_service, typical=typical)) as url:
        first, again = (httpx.get(f"{url}/v1/classes/1/photograph") for _ in range(2))
    assert first.content == again.content
    assert threads == ["decoder"] * len(candidates), "once, and beside the networks"
    assert replace(typical, largest_megapixels=0).candidates(1, 16) == []


def test_the_first_answer_is_that_of_the_decision(zoom_service: Service, birds: list[Path]) -> None:
    softer = replace(zoom_service, model=replace(zoom_service.model, first_calibration=Calibration(temperature=3.0)))
    received = softer.read("bird", birds[0].read_bytes())
    (told,) = softer.answers(True, [("bird", received.decoded)])
    assert told.first is not None
    before = [explained(each, received, 3, refined=True)["first_answer"] for each in (zoom_service, softer)]
    assert before[1].probability == pytest.approx(told.first.probability, abs=1e-6)
    assert before[0].probability > before[1].probability


def test_training_patches_are_found_where_they_lie_now(
    zoom_service: Service, made: GuidedZoomRun, plumage: Path, tmp_path: Path
) -> None:
    assert zoom_service.zoom is not None
    moved, kept = shutil.copytree(plumage, tmp_path / "moved"), zoom_service.zoom.pool
    service = Service.load(made.path, ServeConfig(), replace(QUIET, root=moved))
    assert service.zoom is not None
    found = service.zoom.pool
    assert [each.id for each in found.records] == [each.id for each in kept.records]
    assert torch.equal(found.features, kept.features), "those that are kept: the patches are the same"
    assert all(Path(str(photograph_of(each.image))).is_relative_to(moved) for each in found.records)
    assert not any(Path(str(photograph_of(each.image))).is_relative_to(moved) for each in kept.records)


def test_the_loggers_are_afterwards_as_they_were() -> None:
    logger, stream = logging.getLogger("foveate.serve"), io.StringIO()
    before = (logger.handlers, logger.propagate, logger.level)
    with written_logs(stream):
        log("an event", status=200)
    stream.close()
    log("later")  # goes nowhere, and fails nowhere
    assert (logger.handlers, logger.propagate, logger.level) == before
