"""Top-k and ranks over a vocabulary without sorting it (pure torch).

Both look at the largest logit of each block of 64 ids, and then only into the blocks that can
matter: a rank of 7 lies in at most six blocks. The answers are exact, ties included: of equal
logits the lower place comes first.
"""

import torch
from torch import Tensor

BLOCK = 64
_PAIRS = 8192  # (position, block) pairs looked into at once: 2 MB of logits
_ROWS = 8  # whole rows looked into at once


def block_maxima(logits: Tensor) -> Tensor:
    """[N, V] -> [N, V // 64]: the largest logit of every full block; a rest is not covered."""
    return _blocks(logits).amax(-1)


def peak(logits: Tensor, maxima: Tensor) -> Tensor:
    """[N]: the largest logit of each row."""
    rest = logits[:, maxima.shape[1] * BLOCK :]
    return torch.cat([maxima, rest], dim=1).amax(1)


def top(logits: Tensor, maxima: Tensor, k: int) -> Tensor:
    """Places [N, min(k, V)] of the k largest logits, largest first, the lower place on ties.

    maxima: `block_maxima(logits)`. Among the k first blocks by their maxima are the k first
    ids: an id elsewhere has one id of each of those blocks before it.
    """
    n, size = logits.shape
    n_blocks = maxima.shape[1]
    blocks = _first(maxima, torch.arange(n_blocks, device=logits.device).expand(n, -1), k)
    within = torch.arange(BLOCK, device=logits.device)
    rest = torch.arange(n_blocks * BLOCK, size, device=logits.device).expand(n, -1)
    places = torch.cat([(blocks[:, :, None] * BLOCK + within).flatten(1), rest], dim=1)
    return _first(logits.gather(1, places), places, k)


def count(logits: Tensor, maxima: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """How many logits of each row are larger than threshold [N], and how many equal it: int64."""
    n_blocks = maxima.shape[1]
    bound = threshold[:, None]
    larger, equal = _larger_and_equal(logits[:, n_blocks * BLOCK :], bound)
    matters = maxima >= bound
    far = matters.sum(1) > n_blocks // 8  # deep in the vocabulary whole rows are cheaper
    for rows in torch.split(far.nonzero().squeeze(1), _ROWS):
        larger[rows], equal[rows] = _larger_and_equal(logits[rows], bound[rows])
    blocks = _blocks(logits)
    for part in torch.split((matters & ~far[:, None]).nonzero(), _PAIRS):
        row, column = part.unbind(1)
        more, same = _larger_and_equal(blocks[row, column], bound[row])
        larger.index_add_(0, row, more)
        equal.index_add_(0, row, same)
    return larger, equal


def _blocks(logits: Tensor) -> Tensor:
    """[N, V] -> [N, V // 64, 64], a view; the ids that fill no whole block are left out."""
    n, n_blocks = logits.shape[0], logits.shape[1] // BLOCK
    return logits[:, : n_blocks * BLOCK].view(n, n_blocks, BLOCK)


def _larger_and_equal(values: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
    """[N, M] against [N, 1] -> two counts [N]. Flags are floats: sums of booleans are slow."""
    flags = torch.empty_like(values)
    larger = torch.gt(values, bound, out=flags).sum(1).long()
    return larger, torch.eq(values, bound, out=flags).sum(1).long()


def _first(values: Tensor, places: Tensor, k: int) -> Tensor:
    """Of places [N, M], the k with the largest values [N, M], the lower place on ties."""
    bits = (values + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    keys = ordered * 2**31 + (2**31 - 1 - places)
    return places.gather(1, keys.topk(min(k, keys.shape[1]), dim=1).indices)
