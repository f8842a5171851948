"""Answers of a model that is spread over devices: the same artefact, wherever its layers lie."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.progress import Silent
from aftertune.respond.config import RespondConfig
from aftertune.respond.run import run

MakePrompts = Callable[[list[dict[str, Any]]], Artefact]
SPREAD: dict[str, int | str] = {
    "model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu",
    "model.layers.1": "disk", "model.norm": "cpu", "lm_head": "cpu",
}  # fmt: skip


def test_a_device_map_is_recorded_and_names_no_other_artefact(
    tiny_llama: Path, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    prompts = make_prompts([{"instruction": "Name the capital."}, {"instruction": "Who?"}])

    def answered(out: Path, device_map: dict[str, int | str] | None) -> Artefact:
        config = RespondConfig(model=str(tiny_llama), max_new_tokens=6, device_map=device_map)
        return run(config, prompts, out, Silent())

    whole, spread = answered(tmp_path / "a", None), answered(tmp_path / "b", SPREAD)
    assert whole.id == spread.id
    assert whole.table("responses").equals(spread.table("responses"))
    assert (whole.config["device_map"], spread.config["device_map"]) == (None, SPREAD)
