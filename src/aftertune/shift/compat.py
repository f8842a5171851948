"""Lin et al.'s truncated measures, for setting older numbers beside ours and for nothing else.

Lin et al., "The Unlocking Spell on Base LLMs", ICLR 2024, and its public code (AlignTDS, run with
k = 30) keep only each model's k largest logits. What is computed from those two short lists is
not the shift of `metrics`, so every name here begins with `lin2024_top30_` (with the k used):

    p, q    each model's k largest logits under a softmax over its OWN list
    kl      sum of p log(p / q) over the tokens in both lists, base first
    rank    place of the tuned model's first token in the base's list

The lists differ, so p and q over the shared tokens do not sum to 1: `kl` is no divergence. It may
be negative, it falls when the lists have less in common, and it is 0 where their code finds no
shared token at all; here that is absent. `shared_kl` is the other reading of "truncated and
renormalised": the same tokens, both models renormalised on them, a true divergence of what is
left. The published figures were not made by it.

What still differs from their files:
- They count ranks from 0 and write their own `top_k` argument (50 in the script behind their
  curves, 10 in that behind their pages) for a token that is not in the list; we count from 1 and
  write k + 1, which is to be shown as ">30", and a mean over it is a lower bound.
- They write probability 0 for such a token; here it is absent.
- They match tokens by their decoded text, by which two ids can become one; we match ids.
- Equal logits stand in the order of their ids; theirs in the order that the sort left them.
- Their base read another template than the tuned model, and their logits were 16 bit wide.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from aftertune.shift.categories import FIRST_RANK
from aftertune.shift.common import CommonIds
from aftertune.shift.metrics import ABSENT, category_of
from aftertune.shift.ranks import block_maxima, top

K = 30  # tokens of each model that their runs kept


def prefix(k: int = K) -> str:
    """What every name begins with."""
    return f"lin2024_top{k}_"


def note(k: int = K) -> str:
    """What must stand beside these numbers wherever they are shown."""
    return (
        f"Compatibility with Lin et al. (2024): from the {k} largest logits of each model alone, "
        "base first, each renormalised over its own list; it can be negative, it is no KL "
        "divergence, and it compares with their numbers only."
    )


def compat_metrics(
    base_logits: Tensor,
    tuned_logits: Tensor,
    k: int = K,
    common: Tensor | CommonIds | None = None,
) -> dict[str, Tensor]:
    """Lin et al.'s measures of N positions; all names begin with `prefix(k)`.

    base_logits [N, Vb], tuned_logits [N, Vt], float32. common: the ids that both vocabularies
    share, as in `position_metrics`; the lists are taken from these. Returns tensors [N]:

    - kl_base_tuned_nats: as published, see above. NaN where no token is in both lists.
    - shared_kl_base_tuned_nats: of the same tokens, renormalised on them; not as published.
    - n_shared: tokens that stand in both lists with a probability above 0 (int64).
    - base_rank_of_tuned_argmax: 1 to k, or k + 1 for "not in the list"; ABSENT (0) where the
      tuned argmax is not a common id.
    - base_prob_of_tuned_argmax: renormalised over the base's list; NaN where not in it.
    - category: of that rank, as an index into CATEGORIES plus 1. Ties apart it is the exact one.

    NaN or +inf among the logits makes the floats NaN. Raises TypeError for other dtypes,
    ValueError for a k too small to tell the categories apart.
    """
    if base_logits.dtype != torch.float32 or tuned_logits.dtype != torch.float32:
        raise TypeError("logits must be float32: a softmax in a shorter type rounds the shift away")
    if k < FIRST_RANK[-1] - 1:
        raise ValueError(f"k is {k}, but marginal ranks go to {FIRST_RANK[-1] - 1}")
    if not isinstance(common, CommonIds):
        sizes = base_logits.shape[1], tuned_logits.shape[1]
        common = CommonIds.of(common, *sizes, base_logits.device)
    with torch.no_grad():
        base, tuned = common.inside(base_logits), common.inside(tuned_logits)
        base_list = top(base, block_maxima(base), k)
        tuned_list = top(tuned, block_maxima(tuned), k)
        base_log = base.gather(1, base_list).double().log_softmax(1)
        tuned_log = tuned.gather(1, tuned_list).double().log_softmax(1)
        found = _divergences(base_list, tuned_list, base_log, tuned_log)
        known = _argmax_is_common(tuned_logits, tuned_list[:, 0], common)
        found |= _first_choice(base_list, tuned_list[:, 0], base_log, known, k)
    return {
        prefix(k) + name: values.float() if values.is_floating_point() else values
        for name, values in found.items()
    }


def absent_counts(metrics: Mapping[str, Tensor], k: int = K) -> dict[str, dict[str, int]]:
    """Name -> {reason: positions} for every value that `compat_metrics` could not give."""
    rank = metrics[prefix(k) + "base_rank_of_tuned_argmax"]
    apart = {f"no token is in both top-{k} lists": metrics[prefix(k) + "n_shared"] == 0}
    outside = {"the tuned argmax is outside the common vocabulary": rank == ABSENT}
    beyond = {f"the tuned argmax is not in the base's top-{k} list": rank > k}
    reasons = {
        "kl_base_tuned_nats": apart,
        "shared_kl_base_tuned_nats": apart,
        "base_rank_of_tuned_argmax": outside,
        "base_prob_of_tuned_argmax": outside | beyond,
        "category": outside,
    }
    counted = {
        prefix(k) + name: {why: int(where.sum()) for why, where in cases.items() if where.any()}
        for name, cases in reasons.items()
    }
    return {name: cases for name, cases in counted.items() if cases}


def _divergences(
    base_list: Tensor, tuned_list: Tensor, base_log: Tensor, tuned_log: Tensor
) -> dict[str, Tensor]:
    """Both sums over the shared tokens, from lists [N, K] and their log-probabilities."""
    same = base_list[:, :, None] == tuned_list[:, None, :]
    # the tuned model's log-probability of the token at each place of the base's list
    tuned_log = tuned_log.gather(1, same.float().argmax(2))
    shared = same.any(2) & (base_log.exp() > 0) & (tuned_log.exp() > 0)
    n_shared = shared.sum(1)
    own = _sum_over(shared, base_log, tuned_log)
    base_mass, tuned_mass = (
        torch.where(shared, log, -torch.inf).logsumexp(1, keepdim=True)
        for log in (base_log, tuned_log)
    )
    renormalised = _sum_over(shared, base_log - base_mass, tuned_log - tuned_mass).clamp(min=0)
    some = n_shared > 0
    return {
        "kl_base_tuned_nats": torch.where(some, own, torch.nan),
        "shared_kl_base_tuned_nats": torch.where(some, renormalised, torch.nan),
        "n_shared": n_shared,
    }


def _sum_over(shared: Tensor, base_log: Tensor, tuned_log: Tensor) -> Tensor:
    """[N]: sum of p log(p / q) over the shared tokens, of log-probabilities [N, K]."""
    terms = base_log.exp() * (base_log - tuned_log)
    return torch.where(shared, terms, 0.0).sum(1)


def _argmax_is_common(tuned_logits: Tensor, first: Tensor, common: CommonIds) -> Tensor:
    """Whether the lowest of the tuned model's best ids is the best common one, at place `first`."""
    if common.tuned_outside.numel() == 0:
        return torch.ones_like(first, dtype=torch.bool)
    best = top(tuned_logits, block_maxima(tuned_logits), 1)[:, 0]
    return best == common.ids(first)


def _first_choice(
    base_list: Tensor, first: Tensor, base_log: Tensor, known: Tensor, k: int
) -> dict[str, Tensor]:
    """Rank, probability and category of the place `first` [N] in the base's list [N, K]."""
    at = base_list == first[:, None]
    listed = at.any(1) & known
    place = at.float().argmax(1)
    rank = torch.where(listed, place + 1, k + 1)
    rank = torch.where(known, rank, ABSENT)
    prob = base_log.gather(1, place[:, None]).squeeze(1).exp()
    return {
        "base_rank_of_tuned_argmax": rank,
        "base_prob_of_tuned_argmax": torch.where(listed, prob, torch.nan),
        "category": category_of(rank),
    }
