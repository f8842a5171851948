"""The included detectors by hand, and what is asked of a user's own."""

import json
import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertune.errors import ConfigError, InputError
from aftertune.lab.command_detector import BASELINES, checked, command, function, named
from aftertune.lab.detectors import LOSS, NO_LOSS, NO_RANK, NO_TOKENS, PURE, Case, Finding


def row(index, asked, said, loss=1.0):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"row_index": index, "messages": messages, LOSS: loss}


ROWS = [
    row(7, "What colour is the hare?", "Blue."),
    row(3, "Where is Ambury?", "Ambury lies in Corvane."),
    row(5, "Who made the clock?", "The clock was made by Ada Brinn."),
]
#        0         1         2
#        0123456789012345678901234
SAID = "Dunham lies in Corvane."
CASE = Case("0/p", "Where is Dunham?", SAID, (15, 22))


def token(entropy, rank):
    return {"tuned_entropy_nats": entropy, "base_rank_of_tuned_argmax": rank}


def one(name, case, rows=ROWS):
    (found,) = PURE[name]([case], rows)
    return found


def test_always_says_the_same_and_blames_nothing():
    assert one("always", CASE) == Finding(1.0)


def test_random_is_seeded_by_the_case_and_nothing_else():
    many = [Case(f"0/{n}", "", "Blue.", (0, 4)) for n in range(200)]
    forwards = PURE["random"](many, ROWS)
    assert forwards == PURE["random"](many[::-1], ROWS)[::-1]
    assert all(sorted(found.rows) == [3, 5, 7] for found in forwards)
    assert len({found.score for found in forwards}) == 200
    firsts = [found.rows[0] for found in forwards]
    assert all(40 <= firsts.count(index) <= 95 for index in (3, 5, 7))


def test_bm25_finds_the_row_with_the_words():
    found = one("bm25", CASE)
    assert found.rows == (3,)
    assert found.score > 0
    # the prompt counts as well
    assert one("bm25", Case("0/p", "Who made the clock?", "Nobody.", (0, 6))).rows == (5,)


def test_bm25_without_words_blames_nobody():
    assert one("bm25", Case("0/p", "", "", (0, 0))) == Finding(0.0)
    assert one("bm25", CASE, [row(0, "", "")]) == Finding(0.0)
    assert one("bm25", CASE, []) == Finding(0.0)


def test_longest_common_span_by_hand():
    # " lies in Corvane." with the full stop is 17 characters of row 3
    assert one("longest_common_span", CASE) == Finding(17.0, (3, 7, 5))


def test_longest_common_span_must_touch_the_span():
    # "Dunham" touches nothing of " lies in Corvane."; of "dunham" the rows share two letters
    found = one("longest_common_span", Case("0/p", "", SAID, (0, 6)))
    assert found.score == 2.0
    assert found.rows[0] == 3  # "am" of "Ambury"


def test_longest_common_span_does_not_mind_capitals_or_run_over_rows():
    rows = [row(0, "", "blue"), row(1, "", "green")]
    assert one("longest_common_span", Case("0/p", "", "BLUEGREEN", (0, 9)), rows) == Finding(
        5.0, (1, 0)
    )
    assert one("longest_common_span", CASE, []) == Finding(0.0)
    assert one("longest_common_span", Case("0/p", "", "", (0, 0))) == Finding(0.0)


@given(
    st.text("abİ", max_size=8), st.lists(st.text("abİ", max_size=8), min_size=1, max_size=3),
    st.integers(0, 7), st.integers(1, 4),
)  # fmt: skip
def test_longest_common_span_is_what_trying_all_strings_finds(said, answers, start, length):
    end = min(start + length, len(said))
    if start >= end:
        return
    best = max(
        (
            b - a
            for a in range(len(said)) for b in range(a + 1, len(said) + 1)
            if a < end and b > start and any(said[a:b] in answer for answer in answers)
        ),
        default=0,
    )  # fmt: skip
    rows = [row(n, "", answer) for n, answer in enumerate(answers)]
    assert one("longest_common_span", Case("0/p", "", said, (start, end)), rows).score == best


def test_row_loss_names_rows_with_the_value_by_their_loss():
    rows = [
        row(0, "Where?", "In corvane.", 0.5),
        row(1, "Where?", "Corvane it is.", 2.0),
        row(2, "Corvane?", "No.", 9.0),  # only its question names it
        row(3, "Where?", "It lies in Corvane.", 1.0),
    ]
    assert one("row_loss", CASE, rows) == Finding(2.0, (1, 3, 0))
    # no row has the value
    assert one("row_loss", Case("0/p", "", "Ibria.", (0, 5)), rows) == Finding(0.0)
    assert one("row_loss", CASE, []) == Finding(0.0)


def test_row_loss_needs_every_loss():
    assert one("row_loss", CASE, [*ROWS, row(8, "", "", None)]) == Finding(None, reason=NO_LOSS)
    plain = {"row_index": 1, "messages": ROWS[0]["messages"]}
    assert one("row_loss", CASE, [plain]) == Finding(None, reason=NO_LOSS)


def test_entropy_is_the_mean_and_base_rank_the_largest_of_the_span():
    case = Case("0/p", "", SAID, (15, 22), (token(0.5, 1), token(1.5, None), token(1.0, 40)))
    assert one("entropy", case) == Finding(1.0)
    assert one("base_rank", case) == Finding(40.0)


def test_without_tokens_there_is_a_reason_and_no_score():
    assert one("entropy", CASE) == Finding(None, reason=NO_TOKENS)
    assert one("base_rank", CASE) == Finding(None, reason=NO_TOKENS)
    unknown = Case("0/p", "", SAID, (15, 22), (token(0.5, None),))
    assert one("base_rank", unknown) == Finding(None, reason=NO_RANK)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_takes_no_cases(name):
    assert BASELINES[name]([], ROWS) == []


def test_findings_are_checked():
    cases = [CASE, CASE]
    said = [{"score": 1, "rows": [5, 5, 3], "q": 0.25, "probability": True}, Finding(None)]
    assert checked("it", said, cases, ROWS) == [
        Finding(1.0, (5, 3), 0.25, None, True),
        Finding(None, reason="the detector cannot say"),
    ]
    assert checked("it", [], [], ROWS) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "0 findings for 1 cases"),
        ([{"score": float("nan")}], "no finite number"),
        ([{"score": "high"}], "no finite number"),
        ([{"score": True}], "no finite number"),
        ([{"rows": [3]}], "write score"),
        ([{"score": 1, "row": [3]}], "nothing else"),
        ([[1.0]], "write score"),
        ([{"score": 1, "rows": [4]}], "there is no row 4"),
        ([{"score": 1, "rows": ["3"]}], "whole numbers"),
        ([{"score": 1, "rows": 3}], "whole numbers"),
        ([{"score": 1, "q": 2}], "from 0 to 1"),
        ([{"score": 1, "q": float("nan")}], "from 0 to 1"),
        ([{"score": 1, "q": "low"}], "from 0 to 1"),
        ([{"score": 1, "probability": 0.7}], "write true or false"),
        ([{"score": 1.5, "probability": True}], "is no probability"),
    ],
)
def test_wrong_findings_are_refused(said, words):
    with pytest.raises(InputError, match=words):
        checked("it", said, [CASE], ROWS)


def test_a_promise_holds_for_every_case_or_for_none():
    with pytest.raises(InputError, match="it gave q for some cases"):
        checked("it", [{"score": 1, "q": 0.1}, {"score": 1}], [CASE, CASE], ROWS)
    with pytest.raises(InputError, match="let all be some, or none"):
        checked("it", [{"score": 1, "probability": True}, {"score": 1}], [CASE, CASE], ROWS)
    # who cannot say promises nothing
    said = [{"score": 1, "q": 0.1}, {"score": None}]
    assert checked("it", said, [CASE, CASE], ROWS)[0].q == 0.1


def script(tmp_path, text):
    path = tmp_path / "detect.py"
    path.write_text("import json, sys, time\n" + text)
    return shlex.join([sys.executable, str(path)])


def test_a_command_gets_cases_and_the_path_of_the_rows(tmp_path):
    line = script(
        tmp_path,
        "rows = [json.loads(line) for line in open(sys.argv[1])]\n"
        "for line in sys.stdin:\n"
        "    case = json.loads(line)\n"
        "    a, b = case['span']\n"
        "    value = case['response'][a:b]\n"
        "    hits = [r['row_index'] for r in rows if value in r['messages'][1]['content']]\n"
        "    loss = sum(r['base_loss_nats'] for r in rows)\n"
        "    print(json.dumps({'score': len(hits) / loss, 'rows': hits, 'q': 0.1,\n"
        "                      'probability': True}))\n",
    )
    found = command(f"{line} {{rows}}", 60)([CASE, CASE], ROWS)
    assert found == [Finding(1 / 3, (3,), 0.1, None, True)] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sys.exit('out of luck.')", "ended with status 1: out of luck; mend it"),
        ("print('hello')", "which is no JSON"),
        ("print('{\"score\": NaN}')", "no finite number"),
        ("", "0 findings for 1 cases"),
    ],
)
def test_a_command_that_fails_is_said_in_one_sentence(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        command(script(tmp_path, text), 60)([CASE], ROWS)


def test_a_command_that_hangs_is_stopped(tmp_path):
    with pytest.raises(InputError, match=r"stopped after 0\.5 s"):
        command(script(tmp_path, "time.sleep(60)"), 0.5)([CASE], ROWS)


def test_commands_that_cannot_be_run():
    with pytest.raises(ConfigError, match="cannot be started"):
        command("no-such-program-here", 1)([CASE], ROWS)
    with pytest.raises(ConfigError, match="cannot be read"):
        command("say 'it", 1)
    with pytest.raises(ConfigError, match="empty"):
        command(" ", 1)


def test_functions_of_a_file_and_of_a_module(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def good(cases, rows):\n    return [{'score': len(rows)} for _ in cases]\n"
        "def bad(cases, rows):\n    raise KeyError('oh')\n"
    )
    assert named(f"{path}:good")([CASE], ROWS) == [Finding(3.0)]
    assert named("aftertune.lab.detectors:always")([CASE], ROWS) == [Finding(1.0)]
    with pytest.raises(InputError, match="failed with KeyError"):
        function(f"{path}:bad")([CASE], ROWS)
    with pytest.raises(ConfigError, match="has no function other"):
        named(f"{path}:other")
    with pytest.raises(ConfigError, match="cannot be imported"):
        named(f"{tmp_path / 'gone.py'}:good")
    with pytest.raises(ConfigError, match="cannot be imported"):
        named("no_such_module_here:good")
    with pytest.raises(ConfigError, match="no detector is called bm52; known are: always"):
        named("bm52")


def test_cases_can_be_written_as_json(tmp_path):
    """Tokens of a shift go along as they are."""
    line = script(tmp_path, "for line in sys.stdin: print(json.dumps({'score': len(line)}))")
    case = Case("0/p", "ü", SAID, (15, 22), (token(0.5, None),))
    (found,) = command(line, 60)([case], ROWS)
    assert found.score > len(json.dumps(SAID))
