"""The ids that two vocabularies share, as places in a row of logits (pure torch)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CommonIds:
    """Where the common ids stand: the first `size` ids, or those listed in `index`, ascending.

    `base_outside` and `tuned_outside` list the other ids of each model, ascending. A *place* is
    a position among the common ids.
    """

    size: int
    index: Tensor | None
    base_outside: Tensor
    tuned_outside: Tensor

    @classmethod
    def of(
        cls, common: Tensor | None, base_size: int, tuned_size: int, device: torch.device
    ) -> "CommonIds":
        """`common` [C] token ids in any order; None means every id that both rows of logits have.

        base_size, tuned_size: lengths of the two models' rows of logits.
        Raises ValueError when there is no common id, one is listed twice or one is out of range.
        """
        shared = min(base_size, tuned_size)
        ids = torch.arange(shared) if common is None else common.cpu().long().sort().values
        if ids.numel() == 0 or int(ids[0]) < 0 or int(ids[-1]) >= shared:
            raise ValueError(f"common ids must lie in 0..{shared - 1}, and there must be one")
        if bool((ids.diff() == 0).any()):
            raise ValueError("an id is listed twice among the common ids")
        first_ones = int(ids[-1]) == ids.numel() - 1
        index = None if first_ones else ids.to(device)
        rest = [_rest(ids, size).to(device) for size in (base_size, tuned_size)]
        return cls(ids.numel(), index, rest[0], rest[1])

    def inside(self, logits: Tensor) -> Tensor:
        """[N, V] -> [N, size]; a view wherever the common ids are the first ones."""
        return logits[:, : self.size] if self.index is None else logits.index_select(1, self.index)

    def places(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """For token ids [N]: their places (0 for those outside), and which are inside."""
        if self.index is None:
            place = ids.clamp(max=self.size - 1)
            inside = place == ids
        else:
            place = torch.searchsorted(self.index, ids).clamp(max=self.size - 1)
            inside = self.index[place] == ids
        return torch.where(inside, place, 0), inside

    def ids(self, places: Tensor) -> Tensor:
        """Places -> token ids."""
        return places if self.index is None else self.index[places]


def _rest(ids: Tensor, size: int) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    mask[ids] = False
    return mask.nonzero().squeeze(1)
