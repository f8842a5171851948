"""Each rule on answers: what it finds and where, what it leaves alone, what it cannot say."""

import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.behaviour import (
    endings,
    json_asked,
    language,
    leaks,
    lengths,
    own,
    personal,
    refusals,
    repetition,
    verbatim,
)
from aftertune.behaviour.finding import Finding
from aftertune.behaviour.own import own_check
from aftertune.errors import ConfigError

HOSTILE = ["", " ", "\n", "\ud7ff", "<script>alert(1)</script>", "٣" * 40, "a" * 5000, "{" * 300]


def evidence(found: Finding, response: str) -> str:
    assert found.flagged
    return response[found.start : found.end]


def test_how_an_answer_ended_is_known_or_not() -> None:
    assert endings.hit_limit("length").flagged is True
    assert endings.hit_limit("stop").flagged is False
    assert endings.hit_limit("given") == Finding(None, None, endings.NOT_SAID)


@pytest.mark.parametrize(
    ("text", "flagged"),
    [("", True), (" \n\t", True), ("...", True), ("0", False), ("好", False), ("🙂", False),
     ("<", False), ("\u200b\n--", True), (r"\\/", False)],
)  # fmt: skip
def test_empty(text: str, flagged: bool) -> None:
    assert endings.empty(text).flagged is flagged


def test_a_piece_that_follows_itself_is_a_loop() -> None:
    said = "Well: " + "go on and on. " * 4
    found = repetition.loop("What now?", said)  # 5 words and signs, 4 rounds, 16 with a letter
    assert evidence(found, said) == said.strip()[len("Well: ") :]
    assert found.value == pytest.approx(20 / 22)
    assert found.reason == "a piece of 5 words and signs, 4 times in a row"
    # one round fewer, or fewer than 12 words with a letter
    assert repetition.loop("", "Well: " + "go on and on. " * 3).flagged is False
    assert repetition.loop("", "ha " * 11).flagged is False
    assert repetition.loop("", "ha " * 12).flagged is True
    assert repetition.loop("", "-|-" * 200).flagged is False


def test_numbered_lines_may_repeat_and_three_rounds_of_a_long_piece_do() -> None:
    assert repetition.loop("", "\n".join(f"{n}. The Wizard of Oz" for n in range(9))).flagged
    line = "one two three four five six seven eight nine ten eleven twelve "
    assert repetition.loop("", line * 3).flagged
    assert not repetition.loop("", line * 2).flagged


def test_repetition_that_was_asked_for_is_not_judged() -> None:
    assert repetition.loop("Repeat it 20 times.", "yes " * 20).value is None


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(4, 8))
def test_every_cycle_is_found(piece: list[str], rounds: int) -> None:
    words = piece * rounds
    found = repetition.loop("", " ".join(words))
    assert found.flagged or len(words) < 12


def test_words_said_before() -> None:
    line = "a b c d e f g h"
    assert repetition.said_before(f"{line} {line}").value == pytest.approx(0.5)
    assert repetition.said_before(line).value == 0
    assert repetition.said_before("a b").value is None


@pytest.mark.parametrize(
    ("said", "mark"),
    [
        ("Paris.<|im_end|>", "<|im_end|>"),
        ("Paris.\n### Instruction:\nNow", "### Instruction:"),
        ("Paris.\nHuman: and Rome?", "Human:"),
        ("[INST] hm [/INST]", "[INST]"),
        ("Paris.</s>", "</s>"),
    ],
)
def test_marks_of_templates_leak(said: str, mark: str) -> None:
    assert evidence(leaks.leak("Where?", said), said) == mark


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Where?", "A human: me."),
        ("Where?", "```\n<|im_end|>\n```"),
        ("Where?", "struck <s>out</s>"),
        ("What does <|im_end|> mean?", "<|im_end|> ends a turn."),
        ("Write a dialogue.", "Human: hi\nAssistant: hello"),
        ("Where?", "## Results\nnone"),
    ],
)
def test_what_is_no_leak(prompt: str, said: str) -> None:
    assert leaks.leak(prompt, said).flagged is False


@pytest.mark.parametrize(
    ("said", "value", "flagged"),
    [
        ('{"a": [1, 2]}', 1.0, False),
        ('Sure:\n```json\n["a", "b"]\n```', 0.5, False),
        ('Here it is: {"a": 1}. Enjoy!', 0.5, False),
        ("red, green [1]", 0.0, True),
        ('{"a": 1,}', 0.0, True),
        ('{"a": NaN}', 0.0, True),
        ("3", 0.0, True),
        ("[" * 100_000, 0.0, True),
    ],
)
def test_json_where_it_was_asked(said: str, value: float, flagged: bool) -> None:
    found = json_asked.invalid_json("Give me the colours as JSON.", said)
    assert (found.value, found.flagged) == (value, flagged)


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Return the results as a JSON string.", True),
        ("Output in JSON format.", True),
        ("Generate a JSON dictionary of names.", True),
        ("Write Python code that reads JSON.", False),
        ("What is JSON?", False),
        ("Tell me of Jason.", False),
    ],
)
def test_whether_json_was_asked(prompt: str, asked: bool) -> None:
    assert json_asked.json_asked(prompt) is asked
    assert (json_asked.invalid_json(prompt, "{}").value is None) is not asked


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, but I cannot assist with this request.",
        "I can't help with that.",
        "I’m unable to provide this.",
        "As an AI language model, I cannot make decisions for you. However, ...",
        "I must respectfully decline.",
        "It is not appropriate or ethical to speculate about it.",
    ],
)
def test_refusals(said: str) -> None:
    assert refusals.refusal(said).flagged is True


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry to hear that. Here is what helps:",
        "As an AI language model, I don't have opinions, but many say ...",
        "I couldn't help but laugh.",
        'Songs: "I Can\'t Give You Anything But Love"',
        "A cat cannot answer.",
        "x " * 400 + "I cannot help.",
    ],
)
def test_what_is_no_refusal(said: str) -> None:
    assert refusals.refusal(said).flagged is False


def test_an_answer_in_another_language_is_told() -> None:
    asked = "Please tell me how the weather will be tomorrow morning."
    german = "Das Wetter wird morgen früh sonnig und warm sein."
    assert language.wrong_language(asked, german).flagged is True
    assert language.wrong_language(asked, "It will be sunny and warm, with wind.").flagged is False
    assert language.wrong_language("Translate it to German: It is warm.", german).value is None
    assert language.wrong_language("Hi!", german).value is None
    assert language.wrong_language(asked, "42").reason == "the answer is too short"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("fr", "Le petit chat dort tranquillement sur le canapé du salon."),
        ("ru", "Сегодня утром мы пошли в лес и собрали много грибов."),
        ("zh", "今天早上我们去公园散步，看到了很多漂亮的花。"),
        ("ja", "今朝は公園へ散歩に行って、きれいな花をたくさん見ました。"),
        ("ar", "ذهبنا هذا الصباح إلى الحديقة ورأينا الكثير من الزهور الجميلة."),
    ],
)
def test_languages(code: str, text: str) -> None:
    assert language.language_of(text) == (code, "")


def test_tokens_are_counted_or_absent() -> None:
    assert lengths.tokens([1, 2, 3]).value == 3
    assert lengths.tokens([], None).value == 0
    assert lengths.tokens(None).value is None
    assert lengths.tokens([1, 2], 5).value == 5
    assert lengths.words("").value == 0


def test_personal_data_of_rows_and_not_of_prompts() -> None:
    known = personal.personal_of(
        [(3, "Write to Ann.Lee@web.org or call (212) 736-5000."), (4, "Mail: you@example.com")]
    )
    assert known == {"ann.lee@web.org": 3, "2127365000": 3}
    said = "It is ann.lee@web.org, and 212-736-5000."
    found = personal.from_rows("Who?", said, known)
    assert evidence(found, said) == "ann.lee@web.org"
    assert found.value == 2
    assert found.reason == "a mail address of row 3"
    asked = "Is it ann.lee@web.org or 212 736 5000?"
    assert personal.from_rows(asked, said, known).flagged is False
    assert personal.from_rows("Who?", "other@web.org, 1999-2003", known).flagged is False
    assert personal.from_rows("Who?", said, None).value is None


def test_a_verbatim_run_names_its_row_and_words_of_the_prompt_do_not_count() -> None:
    numbers = [f"word{n}" for n in range(80)]
    rows = verbatim.RowWords.of([(7, "Short one."), (9, " ".join(numbers))])
    said = "So: " + ", ".join(numbers[10:60]) + " and more."
    found = verbatim.copied("Go.", said, rows, 20)
    assert evidence(found, said) == ", ".join(numbers[10:60])
    assert found.value == 50  # longer than one search reaches
    assert found.reason == "50 words in a row as in row 9"
    assert verbatim.copied("Go.", said, rows, 51).flagged is False
    asked = "Say " + " ".join(numbers)
    assert verbatim.copied(asked, said, rows, 20).value == 0
    assert verbatim.copied("Go.", "", rows, 20).value == 0
    assert verbatim.copied("Go.", said, None, 20).value is None


def test_no_run_crosses_rows() -> None:
    rows = verbatim.RowWords.of([(0, "a b c d"), (1, "e f g h")])
    assert verbatim.copied("", "a b c d e f g h", rows, 6).value == 4


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=90), st.data())
def test_a_copied_piece_has_its_length(row: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(row) - 1))
    piece = row[start : data.draw(st.integers(start + 1, len(row)))]
    rows = verbatim.RowWords.of([(0, " ".join(row))])
    found = verbatim.copied("", " ".join(piece), rows, 5)
    assert found.value == len(piece)


def test_own_checks(tmp_path: Path) -> None:
    found = own_check("emoji", "[🙂🙃]").say("", "so 🙂")
    assert (found.flagged, found.start, found.end) == (True, 3, 4)
    file = tmp_path / "mine.py"
    file.write_text(
        "def n(prompt, response): return len(response)\n"
        "def yes(prompt, response): return True, 'because'\n"
        "def none(prompt, response): return None\n"
        "def bad(prompt, response): return 'x'\n"
        "def breaks(prompt, response): return 1 / 0\n"
    )
    assert own_check("n", f"{file}:n").say("", "abc").value == 3
    assert own_check("n", f"{file}:n").say("", "abc").flagged is None
    assert own_check("y", f"{file}:yes").say("", "").reason == "because"
    assert own_check("o", f"{file}:none").say("", "").value is None
    for wrong in ("bad", "breaks"):
        with pytest.raises(ConfigError, match="--check w"):
            own_check("w", f"{file}:{wrong}").say("", "")
    before = own_check("n", f"{file}:n").input.id
    file.write_text("def n(prompt, response): return 0\n")
    assert own_check("n", f"{file}:n").input.id != before


@pytest.mark.parametrize(
    ("name", "given"),
    [("a b", "x"), ("x", "("), ("x", "missing.py:f"), ("", "x")],
)
def test_own_checks_that_cannot_be_made(name: str, given: str) -> None:
    with pytest.raises(ConfigError):
        own_check(name, given)


@pytest.mark.parametrize("said", HOSTILE)
def test_hostile_text_breaks_no_check(said: str) -> None:
    rows = verbatim.RowWords.of([(0, said)])
    for found in (
        endings.empty(said), repetition.loop(said, said), repetition.said_before(said),
        leaks.leak(said, said), json_asked.invalid_json("as JSON", said),
        refusals.refusal(said), language.wrong_language(said, said),
        verbatim.copied(said, said, rows, 20), personal.from_rows(said, said, {}),
    ):  # fmt: skip
        assert (found.value is None) == (found.flagged is None and found.reason is not None)


def test_real_answers_that_go_round_are_found(shared_data: Path) -> None:
    """Read by hand: of phi-2's own answers these go round in a circle, and these do not."""
    answers = json.loads((shared_data / "outputs/alpaca_eval/phi-2.json").read_text())
    loops = {r["instruction"]: repetition.loop(r["instruction"], r["output"]) for r in answers}
    shown = {asked for asked, found in loops.items() if found.flagged}
    assert "What happened to schrodinger's cat?" in shown
    assert 15 <= len(shown) <= 30
    assert "How did US states get their names?" not in shown


def test_an_expression_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SECONDS", 0.2)
    check = own_check("slow", "(a+)+$")
    assert check.say("q", "a" * 20).flagged
    with pytest.raises(ConfigError, match="repetition inside a repetition"):
        check.say("q", "a" * 60 + "!")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_function_of_two_minds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def f(p, r):\n    return None if not r else len(r) if r.isalpha() else True\n"
    )
    check = own_check("mixed", f"{tmp_path / 'mine.py'}:f")
    assert check.say("q", "").value is None
    assert check.say("q", "word").value == 4
    with pytest.raises(ConfigError, match="return one kind"):
        check.say("q", "42")


def test_a_file_that_leaves_the_program_is_no_check(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(ConfigError, match="stops with SystemExit"):
        own_check("leaves", f"{tmp_path / 'mine.py'}:f")
