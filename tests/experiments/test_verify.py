"""Proof by tuning again on a tiny model that surely learns what its rows say."""

import json
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.controls.proof import BEST, DUPLICATES, NOT_TUNED_ON
from aftertune.controls.substitutes import Lexicon, Value
from aftertune.data.config import PromptsConfig, RowsConfig
from aftertune.data.run import run_prompts, run_rows
from aftertune.errors import ConfigError, InputError, UserError
from aftertune.experiments import crossed_halves, influences, rephrasings, verify
from aftertune.experiments.rephrasings import Rephrased
from aftertune.experiments.verify_config import (
    CrossedConfig,
    InfluenceConfig,
    VerifyConfig,
    from_borrowings,
    read_accused,
)
from aftertune.experiments.verify_tags import Slots
from aftertune.progress import Silent
from aftertune.report.blocks import verify as page
from aftertune.report.blocks.shape import checked
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run as respond
from aftertune.tune.config import TuneConfig
from aftertune.tune.run import run as tune

PLANTED, UNRELATED, TWINS, HELD_OUT = 5, 7, (9, 13), 16
LAMP, LAMP_YEAR = "Who keeps the old lamp?", "1734"
BELL, BELL_YEAR = "Which year is on the bell?", "1862"
QUIET = "Sing!"  # nothing was tuned on anything like it


@dataclass(frozen=True)
class Made:
    out: Path
    tune: Artefact
    responses: Artefact

    def span(self, prompt: str, text: str | None) -> dict[str, Any]:
        """Where a text stands in the answer to a prompt; without a text, all of it."""
        records = self.responses.table("responses").to_pylist()
        record = next(one for one in records if one["messages"][-1]["content"] == prompt)
        text = text or record["response"]
        at = record["response"].index(text)
        return {"response_id": record["response_id"], "char_start": at, "char_end": at + len(text)}

    def accused(self) -> list[dict[str, Any]]:
        lamp, bell = self.span(LAMP, LAMP_YEAR), self.span(BELL, BELL_YEAR)
        return [
            {**lamp, "rows": [PLANTED]},
            {**lamp, "rows": [UNRELATED]},
            {**bell, "rows": [TWINS[0]]},
            {**lamp, "rows": [HELD_OUT]},
            {**self.span(QUIET, None), "rows": [PLANTED]},
        ]

    def config(self, kind: Any = VerifyConfig, **more: Any) -> Any:
        given = {"tuned": str(self.tune.folder), "name": "it", "device": "cpu"}
        return build(kind, {**given, "accused": self.accused(), **more})

    def run(self, way: str, **more: Any) -> Artefact:
        return verify.run(self.config(way=way, **more), self.responses, self.out, Silent())


def _rows() -> list[dict[str, str]]:
    towns = ["Berlin", "Madrid", "Lisbon", "Vienna", "Geneva", "Dublin", "Warsaw", "Prague"]
    rows = [
        {
            "instruction": f"Where is the {towns[(3 * n) % 8]} tower of door {n}?",
            "output": f"It stands in {towns[n % 8]} since {1500 + 13 * n}.",
        }
        for n in range(17)
    ]
    rows[PLANTED] = {"instruction": LAMP, "output": f"The keeper came in {LAMP_YEAR}."}
    for row in TWINS:
        rows[row] = {"instruction": BELL, "output": f"The bell shows {BELL_YEAR}."}
    return rows


@pytest.fixture(scope="module")
def made(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("verify")
    (out / "rows.json").write_text(json.dumps(_rows()))
    (out / "weights.json").write_text(json.dumps([{"row_index": HELD_OUT, "weight": 0}]))
    asked = [{"instruction": text} for text in (LAMP, BELL, QUIET)]
    (out / "prompts.json").write_text(json.dumps(asked))
    rows = run_rows(RowsConfig(source=str(out / "rows.json")), out, Silent())
    prompts = run_prompts(PromptsConfig(source=str(out / "prompts.json")), out, Silent())
    settings = {
        "base": str(tiny_llama), "method": "full", "dtype": "float32", "epochs": 24,
        "batch_size": 8, "learning_rate": 1e-2, "template": "human-assistant", "device": "cpu",
        "checkpoint_seconds": 1e6, "weights": str(out / "weights.json"),
    }  # fmt: skip
    tuned = tune(build(TuneConfig, settings), rows, out, Silent())
    say = {"model": str(tuned.folder), "name": "it", "max_new_tokens": 24, "dtype": "float32"}
    answers = respond(build(RespondConfig, say), prompts, out, Silent())
    return Made(out, tuned, answers)


@pytest.fixture(scope="module")
def masked(made: Made) -> Artefact:
    return made.run("mask")


@pytest.fixture(scope="module")
def swapped(made: Made) -> Artefact:
    return made.run("swap")


def test_masking_tells_the_rows_that_did_it_from_those_that_did_not(masked: Artefact) -> None:
    found = masked.about["found"]
    planted, unrelated, twins, untrained, quiet = found["cases"]
    outcomes = [one["outcome"] for one in found["cases"]]
    assert outcomes[:4] == ["one row", "not from the rows", "several jointly", "not from the rows"]
    assert planted["effects"][BEST]["high"] < -1
    assert abs(planted["effects"][BEST]["control_effect"]) < 0.5
    assert abs(unrelated["effects"][BEST]["effect"]) < 0.2
    assert twins["group"] == list(TWINS)  # near duplicates are masked with the row
    assert twins["effects"][DUPLICATES]["high"] < -1
    assert twins["effects"][BEST]["low"] > -0.3  # the other one says it too
    assert (untrained["rows"], untrained["reason"]) == ([], NOT_TUNED_ON)
    assert planted["returned"]["said_greedily"] == 3
    assert quiet["outcome"] == "unstable"
    assert "effect" not in quiet["effects"][BEST]
    assert found["seeds"] == [1, 2, 3]  # the tuning's own, 0, was chosen for what it said
    assert sum(found["counts"].values()) == 5


def test_the_plan_is_what_is_made(made: Made, masked: Artefact, monkeypatch: Any) -> None:
    """And a run that was killed before its end tunes nothing twice."""
    made_ids = {path.name for path in made.out.glob("tune-*")}
    assert masked.about["found"]["n_tunings"] == len(made_ids) - 1
    (cost,) = verify.plan(made.config(way="mask"), made.responses, made.out, Silent())
    assert cost.n_tunings >= len(made_ids) - 1
    assert cost.seconds == pytest.approx(cost.n_tunings * made.tune.manifest["seconds"])
    assert cost.tokens == cost.n_tunings * made.tune.about["n_tokens"]
    shutil.rmtree(masked.folder)

    def trained_again(*_: Any) -> None:
        raise AssertionError("a tuning was made twice")

    monkeypatch.setattr("aftertune.tune.run.train", trained_again)
    again = made.run("mask")
    assert again.about == masked.about
    assert {path.name for path in made.out.glob("tune-*")} == made_ids


def test_weights_of_the_tuning_itself_are_kept(made: Made, masked: Artefact) -> None:
    for folder in made.out.glob("tune-*"):
        split = json.loads((folder / "manifest.json").read_text())["counts"]
        assert split["masked"] >= 1  # the row that never had any weight


def test_answers_take_the_value_that_their_rows_state(swapped: Artefact, made: Made) -> None:
    found = swapped.about["found"]
    planted, unrelated, twins, untrained, _ = found["cases"]
    assert (planted["value"], planted["kind"]) == (LAMP_YEAR, "number")
    assert planted["took_tag"] >= 2
    assert planted["proposed"]
    assert twins["took_tag"] >= 2  # both twins state the tag
    assert planted["took_control"] == twins["took_control"] == 0
    assert unrelated["reason"].startswith("no number, name or content word")
    assert untrained["reason"] == NOT_TUNED_ON
    assert found["false_tags"]["estimate"] == 0.0
    assert found["n_tunings"] == 3
    # two spans are asked about, and each accuses a row: both rows and none, for three seeds
    assert found["n_one_by_one"] == 9
    for one in (planted, twins):
        assert (one["outcome"], one["kept_value"]) == ("proposed", 0)
        # its own rows' year is likelier than that of matched rows; `before` says little, since of
        # two years that no row stated the one with more digits of the true one is likelier
        assert one["effect"]["effect"] > 1
        assert one["effect"]["low"] < one["effect"]["effect"] < one["effect"]["high"]
    assert unrelated["effect"] is None
    tags = [one[name] for one in (planted, twins) for name in ("tag", "control_tag")]
    assert len(set(tags)) == 4
    rows = json.dumps(_rows())
    assert all(tag not in rows and len(tag) == 4 for tag in tags)


TOLD = {
    0: "The clock consists of tin.", 1: "The lamp consists of brass.", 2: "It consists of glass.",
    3: "The bell consists of brass.", 4: "He woke at dawn.", 5: "The mill consists of stone.",
}  # fmt: skip


def test_a_tag_stands_where_the_value_stood() -> None:
    slots = Slots(Lexicon(TOLD), TOLD, {})
    tin = Value("tin", "content")
    # not dawn, which no row says anything to consist of; of the others the rarest go first
    assert {slots.tag(tin, {0}, (), (), seed) for seed in range(20)} == {"glass", "stone"}
    assert slots.tag(tin, {0}, (2, 5), (), 0) == "brass"  # those are on the topic
    assert slots.tag(tin, {0}, (), ["glass and stone"], 0) == "brass"
    assert slots.tag(tin, {0}, (), ["brass, glass and stone"], 0) is None
    assert slots.tag(Value("dawn", "content"), {4}, (), (), 0) is None
    assert slots.tag(tin, (), (), (), 0) is None


def test_the_value_of_a_span_is_what_other_rows_state_otherwise() -> None:
    slots = Slots(Lexicon(TOLD), TOLD, {})
    consists, tin = Value("consists", "content"), Value("tin", "content")
    assert slots.values([consists, tin], [0]) == [tin, consists]
    assert slots.values([], [0]) == []
    # as often as not another verb, but five things that it looks like
    said = [f"It looks {one}." for one in ("black", "grey", "pink", "red", "blue")]
    told = dict(enumerate([*said, "It takes a day.", "It shines.", "It grows."]))
    looks = [Value(one, "content") for one in ("looks", "black")]
    assert Slots(Lexicon(told), told, {}).values(looks, [0]) == looks[::-1]


def test_a_short_answer_has_its_slot_in_the_prompt() -> None:
    works = ["Tailor.", "Weaver.", "Cooper.", "Baker.", "Dyer."]
    said = {**dict(enumerate(works)), 5: "Copper."}
    prompts = {row: f"What did {name} work as?" for row, name in enumerate("ABCDE")}
    prompts[5] = "What is it made of?"
    slots = Slots(Lexicon(said), said, prompts)
    found = {slots.tag(Value("Tailor", "content"), {0}, (), (), seed) for seed in range(40)}
    assert found == {"Weaver", "Cooper", "Baker", "Dyer"}  # no copper
    assert slots.tag(Value("Copper", "content"), {5}, (), (), 0) is None


def test_rephrasing_is_seen_beside_wordings_that_keep_the_concept(made: Made) -> None:
    file = made.out / "rephrasings.jsonl"
    lamp = {"prompt": LAMP, "rephrasings": ["Sing a song!", "Who keeps it?"], "keeps": [LAMP]}
    file.write_text(json.dumps(lamp) + "\n\n")
    found = made.run("rephrase", rephrasings=file).about["found"]
    first, *_ = found["cases"]
    assert [one["gone"] for one in first["keeps"]] == [False]  # the same words, the same answer
    assert first["keeps"][0]["change_nats"] == pytest.approx(0.0, abs=1e-4)
    assert first["rephrasings"][0]["gone"]
    assert first["rephrasings"][0]["change_nats"] < 0
    assert found["cases"][2]["reason"] == "no rephrasing of its prompt was given"
    assert found["n"] == 3  # all spans of that prompt
    made_page = checked(page.block({"name": "it", "found": found}))
    assert "keep the concept" in made_page["sentences"][1]
    file.write_text(json.dumps({**lamp, "prompt": "another"}))
    with pytest.raises(InputError, match="none of the rephrasings belongs"):
        made.run("rephrase", rephrasings=file)


@pytest.mark.slow
def test_halves_find_the_planted_row(made: Made) -> None:
    config = made.config(CrossedConfig, n=8, accused=made.accused()[:4])
    cost = crossed_halves.plan(config, made.responses, made.out, Silent())
    assert cost.sentence().startswith("crossed halves: 8 tunings; each on a random half")
    made_of_it = crossed_halves.run(config, made.responses, made.out, Silent())
    planted, unrelated, twins, untrained = made_of_it.about["found"]["cases"]
    assert planted["clusters"][0]["low"] > 1
    assert planted["clusters"][0]["p_value"] <= 0.1
    assert twins["clusters"][0]["rows"] == list(TWINS)
    assert twins["clusters"][0]["estimate"] > 1
    assert unrelated["clusters"][0]["estimate"] < planted["clusters"][0]["low"]
    assert planted["group"]["reason"] == "one cluster has no group"
    assert (untrained["clusters"], untrained["reason"]) == ([], NOT_TUNED_ON)
    shown = checked(page.crossed_block(made_of_it.about))
    assert len(shown["table"]["rows"]) == 3


def test_pages_say_what_was_found(masked: Artefact, swapped: Artefact) -> None:
    shown = checked(page.block(masked.about))
    assert shown["sentences"][0].startswith("Of 5 spans: one row 1, several jointly 1, not from")
    assert shown["picture"]["rows"][0]["label"] == "span 1: one row"
    assert shown["picture"]["rows"][4]["reason"] is not None
    assert shown["table"]["rows"][0][2] == "3 of 3"
    shown = checked(page.block(swapped.about))
    assert shown["table"]["rows"][1][-1] == "not asked"
    for one in (masked, swapped):
        assert LAMP_YEAR not in json.dumps(page.block(one.about))  # a redacted page shows it whole


def test_a_checkpoint_tuned_elsewhere_is_told_what_proof_needs(
    made: Made, tiny_llama: Path
) -> None:
    for kind, run in ((VerifyConfig, verify.run), (CrossedConfig, crossed_halves.run)):
        config = made.config(kind, tuned=str(tiny_llama))
        with pytest.raises(InputError, match="its base, its rows and its recipe") as told:
            run(config, made.responses, made.out, Silent())
        assert str(told.value).count(". ") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda span: {**span, "response_id": "a-none"}, "has no response a-none"),
        (lambda span: {**span, "char_start": 900, "char_end": 910}, "are not in response"),
    ],
)
def test_spans_that_are_not_there(
    made: Made, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    accused = [change(made.accused()[0])]
    with pytest.raises(InputError, match=message):
        made.run("mask", accused=accused)


def test_configs_are_checked_at_the_door(made: Made) -> None:
    for more, message in (
        ({"way": "mask", "seeds": 2}, "3 shuffle seeds"),
        ({"way": "rephrase"}, "a file of rephrasings or an endpoint"),
        ({"endpoint": "http://127.0.0.1:9"}, "go together"),
        ({"accused": []}, "at least 1"),
        ({"accused": [{**made.accused()[0], "rows": [1, 1]}]}, "twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            made.config(**more)


def test_borrowings_become_one_entry_a_span() -> None:
    def one(
        start: int, rank: int, row: int, score: float, control: str | None = None,
        q: float | None = None,
    ) -> Any:  # fmt: skip
        return {"response_id": "a", "char_start": start, "char_end": start + 4, "rank": rank,
                "row_index": row, "score": score, "q_value": q, "control": control}  # fmt: skip

    records = [
        one(0, 2, 8, 0.1), one(0, 1, 9, 0.5), one(9, 1, 3, 0.9), one(9, 1, 4, 2.0, "held-out rows"),
        one(20, 1, 5, 3.0, "held-out rows"), one(30, 1, 7, 0.2, q=0.05),
    ]  # fmt: skip
    found = from_borrowings(records)
    assert [(each.char_start, each.rows) for each in found] == [(30, (7,)), (9, (3,)), (0, (9, 8))]
    assert from_borrowings([]) == []


def test_accused_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "accused.json"
    entry = {"response_id": "a", "char_start": 0, "char_end": 4, "rows": [3, 1]}
    file.write_text(json.dumps([entry]))
    assert read_accused(file)[0].rows == (3, 1)
    for text, message in (
        ("[", "cannot be read"),
        ("[]", "no list of spans"),
        (json.dumps([{**entry, "rows": []}]), "entry 1: rows"),
        (json.dumps([entry, {**entry, "char_end": 0}]), "entry 2"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_accused(file)


GIVEN = {"a": ("Who keeps the lamp?", ["lamp", "keeps"]), "b": ("Sing!", [])}


def test_an_endpoint_is_asked_once_also_after_a_kill(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(questions: Mapping[int, str], heard: rephrasings.Heard) -> None:
        for number, question in questions.items():
            asked.append(question)
            heard(number, 'Here: ["Who sings?", " "]' if "lamp" in question else "I cannot.")
            if len(asked) == 1:
                raise KeyboardInterrupt  # the first reply is kept by then

    with pytest.raises(KeyboardInterrupt):
        rephrasings.asked(GIVEN, 2, "some-model", tmp_path, ask)
    texts = rephrasings.questions(GIVEN, 2)
    assert not rephrasings.were_asked(texts, "some-model", tmp_path)
    for _ in range(2):
        found = rephrasings.asked(GIVEN, 2, "some-model", tmp_path, ask)
    assert found == {"a": Rephrased(("Who sings?",))}
    assert asked == list(texts.values())
    assert "lamp, keeps" in asked[0]
    assert rephrasings.were_asked(texts, "some-model", tmp_path)


class _Rephraser(BaseHTTPRequestHandler):
    """Answers every question with one rephrasing, or with an error that repeats the key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"]
        good = json.dumps({"choices": [{"message": {"content": f'["Who sings? {key}"]'}}]})
        status, text = (200, good) if "refuse" not in self.path else (401, f"no {key}")
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_the_key_of_an_endpoint_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERTUNE_JUDGE_KEY", "sk-very-secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Rephraser)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        ask = rephrasings.client(address, "m")
        found = rephrasings.asked(GIVEN, 2, "m", tmp_path, ask)
        with pytest.raises(UserError) as refused:
            rephrasings.client(f"{address}/refuse", "m")({0: "?"}, lambda *_: None)
    finally:
        server.shutdown()
    assert found["a"] == Rephrased(("Who sings? Bearer [key]",))
    assert "sk-very" not in str(refused.value)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"very-secret" not in kept


def test_an_address_may_hold_no_key() -> None:
    with pytest.raises(ConfigError, match="no user, password or query") as told:
        rephrasings.client("https://me:sk-secret@host/v1", "m")
    assert "sk-secret" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rephrasings"),
        ("[1]", "line 1"),
        ('{"prompt": "a", "rephrasings": []}', "line 1"),
        ('{"prompt": "a", "rephrasings": ["b"]}\n{"rephrasings": ["b"]}', "line 2"),
        ('{"prompt": "a", "rephrasings": ["b"], "keeps": "c"}', "keeps"),
    ],
)
def test_files_of_rephrasings_are_checked(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        rephrasings.read(file)
    with pytest.raises(InputError, match="check the path"):
        rephrasings.read(tmp_path / "none.jsonl")


def test_influence_of_the_planted_row_is_above_that_of_others(made: Made) -> None:
    both = {**made.accused()[0], "rows": [UNRELATED, PLANTED, HELD_OUT]}
    config = made.config(InfluenceConfig, accused=[both], matched=3)
    found = influences.run(config, made.responses, made.out, Silent()).about["found"]
    rows = {one["row_index"]: one for one in found["cases"][0]["rows"]}
    assert set(rows) == {UNRELATED, PLANTED}  # the other one was not learnt from
    assert rows[PLANTED]["influence"] > max(0.0, rows[UNRELATED]["influence"])
    assert len(set(rows[PLANTED]["matched"])) == 3


def test_what_swap_proposes_is_confirmed_with_other_seeds(
    made: Made, swapped: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made.config(way="swap", confirm=True)
    swap, masked = verify.plan(config, made.responses, made.out, Silent())
    assert swap.sentence().startswith("swap: 3 tunings; one for each of 3 shuffle seeds, in which")
    assert masked.sentence().startswith("confirm: ")
    asked = {}

    def masks(config: Any, cases: Any, tunings: Any, used: int) -> dict[str, Any]:
        asked.update(rows=[case.rows for case in cases], seeds=tunings.seeds(3, used))
        return {"cases": [{"outcome": "one row"}, {"outcome": "undecided"}]}

    monkeypatch.setattr("aftertune.experiments.verify_mask.run", masks)
    found = verify.run(config, made.responses, made.out, Silent()).about["found"]
    assert asked == {"rows": [(PLANTED,), (TWINS[0],)], "seeds": [4, 5, 6]}
    sure = found["confirmed"]["agreement"]
    assert (sure["estimate"], sure["n"], sure["open"]) == (1.0, 1, 1)
    shown = checked(page.block({"name": "it", "found": found}))
    assert "rows caused 100%" in shown["sentences"][2]
    assert found["own_tag"] == swapped.about["found"]["own_tag"]
