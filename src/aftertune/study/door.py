"""What every request passes before the study hears of it, and what every reply carries.

A request for data must say that it comes from the study's own page: by a header that a page of
another site cannot send without permission, which nobody is given; and, where a browser states
where it comes from, by that. The token comes in a header as well, never in a cookie, so a browser
adds it to nothing by itself.
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 2 * 1024 * 1024  # bytes; a rating that marks all of a very long answer is smaller
OWN_HEADER = "x-aftertune-study"
API = "/api/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
REPLY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Door:
    """ASGI middleware; holds nothing but the application behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(REPLY_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if scope["path"].startswith(API) and not is_own(headers):
            await refusal(403, "this request comes from another site.")(
                scope, receive, send_guarded
            )
            return
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send_guarded)
            return
        body = await _body(headers, receive)
        if body is None:
            refused = refusal(413, "this is more than a rating may hold.")
            await refused(scope, receive, send_guarded)
            return
        await self._app(scope, _given_back(body), send_guarded)


def is_own(headers: Headers) -> bool:
    """Whether a request carries the study's header, and no sign of another site."""
    if headers.get(OWN_HEADER) != "1":
        return False
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def refusal(status: int, sentence: str) -> JSONResponse:
    """A reply that says what is wrong."""
    return JSONResponse({"error": sentence}, status)


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, of which no more is read."""
    stated = headers.get("content-length", "0")
    if not stated.isdigit() or int(stated) > LARGEST_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _given_back(body: bytes) -> Receive:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
