"""What is known of each model apart from its numbers: from manifests to plain facts (pure)."""

import re
from collections.abc import Mapping
from typing import Any

Facts = dict[str, Any]
Manifest = Mapping[str, Any]

_ARTEFACT = re.compile(r"[a-z][a-z-]*-[0-9a-f]{16}")  # the name of its folder


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
        "base_precision": _precision(about),
        "base_template": (about.get("base_template") or {}).get("name"),
        "same_stop": about.get("same_stop"),
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


def _precision(about: Mapping[str, Any]) -> str:
    """In how many bits the base was stored and computed with: rounding is no tuning."""
    found = (about.get("precision") or {}).get("base")
    if found is None:
        return str(about["dtype"])
    rounded = found["quantised"]
    if rounded:
        kind = " ".join(str(rounded[key]) for key in ("by", "type") if rounded[key])
        bits = f"{rounded['bits']:g} bits" if rounded["bits"] else "few bits"
        stored = f"stored in {bits} ({kind})" if kind else f"stored in {bits}"
    else:
        stored = f"stored as {found['stored_dtype']}" if found["stored_dtype"] else ""
    return ", ".join(part for part in (stored, f"computed in {found['computed_in']}") if part)


def short_place(place: str) -> str:
    """What a path leads to: the artefact, or its last part.

    The rest says where somebody keeps their files. What has one slash may be a model on a hub.

    >>> short_place("out/tune-0123456789abcdef/model"), short_place("/home/me/mine")
    ('tune-0123456789abcdef', 'mine')
    >>> short_place("org/name"), short_place("runs/7/mine"), short_place("embedded:some")
    ('org/name', 'mine', 'embedded:some')
    """
    parts = place.replace("\\", "/").rstrip("/").split("/")
    for part in reversed(parts):
        if _ARTEFACT.fullmatch(part):
            return part
    is_path = place.startswith(("/", "./", "../", "~", "\\\\")) or place[1:3] in (":\\", ":/")
    return parts[-1] if is_path or len(parts) > 2 else "/".join(parts)


def stability(checked: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many greedy answers other batches changed; None where nothing was compared."""
    if not checked.get("checked"):
        return None
    names = ("dtype", "n_answers", "n_differ", "n_below_noise", "margin_max", "noise_max")
    return {name: checked.get(name) for name in names}
