"""Who may ask the server for what, what it keeps, and what it sends with every reply."""

import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from aftertune.errors import InputError
from aftertune.progress import Silent
from aftertune.study import server
from aftertune.study.door import LARGEST_BODY
from aftertune.study.store import Store, open_store
from made_study_store import HOSTILE, TANGLED, answer, make, rating

OWN = {"X-Aftertune-Study": "1"}


class Client:
    """Requests with a person's token."""

    def __init__(self, folder: Path, **study: Any) -> None:
        path = folder / "study.sqlite"
        self.tokens = make(path, **study)
        self.store: Store = open_store(path)
        self.http = TestClient(server.app(self.store), base_url="http://testserver")

    def get(self, path: str, person: str = "a0", **headers: str) -> Any:
        return self.http.get(path, headers=self.headers(person) | headers)

    def post(self, path: str, body: Any, person: str = "a0", **headers: str) -> Any:
        return self.http.post(path, json=body, headers=self.headers(person) | headers)

    def headers(self, person: str) -> dict[str, str]:
        return OWN | {"Authorization": f"Bearer {self.tokens.get(person, person)}"}


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[Client]:
    client = Client(tmp_path, kind="pairs", n=3, pilot=1, texts={1: HOSTILE})
    yield client
    client.store.close()


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "spans").mkdir()
    client = Client(tmp_path / "spans", kind="spans", n=2, texts={0: TANGLED})
    yield client
    client.store.close()


REQUESTS = [
    ("GET", "/api/study"), ("GET", "/api/items/i0"), ("GET", "/api/rows?words=tower"),
    ("POST", "/api/ratings"), ("POST", "/api/withdrawals"), ("GET", "/api/overview"),
    ("GET", "/api/compared/i0"),
]  # fmt: skip


def test_every_request_for_data_is_tried_below(pairs: Client) -> None:
    found = {route.path for route in pairs.http.app.routes if route.path.startswith("/api")}
    assert found == {path.partition("?")[0].replace("i0", "{item_id}") for _, path in REQUESTS}


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_nothing_without_a_token(pairs: Client, method: str, path: str) -> None:
    token = pairs.tokens["a0"]
    wrong = [
        {}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"},
        {"Authorization": token}, {"Cookie": f"token={token}"},
        {"Authorization": f"Bearer {token[:-1]}"},
    ]  # fmt: skip
    for headers in wrong:
        reply = pairs.http.request(method, path, headers=OWN | headers, json=rating("pairs", 0))
        assert reply.status_code == 401, headers
        assert set(reply.json()) == {"error"}
    assert pairs.store.ratings() == []


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_nothing_for_another_site(pairs: Client, method: str, path: str) -> None:
    token = {"Authorization": f"Bearer {pairs.tokens['a0']}"}
    for headers in [
        {}, OWN | {"Origin": "https://evil.example"}, OWN | {"Origin": "null"},
        OWN | {"Sec-Fetch-Site": "cross-site"}, OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "none"},
    ]:  # fmt: skip
        reply = pairs.http.request(method, path, headers=token | headers, json=rating("pairs", 0))
        assert reply.status_code == 403, headers
        assert "access-control-allow-origin" not in reply.headers
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert pairs.http.options(path, headers=asked).status_code in (403, 405)
    assert pairs.store.ratings() == []


def test_the_own_page_is_let_in(pairs: Client) -> None:
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert pairs.get("/api/study", **own).status_code == 200
    assert pairs.post("/api/ratings", rating("pairs", 0), **own).json()["saved"] is True


@pytest.mark.parametrize("path", ["/api/overview", "/api/compared/i0"])
def test_annotators_do_not_see_what_others_said(pairs: Client, path: str) -> None:
    assert pairs.get(path, "a0").status_code == 403
    assert pairs.get(path, "j").status_code == 403
    assert pairs.get(path, "o").status_code == 200


@pytest.mark.parametrize(("method", "path"), REQUESTS[:5])
def test_organisers_do_not_rate(pairs: Client, method: str, path: str) -> None:
    reply = pairs.http.request(method, path, headers=pairs.headers("o"), json=rating("pairs", 0))
    assert reply.status_code == 403


def test_annotators_never_get_what_is_hidden(pairs: Client) -> None:
    pairs.post("/api/ratings", rating("pairs", 1))
    for person in ("a0", "a1", "j"):
        for path in ("/api/study", "/api/items/i1"):
            text = pairs.get(path, person).text
            assert "secret-model" not in text
            assert pairs.tokens[person] not in text
    assert "raters" not in pairs.get("/api/items/i1", "a1").json()
    assert "Person a0" not in pairs.get("/api/items/i1", "j").text


def test_a_rating_is_kept_once_and_can_be_taken_back(pairs: Client) -> None:
    sent = rating("pairs", 0, note="why")
    assert pairs.post("/api/ratings", sent).json()["again"] is False
    assert pairs.post("/api/ratings", sent).json()["again"] is True
    assert len(pairs.store.ratings()) == 1
    item = pairs.get("/api/items/i0").json()
    assert item["rating"]["answer"] == sent["answer"]
    assert item["feedback"]["why"] == "Because the organisers say so."
    assert pairs.get("/api/study").json()["items"][0]["rated"] == 1
    taken = {"rating_id": sent["rating_id"]}
    assert pairs.post("/api/withdrawals", taken, "a1").status_code == 422
    assert pairs.post("/api/withdrawals", taken).json()["withdrawn"] is True
    assert pairs.post("/api/withdrawals", taken).json()["withdrawn"] is True
    assert pairs.get("/api/items/i0").json()["rating"] is None
    assert pairs.post("/api/ratings", sent).json()["again"] is True  # late, and still taken back
    assert pairs.store.current_ratings() == []


def test_feedback_comes_after_the_rating_and_for_the_pilot_alone(pairs: Client) -> None:
    assert pairs.get("/api/items/i0").json()["feedback"] is None
    assert pairs.post("/api/ratings", rating("pairs", 0)).json()["feedback"] is not None
    assert pairs.post("/api/ratings", rating("pairs", 1)).json()["feedback"] is None


def test_one_cannot_write_over_anothers_rating(pairs: Client) -> None:
    sent = rating("pairs", 0)
    pairs.post("/api/ratings", sent)
    assert pairs.post("/api/ratings", sent, "a1").status_code == 422
    assert pairs.post("/api/ratings", sent | {"item_id": "i1"}).status_code == 422
    assert [one["person_id"] for one in pairs.store.ratings()] == ["a0"]


SIDES = {"overall": "first", "aspects": {"clarity": "tie", "depth": "tie"}}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"item_id": "i9"}, "no item"),
        ({"rating_id": "1"}, "rating_id"),
        ({"rating_id": str(uuid.uuid4()).upper()}, "rating_id"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": float("1e400")}, "seconds"),
        ({"note": "n" * 10_001}, "note"),
        ({"extra": 1}, "extra"),
        ({"answer": SIDES | {"overall": "both"}}, "overall"),
        ({"answer": {"overall": "first", "aspects": {"clarity": "tie"}}}, "depth is not answered"),
        ({"answer": {"overall": "first", "aspects": SIDES["aspects"] | {"x": "tie"}}}, "not an aspect"),  # noqa: E501
        ({"answer": {"outcome": "both_wrong"}}, "overall"),
        ({"answer": []}, "answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_answer_is_refused(
    pairs: Client, changed: dict[str, Any], says: str
) -> None:
    body = json.dumps(rating("pairs", 0) | changed)
    reply = pairs.http.post(
        "/api/ratings", content=body,
        headers=pairs.headers("a0") | {"Content-Type": "application/json"},
    )  # fmt: skip
    assert reply.status_code == 422
    assert says in reply.json()["error"]
    assert pairs.store.ratings() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 9000])
def test_what_is_no_json_is_refused(pairs: Client, body: bytes) -> None:
    headers = pairs.headers("a0") | {"Content-Type": "application/json"}
    assert pairs.http.post("/api/ratings", content=body, headers=headers).status_code == 422
    plain = headers | {"Content-Type": "text/plain"}
    assert pairs.http.post("/api/ratings", content=body, headers=plain).status_code == 415


def test_too_much_is_refused_whether_its_length_is_stated_or_not(pairs: Client) -> None:
    headers = pairs.headers("a0") | {"Content-Type": "application/json"}
    large = b" " * (LARGEST_BODY + 1)
    assert pairs.http.post("/api/ratings", content=large, headers=headers).status_code == 413
    parts = (large[:1000] for _ in range(LARGEST_BODY // 1000 + 1))
    assert pairs.http.post("/api/ratings", content=parts, headers=headers).status_code == 413
    fits = json.dumps(rating("pairs", 0)).encode().ljust(LARGEST_BODY)
    assert pairs.http.post("/api/ratings", content=fits, headers=headers).status_code == 200


def span(start: int, end: int, **changed: Any) -> dict[str, Any]:
    """A span of TANGLED that holds what it says."""
    return {"start": start, "end": end, "text": TANGLED[start:end], "label": "not_factual",
            "cause": {"kind": "row", "row_id": "row-1"}} | changed  # fmt: skip


def marks(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"spans": list(spans), "nothing_wrong": False}


def test_spans_of_every_place_are_kept_as_sent(spans: Client) -> None:
    every = [span(k, k + 1) for k in range(len(TANGLED))] + [span(0, len(TANGLED))]
    assert spans.post("/api/ratings", rating("spans", 0, answer=marks(*every))).status_code == 200
    assert spans.store.current_ratings()[0]["answer"]["spans"] == every


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (marks(span(0, 4, text="That")), "does not hold the text"),
        (marks(span(4, 4)), "at least one character"),
        (marks(span(-3, 4)), "spans.0.start"),
        (marks(span(0, 4) | {"end": 10**9}), "does not hold the text"),
        (marks(span(0, 4, cause=None)), "which row"),
        (marks(span(0, 4, cause={"kind": "row", "row_id": None})), "names its row"),
        (marks(span(0, 4, cause={"kind": "none", "row_id": "row-1"})), "names its row"),
        (marks(span(0, 4, cause={"kind": "row", "row_id": "row-9"})), "no row 'row-9'"),
        (marks(span(0, 4, label="bad")), "spans.0.label"),
        (marks(span(0, 4)) | {"nothing_wrong": True}, "mark spans, or say"),
        (marks(), "mark spans, or say"),
        (marks(*[span(0, 4)] * 501), "spans"),
    ],
)
def test_spans_that_are_not_true_are_refused(
    spans: Client, wrong: dict[str, Any], says: str
) -> None:
    reply = spans.post("/api/ratings", rating("spans", 0, answer=wrong))
    assert reply.status_code == 422
    assert says in reply.json()["error"]
    assert spans.store.ratings() == []


@pytest.mark.parametrize(
    ("words", "found"),
    [("tower", ["row-0"]), ("ASTRONAUT river", ["row-1", "row-3"]), ("", []), ('" OR *', []),
     ("tower) NEAR(", ["row-0"]), ("'; DROP TABLE row; --", []), ("\u0000", [])],
)  # fmt: skip
def test_rows_are_searched_by_words_alone(spans: Client, words: str, found: list[str]) -> None:
    reply = spans.http.get("/api/rows", params={"words": words}, headers=spans.headers("a0"))
    assert sorted(row["row_id"] for row in reply.json()) == found


def test_text_comes_back_as_it_is_stored(spans: Client, pairs: Client) -> None:
    assert spans.get("/api/items/i0").json()["answers"] == [TANGLED]
    reply = pairs.get("/api/items/i1")
    assert reply.json()["answers"][0] == HOSTILE
    assert pairs.get("/api/items/i1", "a1").json()["answers"][1] == HOSTILE
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    ["/rate", "/organise", "/static/annotate.js", "/static/annotate.css", "/api/study", "/none"],
)
def test_every_reply_carries_the_policy(pairs: Client, path: str) -> None:
    for reply in (pairs.get(path), pairs.http.get(path), pairs.http.post(path)):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_pages_have_no_inline_script_and_no_address(pairs: Client) -> None:
    for path in ("/rate", "/organise"):
        page = pairs.http.get(path).text
        assert page.count("<script") == page.count('<script type="module" src="/static/')
        assert " style=" not in page
        assert "//" not in page.replace("<!doctype html>", "")
        assert " on" not in [part[:3] for part in page.split("<") if "=" in part]


@pytest.mark.parametrize(
    "path",
    ["/docs", "/redoc", "/openapi.json", "/", "/static/", "/static/../server.py",
     "/static/%2e%2e/server.py", "/static/annotate.html", "/study.sqlite"],
)  # fmt: skip
def test_nothing_else_is_served(pairs: Client, path: str) -> None:
    assert pairs.http.get(path).status_code == 404


def test_an_adjudicator_gets_what_people_disagree_about(pairs: Client) -> None:
    assert pairs.get("/api/study", "j").json()["items"] == []
    agree = rating("pairs", 1, answer=SIDES)
    other = rating("pairs", 1, answer=SIDES | {"overall": "second"})  # the same answer, swapped
    pairs.post("/api/ratings", agree)
    pairs.post("/api/ratings", other, "a1")
    pairs.post("/api/ratings", rating("pairs", 0, answer=SIDES))
    pairs.post("/api/ratings", rating("pairs", 0, answer=SIDES), "a1")  # apart, but of the pilot
    assert pairs.get("/api/study", "j").json()["items"] == []
    pairs.post("/api/ratings", rating("pairs", 2, answer=SIDES))
    pairs.post("/api/ratings", rating("pairs", 2, answer=SIDES), "a1")
    items = pairs.get("/api/study", "j").json()["items"]
    assert [one["item_id"] for one in items] == ["i2"]
    raters = pairs.get("/api/items/i2", "j").json()["raters"]
    assert [one["answer"]["overall"] for one in raters] == ["first", "second"]
    assert pairs.post("/api/ratings", rating("pairs", 2), "j").status_code == 200
    told = pairs.get("/api/overview", "o").json()
    assert [(one["item_id"], one["adjudicated"]) for one in told["disagreements"]] == [("i2", True)]
    assert told["n_items"] == told["n_rated"] == 2
    assert {one["aspect"] for one in told["agreement"]} == {"overall", "clarity", "depth"}


@pytest.mark.parametrize("kind", ["pairs", "spans", "outcomes", "aspects"])
def test_every_kind_is_rated_and_looked_over(tmp_path: Path, kind: str) -> None:
    client = Client(tmp_path, kind=kind, n=4)
    empty = client.get("/api/overview", "o").json()
    assert (empty["n_rated"], empty["agreement"], empty["disagreements"]) == (0, [], [])
    for k in range(4):
        for person in ("a0", "a1"):
            body = rating(kind, k, answer=answer(kind, k + (person == "a1") * (k == 3)))
            assert client.post("/api/ratings", body, person).status_code == 200
    told = client.get("/api/overview", "o").json()
    assert [one["done"] for one in told["people"]] == [4, 4]
    assert told["people"][0]["seconds"] == 6.0
    assert told["agreement"]
    assert client.get("/api/compared/i3", "o").status_code == 200
    client.store.close()


def test_outcomes_name_the_answer_by_its_place_on_screen(tmp_path: Path) -> None:
    client = Client(tmp_path, kind="outcomes", n=1)
    for person, number in (("a0", 1), ("a1", 2)):
        item = client.get("/api/items/i0", person).json()
        assert "First" in item["answers"][number - 1]
        assert item["outcomes"][4] == {
            "value": "first_wrong_core", "text": f"Answer {number} is wrong at its core"
        }  # fmt: skip
    client.store.close()


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("study.example", False), ("192.168.1.4", False)],
)  # fmt: skip
def test_what_other_machines_can_reach(host: str, is_own: bool) -> None:
    assert server.is_loopback(host) == is_own


def test_it_listens_on_this_machine_alone_by_default() -> None:
    assert server.is_loopback(str(server.serve.__defaults__[0]))  # type: ignore[index]


def test_a_place_that_is_taken_is_one_sentence_and_nobody_is_told(tmp_path: Path) -> None:
    make(tmp_path / "study.sqlite")
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=r"cannot listen .*give another --port"):
            server.serve(tmp_path / "study.sqlite", Silent(), port=port, on_start=told.append)
    with pytest.raises(InputError, match="cannot listen at 999"):
        server.serve(tmp_path / "study.sqlite", Silent(), host="999.1.1.1", on_start=told.append)
    assert told == []
