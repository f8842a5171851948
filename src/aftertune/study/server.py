"""The web application of a study: pages, and the few requests that they make.

The pages hold no data; every request for data carries a person's token. `serve` listens on this
machine alone unless told otherwise.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from aftertune.errors import InputError
from aftertune.progress import Progress
from aftertune.study import shown, tokens
from aftertune.study.answers import Rating
from aftertune.study.door import Door, refusal
from aftertune.study.store import Person, Store, open_store

PAGES = {"/rate": "annotate.html", "/organise": "organise.html"}
STATIC = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOPBACK = "127.0.0.1"
BACKLOG = 512
# FastAPI can report to whom the environment names; a study reports to nobody
SILENT: TelemetryConfig = {
    "auto_configure": False, "tracing": False, "metrics": False, "logs": False
}  # fmt: skip
RATERS = ("annotator", "adjudicator")
M = TypeVar("M", bound=BaseModel)


class _Withdrawal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rating_id: str = Field(min_length=1, max_length=100)


def app(store: Store) -> FastAPI:
    """The application over a study that is open; the caller closes the store."""
    made = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=SILENT
    )  # fmt: skip
    made.add_middleware(Door)
    made.add_exception_handler(InputError, _cannot_be_used)
    made.add_exception_handler(HTTPException, _refused)
    made.add_exception_handler(RequestValidationError, _unreadable)
    _add_pages(made)
    _add_rating(made, store)
    _add_organising(made, store)
    return made


def serve(
    path: Path, progress: Progress, host: str = LOOPBACK, port: int = 8765,
    on_start: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Serve the study in `path` until it is interrupted.

    on_start: called with the server's address just before it begins. Raises InputError for a file
    that is no study, and for an address at which it cannot listen.
    """
    store = open_store(path)
    try:
        listening = _listen(host, port)
        if not is_loopback(host):
            progress.warn(
                f"the study can be reached from other machines at {host}, unencrypted; let a proxy "
                "with TLS stand before it where the network is not yours alone."
            )
        name = f"[{host}]" if ":" in host else host
        if on_start is not None:
            on_start(f"http://{name}:{port}")
        with suppress(KeyboardInterrupt):  # how a person ends it
            uvicorn.Server(configured(store, host, port)).run([listening])
    finally:
        store.close()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, taken before anybody is told of it. Raises InputError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio sets this only on sockets that name their protocol; without it head and body of
        # a reply wait for each other, 40 ms
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise InputError(
            f"cannot listen at {host}, port {port} ({reason}); another server may be "
            "there: give another --port or --host."
        ) from error


def configured(store: Store, host: str, port: int) -> uvicorn.Config:
    """How the server runs: no log of requests, nothing that names its software."""
    return uvicorn.Config(
        app(store), host=host, port=port, access_log=False, server_header=False,
        log_level="warning", lifespan="off", ws="none", timeout_keep_alive=75, backlog=BACKLOG,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _add_pages(made: FastAPI) -> None:
    """Files of the package, read once: a page is served from memory, and nothing else is."""
    folder = files("aftertune.study") / "static"
    for path, name in PAGES.items():
        made.get(path)(_file((folder / name).read_bytes(), "text/html"))
    for file in folder.iterdir():
        if kind := STATIC.get(Path(file.name).suffix):
            made.get(f"/static/{file.name}")(_file(file.read_bytes(), kind))


def _file(content: bytes, kind: str) -> Callable[[], Any]:
    async def reply() -> Response:
        return Response(content, media_type=f"{kind}; charset=utf-8")

    return reply


def _add_rating(made: FastAPI, store: Store) -> None:
    """What annotators and adjudicators ask for and send."""

    @made.get("/api/study")
    async def study(request: Request) -> JSONResponse:
        person = _person(store, request, *RATERS)
        return JSONResponse(await run_in_threadpool(shown.study, store, person))

    @made.get("/api/items/{item_id}")
    async def item(request: Request, item_id: str) -> JSONResponse:
        person = _person(store, request, *RATERS)
        return JSONResponse(shown.item(store, person, item_id))

    @made.get("/api/rows")
    async def rows(request: Request, words: str = "") -> JSONResponse:
        _person(store, request, *RATERS)
        return JSONResponse(await run_in_threadpool(store.search_rows, words[:500]))

    @made.post("/api/ratings")
    async def save(request: Request) -> JSONResponse:
        person = _person(store, request, *RATERS)
        rating = await _read(request, Rating)
        saved = await asyncio.wrap_future(store.save_later(person, rating))
        return JSONResponse(shown.saved(store, saved, rating.item_id))

    @made.post("/api/withdrawals")
    async def withdraw(request: Request) -> JSONResponse:
        person = _person(store, request, *RATERS)
        asked = await _read(request, _Withdrawal)
        done = await asyncio.wrap_future(store.withdraw_later(person, asked.rating_id))
        return JSONResponse({"rating_id": done.rating_id, "withdrawn": True})


def _add_organising(made: FastAPI, store: Store) -> None:
    """What the organiser asks for, in a thread: it may take a second, and ratings do not wait."""

    @made.get("/api/overview")
    async def overview(request: Request) -> JSONResponse:
        _person(store, request, "organiser")
        return JSONResponse(await run_in_threadpool(shown.overview, store))

    @made.get("/api/compared/{item_id}")
    async def compared(request: Request, item_id: str) -> JSONResponse:
        _person(store, request, "organiser")
        return JSONResponse(await run_in_threadpool(shown.compared, store, item_id))


def _person(store: Store, request: Request, *roles: str) -> Person:
    """Whose token the request carries. Raises HTTPException."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    person = store.person_of(tokens.hashed(token)) if kind == "Bearer" and token else None
    if person is None:
        raise HTTPException(401, "this link is not one of this study, or is no longer.")
    if person.role not in roles:
        raise HTTPException(403, "this is not for your role in the study.")
    return person


async def _read(request: Request, model: type[M]) -> M:
    """The body as `model`. Raises HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "send JSON.")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{where}: {first['msg']}.") from None


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, str(error.detail))


async def _cannot_be_used(_: Request, error: Exception) -> Response:
    return refusal(422, str(error))


async def _unreadable(_: Request, error: Exception) -> Response:
    return refusal(422, "this request cannot be read.")
