"""Real stages before it: what they write is what the report reads."""

import json
import re
from pathlib import Path

from aftertune.data.config import PromptsConfig
from aftertune.data.run import run_prompts
from aftertune.progress import Silent
from aftertune.report.config import ReportConfig
from aftertune.report.run import ReportInputs, ReportModel, figures, run
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run as respond
from aftertune.shift.config import ShiftConfig
from aftertune.shift.run import run as shift


def test_from_prompts_to_the_page(tmp_path: Path, tiny_llama: Path, tiny_llama_other: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    questions = ["Who wrote the play?", "How do I boil an egg?", "Name the capital 🙂"]
    source.write_text("\n".join(json.dumps({"instruction": text}) for text in questions))
    out, progress = tmp_path / "out", Silent()
    prompts = run_prompts(PromptsConfig(source=str(source)), out, progress)
    tuned, base = str(tiny_llama_other), str(tiny_llama)
    answers = respond(
        RespondConfig(model=tuned, max_new_tokens=8, name="other"), prompts, out, progress
    )
    asked = ShiftConfig(base=base, tuned=tuned, name="other", base_template="raw", lin2024=True)
    moved = shift(asked, answers, out, progress)
    itself = shift(ShiftConfig(base=tuned, tuned=tuned, name="itself"), answers, out, progress)
    inputs = ReportInputs(
        [ReportModel("other", moved, answers), ReportModel("itself", itself, answers)],
        None,
        prompts,
    )
    folder = run(ReportConfig(), inputs, out, progress).folder
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    said = found["conclusion"]["findings"]
    assert said[0].startswith("other lies a mean KL(tuned from base) of")
    assert said[1].startswith("itself did not move: KL(tuned from base) is 0 at every one of")
    assert said[2].startswith("other moved further than itself")
    assert found["models"][0]["learning_rate"] is None
    assert found["models"][0]["n_answers"] == 3
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "no KL divergence, and it compares with their numbers only" in page
    assert "the base read its prompts under the template raw" in page
    assert found["models"][0]["frequent"]["shifted"]["words"] is not None
    assert not re.search(r'"#\d+"', page)  # every preferred token has its piece
    assert not [line for line in progress.warnings if "shown as ids" in line]
    assert str(tmp_path) not in page
    assert list(figures(inputs)) == ["moved", "shares", "along", "sentences"]
