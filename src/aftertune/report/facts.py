"""What is known of each model apart from its numbers: from manifests to plain facts (pure)."""

from collections.abc import Mapping
from typing import Any

Facts = dict[str, Any]
Manifest = Mapping[str, Any]


def model_facts(shift: Manifest, respond: Manifest, tune: Manifest | None) -> Facts:
    """Facts of one tuned model and its base; None where nobody knows.

    What the tuning run itself recorded (`tune`) goes before what the checkpoint's folder said
    when it was scored.
    """
    about = shift["about"]
    base, tuned = about["models"]["base"], about["models"]["tuned"]
    recorded = tune["config"]["resolved"] if tune else {}
    tuning = {**(about.get("tuning") or {}), **recorded}
    asked = respond["config"]["resolved"]
    adapter = tuned["facts"].get("adapter") or {}
    method = tuning.get("method") or ("lora" if adapter else None)
    rank = adapter.get("rank") or tuning.get("rank") or tuning.get("lora_rank")
    return {
        "base": short_place(base["spec"]),
        "base_id": base["id"],
        "base_note": base["facts"]["note"],
        "tuned": short_place(tuned["spec"]),
        "method": method,
        "learning_rate": tuning.get("learning_rate"),
        "rank": None if method == "full" else rank,
        "epochs": tuning.get("epochs"),
        "batch_size": tuning.get("batch_size"),
        "dtype": about["dtype"],
        "rescored": about.get("rescored"),
        "text_of": _others(about),
        "sampled": asked.get("temperature") is not None,
        "given": "source" in asked,
        "stability": stability(respond["about"].get("stability") or {}),
    }


def _others(about: Mapping[str, Any]) -> list[str]:
    """Whose answers were scored, where they are not the tuned model's own."""
    scored = list(about["text"]["models"])
    return [] if scored == [about["name"]] else scored


def short_place(place: str) -> str:
    """A path's last part, because the rest says where somebody keeps their files."""
    is_path = place.startswith(("/", "./", "../", "~", "\\\\")) or place[1:3] in (":\\", ":/")
    return place.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if is_path else place


def stability(checked: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many greedy answers other batches changed; None where nothing was compared."""
    if not checked.get("checked"):
        return None
    names = ("dtype", "n_answers", "n_differ", "n_below_noise", "margin_max", "noise_max")
    return {name: checked.get(name) for name in names}
