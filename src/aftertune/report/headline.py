"""One line per tuned model for the terminal. Pure."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

COLUMNS = (
    "model", "rate", "mean KL [95% interval]", "floor", "unshifted", "marginal", "shifted",
    "base prob", "base rank", "tokens",
)  # fmt: skip


def headline(name: str, about: Mapping[str, Any]) -> list[str]:
    """The cells of COLUMNS for one model, from its shift artefact's `about`.

    KL is KL(tuned from base) in nats per token, the floor what the same weights give against
    themselves. A base that read its prompts under a template of its own is named beside it.
    """
    other = about.get("base_template")
    summary, floor = about["summary"], about["noise"]["floor_nats"]
    kl = summary["kl_tuned_base_nats"]["per_token"]
    shares = [summary["categories"][c]["share"] for c in ("unshifted", "marginal", "shifted")]
    return [
        f"{name} (base under {other['name']})" if other else name,
        numbers.rate((about.get("tuning") or {}).get("learning_rate")),
        f"{numbers.nats(kl['estimate'])} {numbers.interval(kl)}".strip(),
        numbers.nats(floor) if floor is not None else numbers.NONE,
        *(numbers.percent(share["estimate"]) for share in shares),
        numbers.percent(summary["base_prob_of_tuned_argmax"]["per_token"]["estimate"]),
        numbers.decimal(summary["base_rank_of_tuned_argmax"]["per_token"]["estimate"]),
        numbers.count(summary["n_tokens"]),
    ]
