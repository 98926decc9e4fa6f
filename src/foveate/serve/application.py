"""The page and the API: paths, what each takes and answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from foveate._version import __version__
from foveate.serve.config import ServeConfig
from foveate.serve.desk import Desk
from foveate.serve.guard import Guard
from foveate.serve.keys import Keys
from foveate.serve.logs import log
from foveate.serve.metrics import Metrics
from foveate.serve.refusals import Refusal
from foveate.serve.schemas import Explained, Fault, ModelFacts, Predicted, Refused, Status
from foveate.serve.service import Service
from foveate.serve.uploads import FIELD, drained

_FILES = Path(__file__).parent
_SENTENCES = {
    404: "there is nothing at this address; the page is at /, the API's description at /openapi.json",
    405: "this address takes another method; the API's description is at /openapi.json",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": words}
    for status, words in {
        401: "A key is asked for.",
        408: "The request was not sent in time.",
        413: "Too many bytes, pixels or photographs.",
        415: "No picture.",
        422: "A damaged picture, or a wrong parameter.",
        429: "Too many requests of one client.",
        503: "Too many requests of all, no answer in time, or not ready.",
    }.items()
}
_PICTURE = {"type": "string", "format": "binary"}


def _body(*, several: bool) -> dict[str, Any]:
    """Return what OpenAPI says of a request's body, which is read by hand to hold to the limits."""
    field = {"type": "array", "items": _PICTURE} if several else _PICTURE
    form = {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: field}}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": form, "image/*": {"schema": _PICTURE}}}
    }


def _desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _client_of(
    request: Request,
    key: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> str:
    """Return who asks: the holder of a key, or where none is asked for an address."""
    keys: Keys = request.app.state.keys
    if not keys.asked_for:
        return request.client.host if request.client else "unknown"
    holder = keys.holder(key or (bearer.credentials if bearer else None))
    if holder is None:
        raise Refusal(401, "no-key", "this server asks for its key; send it as X-API-Key, or as a Bearer token")
    return holder


_TheDesk = Annotated[Desk, Depends(_desk_of)]
_Client = Annotated[str, Depends(_client_of)]
_Top = Annotated[int, Query(ge=1, le=1000, description="How many classes each answer ranks.")]
_Refine = Annotated[bool, Query(description="Of a Guided Zoom: let its evidence decide.")]
_Together = Annotated[bool, Query(description="Also answer once for all, as photographs of one object.")]
_Classes = Annotated[
    tuple[int, ...],
    Query(max_length=5, description="Numbers of the classes whose evidence is shown; none: the three best."),
]

pages = APIRouter()
api = APIRouter(prefix="/v1", responses=_REFUSALS)


@pages.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page(request: Request, desk: _TheDesk) -> str:
    """The page; where a key is asked for, it asks for the model's facts with it."""
    facts = None if request.app.state.keys.asked_for else _facts(request, desk)
    rendered: str = request.app.state.page.render(facts=facts, config=desk.config)
    return rendered


@pages.get("/health")
async def health() -> Status:
    """Whether the server lives."""
    return Status(status="alive")


@pages.get("/ready", responses={503: {"model": Status}})
async def ready(desk: _TheDesk, response: Response) -> Status:
    """Whether it answers."""
    response.status_code = 200 if desk.ready else 503
    return Status(status="ready" if desk.ready else "not ready")


@pages.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(desk: _TheDesk) -> Response:
    """Counts, in the form of Prometheus."""
    return Response(desk.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@api.get("/model")
async def model(request: Request, desk: _TheDesk, client: _Client) -> ModelFacts:
    """What answers, and its limits."""
    return _facts(request, desk)


@api.post("/predict", openapi_extra=_body(several=True))
async def predict(
    request: Request,
    desk: _TheDesk,
    client: _Client,
    top: _Top = 5,
    refine: _Refine = True,
    together: _Together = False,
) -> Predicted:
    """Name what is in photographs."""
    return await desk.predict(request, client, top, refined=refine, together=together)


@api.post("/explain", openapi_extra=_body(several=False))
async def explain(
    request: Request, desk: _TheDesk, client: _Client, classes: _Classes = (), top: _Top = 5, refine: _Refine = True
) -> Explained:
    """Name what is in one photograph, and say why."""
    return await desk.explain(request, client, top, refined=refine, classes=classes)


@api.get("/classes/{number}/photograph", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def photograph(desk: _TheDesk, client: _Client, number: int) -> Response:
    """A typical training photograph of a class."""
    headers = {"Cache-Control": "private, max-age=600"}
    return Response(await desk.typical(client, number), media_type="image/jpeg", headers=headers)


def create_application(service: Service, config: ServeConfig, keys: Keys) -> Guard:
    """Return the server's application, for uvicorn or a test client."""
    counts = Metrics()

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        application.state.desk = desk = Desk(service, config, counts)
        yield
        await run_in_threadpool(desk.close)

    application = FastAPI(
        title="Foveate",
        description="Fine-grained image recognition that shows why.",
        version=__version__,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    application.state.keys = keys
    environment = Environment(
        loader=PackageLoader("foveate.serve"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    application.state.page = environment.get_template("page.html")
    application.include_router(pages)
    application.include_router(api)
    application.mount("/static", StaticFiles(directory=_FILES / "static"), name="static")
    application.add_exception_handler(Refusal, _refused)
    application.add_exception_handler(RequestValidationError, _mistaken)
    application.add_exception_handler(HTTPException, _nothing)
    application.add_exception_handler(ClientDisconnect, _gone)
    application.add_exception_handler(Exception, _failed)
    return Guard(application, counts, config.allowed_hosts)


def _facts(request: Request, desk: Desk) -> ModelFacts:
    service, config = desk.service, desk.config
    return ModelFacts(
        name=service.name,
        method=service.method,
        dataset=service.model.run.description.dataset,
        class_names=list(service.model.class_names),
        refines=service.zoom is not None,
        training_photographs=service.typical is not None,
        largest_megabytes=config.largest_megabytes,
        largest_megapixels=service.largest_megapixels,
        photographs=config.photographs,
        needs_key=request.app.state.keys.asked_for,
    )


def _said(status: int, fault: Fault, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(Refused(error=fault).model_dump(), status, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    desk: Desk = request.app.state.desk
    desk.metrics.refusals.labels(error.code).inc()
    await drained(request, desk.config)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _said(error.status, Fault(code=error.code, sentence=error.sentence, photograph=error.photograph), headers)


async def _mistaken(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(each) for each in first["loc"][1:])
    return _said(422, Fault(code="wrong-parameter", sentence=f"{where}: {first['msg']}; see /openapi.json"))


async def _nothing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = _SENTENCES.get(error.status_code, str(error.detail))
    return _said(error.status_code, Fault(code="no-such-request", sentence=sentence), dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # which nobody receives


async def _failed(request: Request, error: Exception) -> Response:
    log("defect", logging.ERROR, failed=error)
    sentence = "this server failed to answer, which is a defect of it; what it was is in its log"
    return _said(500, Fault(code="defect", sentence=sentence))
