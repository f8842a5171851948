"""A judge behind an OpenAI-compatible endpoint: POST {endpoint}/chat/completions.

At most `concurrency` calls are on their way at once, and all of them wait when the server names a
time (Retry-After). Sent again, after a pause that doubles and is drawn at random: 408, 429, 5xx,
timeouts, connections that break, replies that are no reply. What the server refuses about one
call (another 4xx) has no answer; what it refuses about all of them ends the run with one sentence.

The key is held here alone. It goes into one header, to one address, without redirects, and is
cut out of every text that comes back.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr

from aftertune.errors import ConfigError, UserError
from aftertune.judge.calls import Call
from aftertune.judge.config import JudgeConfig
from aftertune.judge.journal import Answer, Heard, NoAnswer

LONGEST_PAUSE = 60.0  # seconds, of our own back-off
LONGEST_WISH = 600.0  # seconds that a server may ask us to wait before the run ends instead
MOST_WISHES = 60  # times that a server may ask it of one call
_AGAIN = {408, 425, 429}  # and every 5xx
_SHOWN = 200  # characters of a server's own words

_Listener = Callable[[Call, Heard], None]


class EndpointError(UserError):
    """An endpoint that cannot be asked at all."""


@dataclass(frozen=True)
class _Retry:
    """Why a call is sent again, and when the server wants it, in seconds."""

    reason: str
    after: float | None = None


class Endpoint:
    """An endpoint with its key; a class because the key and the server's wishes outlive a call."""

    def __init__(self, config: JudgeConfig, key: SecretStr | None) -> None:
        assert config.endpoint is not None
        self._config = config
        self._url = f"{config.endpoint.rstrip('/')}/chat/completions"
        self._key = _checked(key)
        self._random = random.Random()
        self._open_at = 0.0  # of the event loop's clock: nobody sends before
        self._answered = False
        self._failed_in_row = 0
        self._over: EndpointError | None = None  # why nothing more is sent

    def __repr__(self) -> str:
        return f"<endpoint {self._config.endpoint}>"

    def ask(self, calls: Sequence[Call], heard: _Listener) -> None:
        """Ask every call; `heard` gets each answer, or why there is none, as it comes.

        Raises EndpointError when the endpoint answers nobody; what was heard is kept by then.
        """
        _finish(lambda: self._ask(calls, heard))

    async def _ask(self, calls: Sequence[Call], heard: _Listener) -> None:
        number = min(self._config.concurrency, len(calls))
        limits = httpx2.Limits(max_connections=number, max_keepalive_connections=number)
        waiting = iter(calls)
        async with httpx2.AsyncClient(
            limits=limits, timeout=self._config.timeout_seconds, headers=self._headers()
        ) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(number):
                        group.create_task(self._work(client, waiting, heard))
            except ExceptionGroup as several:  # a full disk, say
                raise several.exceptions[0] from None
        if self._over:
            raise self._over

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def _work(
        self, client: httpx2.AsyncClient, waiting: Iterator[Call], heard: _Listener
    ) -> None:
        """One of the workers: takes calls until there are none, or the endpoint answers nobody."""
        for call in waiting:
            try:
                found = await self._one(client, call)
            except EndpointError as error:
                self._over = self._over or error
                return  # the others' calls that are on their way are paid for, and still heard
            heard(call, found)
            if isinstance(found, Answer):
                self._answered, self._failed_in_row = True, 0
                continue
            self._failed_in_row += 1
            if self._failed_in_row > max(self._config.concurrency, self._config.attempts):
                self._over = self._over or EndpointError(
                    f"{self._config.endpoint} gave no answer to {self._failed_in_row:,} calls in a "
                    f"row ({found.reason}); answers are kept: run the same command again once it "
                    "answers."
                )

    async def _one(self, client: httpx2.AsyncClient, call: Call) -> Heard:
        """Send one call until it is answered or given up; raises EndpointError."""
        failed = wishes = 0
        while True:
            await self._until_open()
            if self._over:
                raise self._over
            found = await self._send(client, call)
            requests = failed + wishes + 1
            if not isinstance(found, _Retry):
                return replace(found, requests=requests)
            if found.after is not None and wishes < MOST_WISHES:
                wishes += 1
                self._hold(found.after)
                continue
            failed += 1
            if failed >= self._config.attempts:
                return NoAnswer(f"{found.reason}, {failed} times", requests)
            pause = min(LONGEST_PAUSE, self._config.backoff_seconds * 2 ** (failed - 1))
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.0))

    async def _until_open(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._open_at - loop.time()) > 0:
            # not all at the same moment
            await asyncio.sleep(left + self._random.uniform(0, min(left, 1.0)))

    def _hold(self, seconds: float) -> None:
        if seconds > LONGEST_WISH:
            raise EndpointError(
                f"{self._config.endpoint} asks to wait {seconds / 60:,.0f} minutes; answers are "
                "kept: run the same command again then."
            )
        self._open_at = max(self._open_at, asyncio.get_running_loop().time() + seconds)

    async def _send(self, client: httpx2.AsyncClient, call: Call) -> Heard | _Retry:
        try:
            async with asyncio.timeout(self._config.timeout_seconds):  # of the whole reply
                reply = await client.post(self._url, json=body(self._config, call))
        except (TimeoutError, httpx2.TimeoutException):
            return _Retry(f"no reply within {self._config.timeout_seconds:g} s")
        except httpx2.ConnectError as error:
            if not self._answered:
                raise EndpointError(
                    f"{self._config.endpoint} cannot be reached; check the address, and that the "
                    "server runs."
                ) from error
            return _Retry("no connection")
        except httpx2.RequestError:
            return _Retry("the connection broke")
        return self._read(reply)

    def _read(self, reply: httpx2.Response) -> Heard | _Retry:
        status = reply.status_code
        if status == 200:
            return self._answer(reply)
        if status in (401, 403):
            raise EndpointError(
                f"{self._config.endpoint} refuses the key (HTTP {status}); give the right one in "
                "the environment variable AFTERTUNE_JUDGE_KEY."
            )
        if status == 404 or 300 <= status < 400:
            raise EndpointError(
                f"{self._url} with the model {self._config.model} is not there (HTTP {status}); "
                "check the endpoint's address and the model's name."
            )
        if status == 429 and "insufficient_quota" in reply.text:
            raise EndpointError(
                f"{self._config.endpoint} says that the quota is used up; answers are kept: run "
                "the same command again when there is more."
            )
        if status in _AGAIN or status >= 500:
            return _Retry(f"HTTP {status}", _retry_after(reply.headers.get("Retry-After")))
        return NoAnswer(f"refused with HTTP {status}: {self._words(reply)}".rstrip(": "))

    def _answer(self, reply: httpx2.Response) -> Heard | _Retry:
        """A reply that holds no choice is a broken one; one with an empty text is an answer."""
        try:
            value = reply.json()
            choice = value["choices"][0]
            text = choice["message"].get("content") or ""
            usage = value.get("usage") or {}
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError):
            return _Retry("the reply is no chat completion")
        if not isinstance(text, str):
            return _Retry("the reply is no chat completion")
        prompt, completion = (one if type(one) is int and one >= 0 else None for one in counts)
        finish = choice.get("finish_reason")
        return Answer(
            self._without_key(text),
            self._without_key(finish) if isinstance(finish, str) else None, prompt, completion,
        )  # fmt: skip

    def _words(self, reply: httpx2.Response) -> str:
        """What the server says of an error, in one short line."""
        text = reply.text
        with suppress(ValueError, LookupError, TypeError):  # else as it came
            text = str(json.loads(text)["error"]["message"])
        return " ".join(self._without_key(text).split())[:_SHOWN]

    def _without_key(self, text: str) -> str:
        # half a surrogate pair, which JSON can spell, cannot be stored or sent
        whole = text.encode("utf-8", "replace").decode()
        return whole.replace(self._key, "[key]") if self._key else whole


def body(config: JudgeConfig, call: Call) -> dict[str, Any]:
    """What is sent for a call; `config.request` is laid over it, and null takes a field out."""
    sent: dict[str, Any] = {
        "model": config.model,
        "messages": call.messages,
        "max_tokens": config.max_tokens,
        "temperature": config.temperature,
        **config.request,
    }
    return {name: value for name, value in sent.items() if value is not None}


def in_the_open(address: str | None) -> bool:
    """Whether what is sent there crosses a network unencrypted.

    >>> in_the_open("http://judge.example/v1"), in_the_open("http://127.0.0.1:80/v1")
    (True, False)
    """
    parts = urlsplit(address or "")
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None without one."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None  # also of NaN; our own pause is longer than 0


def _checked(key: SecretStr | None) -> str:
    found = key.get_secret_value().strip() if key else ""
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise ConfigError(
            "the judge's key holds characters that no key has; copy it again into the environment "
            "variable AFTERTUNE_JUDGE_KEY."
        )
    return found


def _finish(start: Callable[[], Awaitable[None]]) -> None:
    """Run to the end; from a notebook, whose thread has an event loop already, in another one."""

    async def whole() -> None:
        await start()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(whole())
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, whole()).result()
