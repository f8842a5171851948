"""Every number of the `tokens` table from two rows of logits per position (pure torch).

For each position there are the base's logits and the tuned model's. Both distributions are
renormalised over the ids that the two vocabularies have in common, and what lies outside is
kept as a mass. All sums run over the full common vocabulary; nothing is truncated.

    base p, tuned q    KL(tuned from base) = sum q log(q / p)    H(p) = - sum p log p
                       JS = H((p + q) / 2) - (H(p) + H(q)) / 2
    rank of an id = 1 + the number of ids with a strictly larger logit

How it stays exact and fast at once:
- A few positions at a time, so that the rows in work stay in the processor's cache.
- Powers of two instead of e, which cost a third; nats come back by a factor.
- Plain `.sum`, which is pairwise; as dot products the same sums lose three digits. Over runs of
  ids first, so that a position's sums do not depend on the others or on the number of threads.
- KL is the sum over differences of logits, so that it does not cancel where it is small.
- The rare row on which that arithmetic fails (a masked id: 0 times infinity) is done again in
  float64 with its limits taken properly.
"""

from collections.abc import Callable
from math import log

import torch
from torch import Tensor

from aftertune.shift.categories import FIRST_RANK
from aftertune.shift.common import CommonIds
from aftertune.shift.ranks import block_maxima, count, peak, top

ABSENT = 0  # a rank or a category that cannot be given; an absent float is NaN

CHUNK = 8  # positions in work at once on a CPU
_RUN = 512  # ids that are summed up in one go
_LN2 = log(2.0)
_TINY = 1e-37  # keeps 0 log 0 at 0; over a whole vocabulary it adds less than 1e-29
_SUMS = (
    "base_peak", "tuned_peak", "base_z", "tuned_z", "base_x", "tuned_y", "base_d", "tuned_d",
    "both",
)  # fmt: skip

Sums = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def position_metrics(
    base_logits: Tensor,
    tuned_logits: Tensor,
    token_ids: Tensor,
    common: Tensor | CommonIds | None = None,
    top_k: int = 5,
    sums: Sums | None = None,
) -> dict[str, Tensor]:
    """Every numeric column of the `tokens` table for N positions.

    base_logits [N, Vb] and tuned_logits [N, Vt], float32: what each model predicts at a position.
    token_ids [N]: the token that stands there. common: the ids that both vocabularies share
    (None: all that both rows have). Returns tensors [N] named as in `schema.TOKENS`, and
    `{base,tuned}_top_{ids,probs}` [N, min(top_k, C)]. Floats are float32, ranks and ids int64;
    `category` is an index into CATEGORIES plus 1. sums: another callable for `chunk_sums`, as
    torch.compile makes one of it (docs/benchmarks.md says what that brings).

    - Ranks, log-probabilities and tops are over the common ids, probabilities renormalised.
    - `tuned_argmax` is the lowest of the tuned model's ids with its largest logit, over *all* of
      its ids. Where it is not a common id, its rank and probability in the base are absent.
    - `rank_ties` counts the *other* ids whose base logit equals that of the tuned argmax.
    - A token that is not a common id has no log-probability and no rank in either model.
    - KL is infinite where one model gives exactly 0 to what the other does not.
    - Absent ranks are 0, absent floats NaN. NaN or +inf among the logits makes the floats NaN.

    Identical rows give exactly 0 for both KL and JS. Errors against float64 stay under 1e-5
    nats, and under 1e-6 of the value where that is larger.
    """
    if base_logits.dtype != torch.float32 or tuned_logits.dtype != torch.float32:
        raise TypeError("logits must be float32: a softmax in a shorter type rounds the shift away")
    if not isinstance(common, CommonIds):
        sizes = base_logits.shape[1], tuned_logits.shape[1]
        common = CommonIds.of(common, *sizes, base_logits.device)
    with torch.no_grad():
        ids = token_ids.long()
        return _metrics(base_logits, tuned_logits, ids, common, top_k, sums or chunk_sums)


def _metrics(
    base_logits: Tensor,
    tuned_logits: Tensor,
    token_ids: Tensor,
    common: CommonIds,
    top_k: int,
    of_chunk: Sums,
) -> dict[str, Tensor]:
    base, tuned = common.inside(base_logits), common.inside(tuned_logits)
    sums, base_maxima, tuned_maxima = _all_sums(base, tuned, of_chunk)
    base_top, tuned_top = top(base, base_maxima, top_k), top(tuned, tuned_maxima, top_k)
    numbers = _divergences(sums, base, tuned)
    base_logz = sums["base_peak"] + sums["base_z"].log()  # log of the sum of e^logit
    tuned_logz = sums["tuned_peak"] + sums["tuned_z"].log()

    places, inside = common.places(token_ids)
    numbers["base_logprob"] = _or_nan(_at(base, places) - base_logz, inside)
    numbers["tuned_logprob"] = _or_nan(_at(tuned, places) - tuned_logz, inside)
    numbers["base_rank"] = _rank(base, base_maxima, places, inside)[0]
    numbers["tuned_rank"] = _rank(tuned, tuned_maxima, places, inside)[0]

    argmax = _argmax(tuned_logits, common, common.ids(tuned_top[:, 0]), sums)
    places, inside = common.places(argmax)
    rank, ties = _rank(base, base_maxima, places, inside)
    numbers["tuned_argmax"] = argmax
    numbers["is_tuned_argmax"] = argmax == token_ids
    numbers["base_rank_of_tuned_argmax"], numbers["rank_ties"] = rank, ties
    numbers["base_prob_of_tuned_argmax"] = _or_nan((_at(base, places) - base_logz).exp(), inside)
    numbers["category"] = category_of(rank)

    for name, logits, best, logz in (
        ("base", base, base_top, base_logz),
        ("tuned", tuned, tuned_top, tuned_logz),
    ):
        numbers[f"{name}_top_ids"] = common.ids(best)
        numbers[f"{name}_top_probs"] = (logits.gather(1, best) - logz[:, None]).exp()
    outside = _mass_outside(base_logits, common.base_outside, base_logz)
    numbers["base_mass_outside_common"] = outside
    outside = _mass_outside(tuned_logits, common.tuned_outside, tuned_logz)
    numbers["tuned_mass_outside_common"] = outside
    return {name: x.float() if x.is_floating_point() else x for name, x in numbers.items()}


def category_of(rank: Tensor) -> Tensor:
    """Index into CATEGORIES plus 1 from the base rank of the tuned argmax; ABSENT where that is."""
    code = sum((rank >= first).long() for first in FIRST_RANK)
    return torch.as_tensor(code)


def chunk_sums(base: Tensor, tuned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over the vocabulary for a few positions [N, V]: float32 [9, N] in the order of _SUMS,
    and both models' block maxima [N, V // 64].

    With x = (base logit - base_peak) log2(e), y likewise, and d = y - x:
    base_z = sum 2^x, base_x = sum 2^x x, base_d = sum 2^x d, tuned_z = sum 2^y,
    tuned_y = sum 2^y y, tuned_d = sum 2^y d,
    both = sum u ln u with u = 2^x + 2^y base_z / tuned_z.
    """
    base_maxima, tuned_maxima = block_maxima(base), block_maxima(tuned)
    base_peak, tuned_peak = peak(base, base_maxima), peak(tuned, tuned_maxima)
    x = (base - base_peak[:, None]).mul_(1 / _LN2)
    y = (tuned - tuned_peak[:, None]).mul_(1 / _LN2)
    p, q = torch.exp2(x), torch.exp2(y)
    base_z, tuned_z = _total(p), _total(q)
    base_x, tuned_y = _total(p * x), _total(q * y)
    d = y.sub_(x)
    base_d, tuned_d = _total(p * d), _total(q * d)
    u = torch.addcmul(p, q, (base_z / tuned_z)[:, None]).clamp_min_(_TINY)
    both = _total(u.log().mul_(u))
    row = [base_peak, tuned_peak, base_z, tuned_z, base_x, tuned_y, base_d, tuned_d, both]
    return torch.stack(row), base_maxima, tuned_maxima


def _all_sums(
    base: Tensor, tuned: Tensor, of_chunk: Sums
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """`of_chunk` of all positions, a few at a time, float64 [N] by name; both block maxima."""
    chunk = CHUNK if base.device.type == "cpu" else max(1, len(base))
    pairs = zip(torch.split(base, chunk), torch.split(tuned, chunk), strict=True)
    found, base_maxima, tuned_maxima = zip(*(of_chunk(*pair) for pair in pairs), strict=True)
    values = dict(zip(_SUMS, torch.cat(found, dim=1).double(), strict=True))
    return values, torch.cat(base_maxima), torch.cat(tuned_maxima)


def _total(values: Tensor) -> Tensor:
    """[N, V] -> [N]: first over runs of ids, then over the runs.

    In one step torch splits the row between threads where it is the only one, and a position
    would have another sum alone than beside others; and compiled sums, which are not pairwise,
    would lose more than a digit.
    """
    n, size = values.shape
    runs = size // _RUN
    total = values[:, : runs * _RUN].view(n, runs, _RUN).sum(2).sum(1)
    return total if runs * _RUN == size else total + values[:, runs * _RUN :].sum(1)


def _divergences(sums: dict[str, Tensor], base: Tensor, tuned: Tensor) -> dict[str, Tensor]:
    """Both KL, JS and both entropies in nats, float64 [N]; failed rows are done again."""
    base_z, tuned_z = sums["base_z"], sums["tuned_z"]
    base_entropy = base_z.log() - _LN2 * sums["base_x"] / base_z
    tuned_entropy = tuned_z.log() - _LN2 * sums["tuned_y"] / tuned_z
    log_ratio = base_z.log() - tuned_z.log()
    kl_tuned_base = (_LN2 * sums["tuned_d"] / tuned_z + log_ratio).clamp(min=0)
    kl_base_tuned = 0 - (_LN2 * sums["base_d"] / base_z + log_ratio).clamp(max=0)
    total = 2 * base_z  # what u sums to
    mixture_entropy = total.log() - sums["both"] / total
    # JS is at most a quarter of the two KL together (and ln 2): with these bounds rounding
    # cannot make a shift where there is none.
    bound = ((kl_tuned_base + kl_base_tuned) / 4).clamp(max=_LN2)
    js = torch.minimum((mixture_entropy - (base_entropy + tuned_entropy) / 2).clamp(min=0), bound)
    numbers = {
        "kl_tuned_base_nats": kl_tuned_base,
        "kl_base_tuned_nats": kl_base_tuned,
        "js_nats": js,
        "base_entropy_nats": base_entropy.clamp(min=0),
        "tuned_entropy_nats": tuned_entropy.clamp(min=0),
    }
    failed = ~torch.stack(list(numbers.values())).isfinite().all(0)
    for row in failed.nonzero().squeeze(1).tolist():
        for name, value in _carefully(base[row].double(), tuned[row].double()).items():
            numbers[name][row] = value
    return numbers


def _carefully(base: Tensor, tuned: Tensor) -> dict[str, Tensor]:
    """The same five numbers for one position [V] in float64, with 0 log 0 = 0 and ids at -inf."""
    base_log, tuned_log = base.log_softmax(0), tuned.log_softmax(0)
    mixture_log = torch.logaddexp(base_log, tuned_log) - _LN2
    to_base = _expectation(base_log, base_log - mixture_log)
    to_tuned = _expectation(tuned_log, tuned_log - mixture_log)
    return {
        "kl_tuned_base_nats": _expectation(tuned_log, tuned_log - base_log),
        "kl_base_tuned_nats": _expectation(base_log, base_log - tuned_log),
        "js_nats": (to_base + to_tuned) / 2,
        "base_entropy_nats": -_expectation(base_log, base_log),
        "tuned_entropy_nats": -_expectation(tuned_log, tuned_log),
    }


def _expectation(logprob: Tensor, value: Tensor) -> Tensor:
    """Sum of probability times value over the ids whose probability is not 0."""
    possible = logprob != -torch.inf  # NaN counts as possible, so that it is not hidden
    kept = value[possible]
    weight = logprob[possible].exp()
    return torch.where(kept.isinf(), kept, weight * kept).sum()


def _argmax(
    tuned_logits: Tensor, common: CommonIds, inside: Tensor, sums: dict[str, Tensor]
) -> Tensor:
    """Lowest id of the largest tuned logit over all ids; `inside` is that of the common ones."""
    if common.tuned_outside.numel() == 0:
        return inside
    logits = tuned_logits[:, common.tuned_outside]
    first = top(logits, block_maxima(logits), 1)[:, 0]
    outside, value = common.tuned_outside[first], _at(logits, first)
    most = sums["tuned_peak"]
    wins = (value > most) | ((value == most) & (outside < inside))
    return torch.where(wins, outside, inside)


def _rank(logits: Tensor, maxima: Tensor, places: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Rank of each row's place and how many others equal it; both ABSENT where not inside."""
    larger, equal = count(logits, maxima, _at(logits, places))
    return torch.where(inside, larger + 1, ABSENT), torch.where(inside, equal - 1, ABSENT)


def _mass_outside(logits: Tensor, outside: Tensor, logz: Tensor) -> Tensor:
    """Share [N] of the full distribution on the ids `outside`, from log z of the others."""
    if outside.numel() == 0:
        return torch.zeros_like(logz)
    rest = logits[:, outside].double().logsumexp(1)
    return (rest - logz).sigmoid()


def _at(logits: Tensor, places: Tensor) -> Tensor:
    """One logit per row: [N, V], [N] -> [N]."""
    return logits.gather(1, places[:, None]).squeeze(1)


def _or_nan(values: Tensor, present: Tensor) -> Tensor:
    return torch.where(present, values, torch.nan)
