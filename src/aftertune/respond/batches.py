"""Who is answered together: a plan made from the prompts alone, before the first answer.

A part of the table is one batch. Since bfloat16 values depend on the batch, the plan must not
depend on where a run was interrupted; it is a function of lengths, size and samples only.
"""

import hashlib
from collections.abc import Sequence


def plan(lengths: Sequence[int], samples: int, batch_size: int) -> list[list[tuple[int, int]]]:
    """Batches of (prompt, sample), prompts being places in `lengths` (tokens each has).

    Like lengths stand together, so that little is padded; the longest come first, so that a
    batch that does not fit into memory fails at once. Samples of one prompt are neighbours.
    """
    by_length = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    sequences = [(prompt, sample) for prompt in by_length for sample in range(samples)]
    return [sequences[i : i + batch_size] for i in range(0, len(sequences), batch_size)]


def sample_seed(seed: int, prompt_id: str, row_index: int, sample: int) -> int:
    """The seed of one answer's own stream of noise: 63 bits, unlike for unlike arguments."""
    text = f"{seed}\n{prompt_id}\n{row_index}\n{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
