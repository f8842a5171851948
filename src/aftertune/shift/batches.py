"""Which responses are scored together: a plan made from lengths alone, before the first pass.

Values in bfloat16 depend on the batch, so the plan must not depend on where a run was
interrupted. A part of the table is one or several batches: small enough that a kill loses
little, large enough that there are not thousands of files.
"""

from collections.abc import Sequence

Batch = list[int]  # places of responses


def plan(
    lengths: Sequence[int], scored: Sequence[int], batch_tokens: int, part_tokens: int
) -> list[list[Batch]]:
    """Parts of batches of places in `lengths`, every place exactly once.

    lengths: tokens of prompt and response together; scored: tokens of the response alone.
    Like lengths stand together, so that little is padded; the longest come first, so that a batch
    that does not fit into memory fails at once. A batch has at most `batch_tokens` tokens with
    padding, or is a single longer sequence; a part ends with the batch that brings it to
    `part_tokens` scored tokens.
    """
    batches: list[Batch] = []
    for place in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # the first of a batch is its longest, which every other is padded to
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    parts: list[list[Batch]] = []
    room = 0
    for batch in batches:
        if room <= 0:
            parts.append([])
            room = part_tokens
        parts[-1].append(batch)
        room -= sum(scored[place] for place in batch)
    return parts
