"""How well a model knows a fact: the classes of Gekhman et al. (pure).

Gekhman et al., "Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?" (EMNLP 2024),
section 2: with P the share of right answers over several few-shot prompts,

    HighlyKnown   every greedy answer is right
    MaybeKnown    some greedy answers are right
    WeaklyKnown   no greedy answer is right, some sampled one is
    Unknown       neither

They draw 10 prompts of 4 examples and sample 16 answers to each at temperature 0.5. Fewer prompts
and samples move facts towards both ends: HighlyKnown and Unknown grow. Sampled answers decide only
where no greedy one is right, so only there they are asked for.
"""

from collections.abc import Sequence

HIGHLY, MAYBE, WEAKLY, UNKNOWN = "HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown"
CLASSES = (HIGHLY, MAYBE, WEAKLY, UNKNOWN)


def class_of(greedy: Sequence[bool], sampled: Sequence[bool]) -> str | None:
    """The class of a fact from its answers, right or not; None without a greedy answer.

    >>> class_of([True, True], []), class_of([True, False], []), class_of([False], [False, True])
    ('HighlyKnown', 'MaybeKnown', 'WeaklyKnown')
    """
    if not greedy:
        return None
    if all(greedy):
        return HIGHLY
    if any(greedy):
        return MAYBE
    return WEAKLY if any(sampled) else UNKNOWN
