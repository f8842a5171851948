"""The judge's two blocks: what is said of models, of the judge, and of what is not known."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from aftertune.judge import assess
from aftertune.judge import run as stage
from aftertune.judge.config import AssessConfig, JudgeConfig
from aftertune.progress import Silent
from aftertune.report import control_charts
from aftertune.report.blocks.judge import block
from aftertune.report.blocks.judge_belief import block as believe_block
from aftertune.report.blocks.shape import checked
from made_answers import answers

N = 60


def about(folder: Path, kind: str) -> dict[str, Any]:
    """control-judge of two models: `rich` has repeats, pairs and people, `poor` next to nothing."""
    chance = random.Random(0)
    texts = {m: {n: "word " * chance.randint(1, 60) for n in range(N)} for m in ("a", "b")}
    given = {m: answers(folder, m, texts[m], task=[["do", "say"][0]]) for m in texts}
    lines: list[dict[str, Any]] = []
    ratings: list[dict[str, Any]] = []
    for n in range(N):
        for model in ("a", "b"):
            good = chance.choice([1, 2, 3]) + (model == "a")
            one = {"response_id": f"{model}-{n}", "aspect": "depth", "judge": "J"}
            for _ in range(2 if kind == "rich" else 1):
                score = min(5, good + chance.choice([0, 1, 1]))
                lines.append({**one, "score": score if kind == "rich" or n < 9 else "bad"})
            ratings.append({**one, "annotator": "ann", "value": good})
        pair = {"aspect": "depth", "judge": "J", "response_id": f"a-{n}",
                "other_response_id": f"b-{n}"}  # fmt: skip
        if kind == "rich":
            lines.append({**pair, "presentation": "first", "score": 1})
            lines.append({**pair, "presentation": "second", "score": chance.choice([0, 1])})
    (folder / "v.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, chance.sample(ratings, 80))))
    config = JudgeConfig(verdicts=str(folder / "v.jsonl"), aspects=("depth",))
    made = stage.run(stage.prepare(config, given), folder / "out", Silent())
    people = str(folder / "r.jsonl") if kind == "rich" else None
    asked = AssessConfig(people=people)
    return dict(assess.run(asked, made, given, folder / "out", Silent()).about)


def test_a_judge_with_everything(tmp_path: Path) -> None:
    found = about(tmp_path, "rich")
    one, other = checked(block(found)), checked(believe_block(found))
    said = " ".join(one["sentences"])
    assert "0 of 360 verdicts (0%) have no score" in said  # 2 x 60 twice, and 60 pairs twice
    assert "a against b: above b on depth (" in said
    assert "it is preferred; a wins" in said
    assert one["picture"]["names"] == ["a", "b"]
    assert [panel["title"] for panel in one["picture"]["panels"]] == ["depth"]
    believed = " ".join(other["sentences"])
    assert "it gave the same score in" in believed
    assert "it prefers what stands first" in believed
    assert "the judge is too generous by" in believed
    assert "agreement with a person is" in believed
    assert len(other["picture"]["rows"]) == 4
    for made in (one, other):
        assert control_charts.picture({**made, "style": None, "key": "judge/a and b"})
    assert other["table"]["rows"][0][0] == "depth"
    assert "–" not in other["table"]["rows"][0][:6]
    assert any("drawn at random" in caution for caution in other["cautions"])


def test_a_judge_with_next_to_nothing(tmp_path: Path) -> None:
    found = about(tmp_path, "poor")
    one, other = checked(block(found)), checked(believe_block(found))
    assert "102 of 120 verdicts (85.0%) have no score" in one["sentences"][0]
    assert any("85.0%" in caution for caution in one["cautions"])
    assert any("the score is not a number (102)" in caution for caution in one["cautions"])
    believed = " ".join(other["sentences"])
    assert "--repeats 2 tells" in believed
    assert "--for-people 100" in believed
    assert other["picture"] is None
    assert any("Order bias is not known" in caution for caution in other["cautions"])
    assert other["table"]["rows"][0][1:4] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.1, 0.3, "poor"), (-0.1, 0.5, "no better than chance"), (0.5, 0.9, "0.40 [0.50, 0.90]")],
)
def test_an_agreement_has_its_word(tmp_path: Path, low: float, high: float, words: str) -> None:
    found = about(tmp_path, "rich")
    found["found"]["repeats"]["depth"]["agreement"] |= {
        "estimate": 0.4, "low": low, "high": high,
    }  # fmt: skip
    said = believe_block(found)["sentences"][0]
    assert words in said
    assert ("poor" in said) == (words == "poor")


def test_without_any_score_nothing_is_claimed(tmp_path: Path) -> None:
    found = about(tmp_path, "poor")
    for one in found["found"]["differences"]:
        one |= {"estimate": None, "low": None, "high": None, "reason": "no values"}
    one = checked(block(found))
    assert "undecided on depth (no values)" in one["sentences"][1]
