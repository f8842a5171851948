"""Texts that a model reads: how well it predicts them, in nats per token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aftertune.artefact import Input, hash_file
from aftertune.data.encode import encode
from aftertune.errors import InputError
from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states

WINDOW = 256  # tokens read at once
MOST_WINDOWS = 400  # of one text
_BATCH = 4  # windows in one pass
_LOGITS = 2**24  # numbers of logits held at once


def inputs(paths: Sequence[Path]) -> list[Input]:
    """The texts as inputs of a stage; raises InputError for one that is not there."""
    found = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"there is no text {path}; check the path of --texts.")
        _text(path)  # what cannot be read is said before anything is asked
        sha256 = hash_file(path)
        found.append(Input(f"text {path.name}", sha256, sha256, str(path)))
    if len({one.name for one in found}) < len(found):
        raise InputError("two of --texts have one file name; give each its own.")
    return found


def losses(path: Path, loaded: Loaded) -> list[dict[str, Any]]:
    """Rows of the table `text_loss`: windows of 256 tokens, the first 400 of them.

    Nothing predicts a window's first token. Raises InputError for a text without two tokens.
    """
    text = _text(path)
    # tokenising a whole book to read its beginning would take minutes
    ids = encode(text[: 8 * WINDOW * MOST_WINDOWS], loaded.tokenizer, first=True)[0]
    size = min(WINDOW, loaded.facts["context_length"] or WINDOW)
    windows = [ids[at : at + size] for at in range(0, len(ids), size)][:MOST_WINDOWS]
    windows = [window for window in windows if len(window) > 1]
    if not windows:
        raise InputError(f"{path} has fewer than two tokens; give a longer text.")
    head = Head.of(loaded.model)
    found = []
    for at in range(0, len(windows), _BATCH):
        batch = windows[at : at + _BATCH]
        states = hidden_states(loaded.model, batch, [1] * len(batch))
        for place, (window, state) in enumerate(zip(batch, states, strict=True), start=at):
            loss = float(token_losses(head, state, window[1:]).double().sum())
            found.append({"text": path.name, "window": place, "n_tokens": len(window) - 1,
                          "loss_nats": loss})  # fmt: skip
    return found


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    if not text.strip():
        raise InputError(f"{path} is empty; give a text that can be read.")
    return text


def token_losses(head: Head, states: Tensor, targets: Sequence[int]) -> Tensor:
    """Negative log-probability of N targets from their states [N, H]: [N], nats, on the CPU."""
    chunk = max(1, min(256, _LOGITS // head.weight.shape[0]))
    wanted = torch.tensor(list(targets))
    found = [torch.empty(0)]
    with torch.no_grad():
        for at in range(0, len(wanted), chunk):
            logits = head.logits(states[at : at + chunk])
            aims = wanted[at : at + chunk].to(logits.device)
            found.append(nn.functional.cross_entropy(logits, aims, reduction="none").cpu())
    return torch.cat(found)
