"""A judge behind a real HTTP server that has every trouble a server can have."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from aftertune.artefact import Artefact
from aftertune.errors import ConfigError, UserError
from aftertune.judge import run as stage
from aftertune.judge.config import JudgeConfig
from aftertune.judge.endpoint import Endpoint, EndpointError
from aftertune.progress import Silent
from judge_server import ASPECTS, EMPTY, HALF, KEY, TOO_HIGH, WORDS, JudgeServer, right
from launching import held_port
from made_answers import answers


def asked(address: str, **options: Any) -> JudgeConfig:
    settings = {"backoff_seconds": 0.01, "timeout_seconds": 20.0, "attempts": 8} | options
    return JudgeConfig(endpoint=address, model="judge-1", aspects=ASPECTS, **settings)


def judge(
    address: str, responses: Artefact, out: Path, key: str | None = None, **options: Any
) -> Artefact:
    prepared = stage.prepare(asked(address, **options), {"it": responses})
    return stage.run(prepared, out, Silent(), SecretStr(key) if key else None)


def verdicts(made: Artefact) -> list[dict[str, Any]]:
    return list(made.table("verdicts").to_pylist())


def texts_kept(made: Artefact) -> list[str]:
    lines = (made.folder / "answers.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def said_of(items: int) -> dict[int, list[str]]:
    """What the judge says of each item, and says when it is asked once more."""
    chance = random.Random(1)
    said = {}
    for number in range(items):
        bad = chance.choice([HALF, WORDS, TOO_HIGH, EMPTY])
        draw = chance.random()
        if draw < 0.05:
            said[number] = [bad, right(number)]
        elif draw < 0.09:
            said[number] = [bad, chance.choice([HALF, WORDS, TOO_HIGH, EMPTY])]
    return said


def trouble_of(items: int) -> dict[int, list[str]]:
    chance = random.Random(2)
    kinds = ["slow", "429", "500", "502", "503", "504", "cut", "half-body", "no-json", "408"]
    found = {
        number: [chance.choice(kinds) for _ in range(chance.choice([1, 1, 2, 3]))]
        for number in range(items)
        if chance.random() < 0.25
    }
    return found | {7: ["hang"], 500: ["hang", "500"]}


def test_a_thousand_items_through_every_trouble_are_as_in_a_quiet_run(tmp_path: Path) -> None:
    n = 1000
    responses = answers(tmp_path, "it", range(n))
    said = said_of(n)
    with JudgeServer(said) as quiet:
        calm = judge(quiet.address, responses, tmp_path / "calm")
    with JudgeServer(said, trouble_of(n), pause=0.002, together=16) as server:
        made = judge(server.address, responses, tmp_path / "out", timeout_seconds=8.0)

    assert server.most == 16
    assert set(server.troubles) >= {"slow", "429", "500", "cut", "half-body", "no-json", "hang"}
    assert verdicts(made) == verdicts(calm)
    assert texts_kept(made) == texts_kept(calm)

    # all accounted for: each item and aspect once, scored or with its reason
    found = verdicts(made)
    assert [(v["response_id"], v["aspect"]) for v in found] == [
        (f"it-{number}", aspect) for number in range(n) for aspect in ASPECTS
    ]
    twice_bad = {n for n, texts in said.items() if right(n) not in texts}
    assert twice_bad
    for one in found:
        number = int(one["response_id"].removeprefix("it-"))
        if number in twice_bad:
            assert one["score"] is None
            assert one["status"] == "unreadable"
            assert one["reason"]
        else:
            place = ASPECTS.index(one["aspect"])
            assert one["score"] == 1 + (number + place) % 5
            assert one["reason"] == f"Seen in {number}."
    counts = made.counts
    assert counts["done"] + sum(counts["unscored"].values()) == 2 * n
    assert counts["done"] == 2 * (n - len(twice_bad))
    assert counts["asked_once_more"] == len(said)
    # nothing is paid twice: one verdict for an item, two where the first could not be read
    assert server.given == quiet.given
    assert server.given == Counter({i: 2 if i in said else 1 for i in range(n)})


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    n = 300
    responses = answers(tmp_path / "out", "it", range(n))
    said = {number: [HALF] for number in range(0, n, 10)}
    # no worker gets past these, so the kill cannot come after the end
    hang = {number: ["hang"] for number in range(150, 166)}
    with JudgeServer(said, hang, pause=0.01) as server:
        config = asked(server.address)
        prepared = stage.prepare(config, {"it": responses})
        script = (
            "import sys; from pathlib import Path; from aftertune.artefact import open_artefact; "
            "from aftertune.judge import run; from aftertune.judge.config import JudgeConfig; "
            "from aftertune.progress import Silent; "
            "config = JudgeConfig.model_validate_json(sys.argv[1]); "
            "prepared = run.prepare(config, {'it': open_artefact(Path(sys.argv[2]))}); "
            "run.run(prepared, Path(sys.argv[3]), Silent())"
        )
        command = [sys.executable, "-c", script, config.model_dump_json(), str(responses.folder)]
        child = subprocess.Popen([*command, str(tmp_path / "out")])
        while sum(server.given.values()) < 120 and child.poll() is None:
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        server.trouble.clear()
        folder = tmp_path / "out" / prepared.plan.id
        kept = (folder / "work" / "answers.jsonl").read_bytes()
        stored = kept.count(b"\n")
        assert stored >= 100
        # a line that breaks off, as a machine that stops leaves it
        (folder / "work" / "answers.jsonl").write_bytes(kept + b'{"key": "0", "te')

        left = stage.estimate(prepared, tmp_path / "out")
        made = stage.run(prepared, tmp_path / "out", Silent())
    assert (left.calls, left.done) == (n - stored, stored)
    # what was on its way when the process died, at most one for each worker, is asked again;
    # counted at the end, because the server may answer a dead process for a while
    assert 0 <= sum(server.given.values()) - (n + len(said)) <= 16
    assert len(verdicts(made)) == 2 * n
    assert made.counts["done"] == 2 * (n - len(said))
    assert stage.run(prepared, tmp_path / "out", Silent()).id == made.id  # nothing is asked


def test_a_larger_run_asks_only_what_a_pilot_did_not(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", range(12))
    with JudgeServer({1: [HALF, right(1)]}) as server:
        judge(server.address, responses, tmp_path / "out", limit=5)
        assert sum(server.given.values()) == 6
        made = judge(server.address, responses, tmp_path / "out", repeats=2)
        assert sum(server.given.values()) == 6 + 12 * 2 - 5
        assert server.given[1] == 3
    assert len(verdicts(made)) == 12 * 2 * 2


def test_all_wait_when_the_server_names_a_time(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", range(3))
    with JudgeServer(trouble={0: ["429"]}, retry_after="0.4") as server:
        judge(server.address, responses, tmp_path / "out", concurrency=1)
    gaps = [b - a for a, b in zip(server.seconds, server.seconds[1:], strict=False)]
    assert gaps[0] >= 0.4
    assert server.requests == {0: 2, 1: 1, 2: 1}


def test_an_endpoint_that_gives_nothing_ends_in_one_sentence(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", range(40))
    cases = {
        "401": "refuses the key",
        "404": "the model's name",
        "302": "the endpoint's address",
        "quota": "quota is used up",
        "500": "calls in a row",
        "400": "calls in a row",
    }
    for trouble, words in cases.items():
        with JudgeServer(trouble={n: [trouble] * 50 for n in range(40)}) as server:
            with pytest.raises(EndpointError, match=words):
                judge(server.address, responses, tmp_path / trouble, attempts=2, concurrency=4)
            assert sum(server.requests.values()) < 40
            assert not server.given
    with held_port() as port, pytest.raises(EndpointError, match="cannot be reached"):
        judge(f"http://127.0.0.1:{port}/v1", responses, tmp_path / "gone")
    with (
        JudgeServer(trouble={0: ["429"]}, retry_after="3600") as server,
        pytest.raises(EndpointError, match="wait 60 minutes"),
    ):
        judge(server.address, responses, tmp_path / "wait")
    few = answers(tmp_path, "few", range(2))
    with (
        JudgeServer(trouble={n: ["400"] for n in range(2)}) as server,
        pytest.raises(EndpointError, match=r"answered none of 2 calls: refused with HTTP 400"),
    ):
        judge(server.address, few, tmp_path / "few")


def test_what_was_answered_before_the_end_is_kept(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", range(20))
    with JudgeServer(trouble={10: ["401"]}) as server:
        with pytest.raises(EndpointError):
            judge(server.address, responses, tmp_path / "out", concurrency=1)
        assert sum(server.given.values()) == 10
        judge(server.address, responses, tmp_path / "out", concurrency=1)
    assert server.given == dict.fromkeys(range(20), 1)


def test_a_call_that_is_refused_is_unscored_with_its_reason(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", range(6))
    with JudgeServer(trouble={2: ["422"], 4: ["500"] * 9}) as server:
        made = judge(server.address, responses, tmp_path / "out", key=KEY, attempts=3)
    by_item = {one["response_id"]: one for one in verdicts(made)}
    assert by_item["it-2"]["status"] == by_item["it-4"]["status"] == "no answer"
    assert "refused with HTTP 422: no good" in by_item["it-2"]["reason"]
    assert by_item["it-4"]["reason"] == "HTTP 500, 3 times"
    assert by_item["it-2"]["score"] is None
    assert made.counts["done"] == 8
    assert made.counts["without_answer"] == 2
    # the server's words, which may quote an answer, stay out of what is counted
    assert made.counts["unscored"] == {
        "no answer: refused with HTTP 422": 2, "no answer: HTTP 500, 3 times": 2,
    }  # fmt: skip


def test_the_key_is_sent_and_stands_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    responses = answers(tmp_path / "out", "it", range(6))
    echo = json.dumps({a: {"reason": f"The key is {KEY}.", "score": 3} for a in ASPECTS})
    with JudgeServer({0: [echo]}, {1: ["422"], 2: ["500"]}) as server:
        made = judge(server.address, responses, tmp_path / "out", key=f" {KEY}\n")
        assert all(one["Authorization"] == f"Bearer {KEY}" for one in server.headers)
        assert KEY not in json.dumps(server.bodies)
        endpoint = Endpoint(asked(server.address), SecretStr(KEY))
    assert KEY not in repr(endpoint) + str(endpoint) + caplog.text + "".join(capfd.readouterr())
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = json.dumps(pq.read_table(path).to_pylist()).encode()
            assert KEY.encode() not in content, path
    assert {v["reason"] for v in verdicts(made) if v["response_id"] == "it-0"} == {
        "The key is [key]."
    }
    with JudgeServer(trouble={n: ["403"] for n in range(6)}) as server:
        with pytest.raises(UserError) as caught:
            judge(server.address, responses, tmp_path / "refused", key=KEY)
        assert KEY not in str(caught.value)
    for bad in ("sk-two words", "sk-ümlaut", "sk-\x00"):
        with pytest.raises(ConfigError) as refused:
            Endpoint(asked("http://host/v1"), SecretStr(bad))
        assert bad not in str(refused.value)


def test_a_key_that_travels_in_the_open_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no network is asked
    responses = answers(tmp_path, "it", [1])
    spoken = Silent()
    prepared = stage.prepare(asked("http://judge.invalid/v1"), {"it": responses})
    with pytest.raises(EndpointError, match="cannot be reached"):
        stage.run(prepared, tmp_path / "out", spoken, SecretStr(KEY))
    assert len(spoken.warnings) == 1
    assert "without encryption" in spoken.warnings[0]
    assert KEY not in spoken.warnings[0]


def test_the_request_can_be_laid_over(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", [3])
    with JudgeServer() as server:
        request = {"max_tokens": None, "max_completion_tokens": 77, "top_p": 0.5}
        judge(server.address, responses, tmp_path / "out", request=request, temperature=None)
    sent = server.bodies[0]
    assert set(sent) == {"model", "messages", "max_completion_tokens", "top_p"}
    assert sent["max_completion_tokens"] == 77
    assert sent["model"] == "judge-1"


def test_it_runs_where_an_event_loop_runs_already(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", [1])

    async def notebook(address: str) -> Artefact:
        return judge(address, responses, tmp_path / "out")

    with JudgeServer() as server:
        made = asyncio.run(notebook(server.address))
    assert made.counts["done"] == 2


def test_a_cut_verdict_and_half_a_surrogate_are_no_trouble(tmp_path: Path) -> None:
    responses = answers(tmp_path, "it", [1, 2])
    odd = json.dumps({a: {"reason": "Half: \ud83d.", "score": 2} for a in ASPECTS})
    with JudgeServer({1: [odd], 2: ["\ud83d", "\ud83d"]}) as server:
        made = judge(server.address, responses, tmp_path / "out")
    found = {one["response_id"]: one for one in verdicts(made)}
    assert found["it-1"]["score"] == 2
    assert found["it-2"]["reason"] == "there is no JSON object in it"
