"""The same columns the plain way: float64, whole rows, one position after another, sorted ranks."""

import math

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def plain_metrics(base, tuned, token, common=None, top_k=5):
    """One position: base [Vb], tuned [Vt], a token id -> the columns as Python values."""
    base, tuned = np.asarray(base, np.float64), np.asarray(tuned, np.float64)
    if common is None:
        common = range(min(len(base), len(tuned)))
    common = sorted(common)
    place = {token_id: i for i, token_id in enumerate(common)}
    base_logs, tuned_logs = logs(base[common]), logs(tuned[common])
    p, q = np.exp(base_logs), np.exp(tuned_logs)
    argmax = int(np.argmax(tuned))  # numpy gives the first
    inside, known = argmax in place, token in place
    rank = rank_of(base, common, argmax) if inside else None
    return {
        "base_logprob": float(base_logs[place[token]]) if known else None,
        "tuned_logprob": float(tuned_logs[place[token]]) if known else None,
        "base_rank": rank_of(base, common, token) if known else None,
        "tuned_rank": rank_of(tuned, common, token) if known else None,
        "tuned_argmax": argmax,
        "is_tuned_argmax": argmax == token,
        "base_rank_of_tuned_argmax": rank,
        "rank_ties": int((base[common] == base[argmax]).sum()) - 1 if inside else None,
        "base_prob_of_tuned_argmax": float(p[place[argmax]]) if inside else None,
        "category": None if rank is None else 1 if rank == 1 else 2 if rank <= 3 else 3,
        "kl_tuned_base_nats": kl(tuned_logs, base_logs),
        "kl_base_tuned_nats": kl(base_logs, tuned_logs),
        "js_nats": (kl_of_probs(p, (p + q) / 2) + kl_of_probs(q, (p + q) / 2)) / 2,
        "base_entropy_nats": entropy(p),
        "tuned_entropy_nats": entropy(q),
        "base_top_ids": first(base, common, top_k),
        "tuned_top_ids": first(tuned, common, top_k),
        "base_top_probs": [float(p[place[i]]) for i in first(base, common, top_k)],
        "tuned_top_probs": [float(q[place[i]]) for i in first(tuned, common, top_k)],
        "base_mass_outside_common": outside(base, common),
        "tuned_mass_outside_common": outside(tuned, common),
    }


def logs(logits):
    peak = logits.max()
    return logits - peak - math.log(math.fsum(np.exp(logits - peak)))


def kl(of, against):
    """KL(of from against) of log-probabilities: an id at -inf counts, and one at -800 too."""
    possible = of > -math.inf
    of, against = of[possible], against[possible]
    return math.inf if (against == -math.inf).any() else math.fsum(np.exp(of) * (of - against))


def kl_of_probs(p, m):
    p, m = p[p > 0], m[p > 0]
    return math.fsum(p * np.log(p / m))


def entropy(p):
    return -math.fsum(p[p > 0] * np.log(p[p > 0]))


def first(logits, ids, k):
    return sorted(ids, key=lambda i: (-logits[i], i))[:k]


def rank_of(logits, ids, one):
    return 1 + int((logits[ids] > logits[one]).sum())


def outside(logits, common):
    rest = sorted(set(range(len(logits))) - set(common))
    return math.fsum(np.exp(logs(logits))[rest])


def logits64(folder, sequence):
    """All logits [T, V] of one sequence in a plain float64 pass."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        return model(torch.tensor([sequence])).logits[0].numpy()
