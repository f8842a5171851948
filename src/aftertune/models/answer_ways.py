"""Three ways to score several answers to one question; `choices.py` chooses among them.

plain: each answer behind its own copy of the prompt. cached: the prompt once, the answers as a
batch behind its key-value cache. tree: prompt and answers in one sequence, where each answer sees
the prompt and itself, and its positions begin again after the prompt ("tree attention" of Miao et
al. 2024, SpecInfer); questions that begin alike also share that beginning, computed once. Nothing
is read after an answer's last token, so that token is computed in none of them but the plain.

A way takes (loaded, head, questions, max_tokens) and yields batches of {(question, answer): score}.
Shapes: B sequences, T tokens of the longest, P tokens of a shared beginning, N states, H hidden.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from aftertune.models.load import Loaded
from aftertune.models.score import Head, hidden_states

# Rows of logits at a time: 256 x 128,000 in float32 is 131 MB.
_ROWS = 256
# A beginning shorter than this, or shared by fewer questions, is not worth a pass of its own.
_SHARED_TOKENS = 64
_SHARED_BY = 4
# A batch of so many tokens keeps a processor busy; then it takes nothing much shorter, as padding
# would cost more than another pass.
_ENOUGH = 512
_ALIKE = 0.75
# Trees stand side by side up to this many tokens; attention grows with the width of a row.
_WIDTH = 128


@dataclass(frozen=True)
class Question:
    """A prompt and the answers to score behind it, as token ids; no answer may be empty."""

    prompt_ids: list[int]
    answers: list[list[int]]

    @property
    def length(self) -> int:
        """Tokens of the prompt with its longest answer."""
        return len(self.prompt_ids) + max((len(answer) for answer in self.answers), default=0)


@dataclass(frozen=True)
class AnswerScore:
    """log p(answer | prompt) in nats, over `n_tokens`; `greedy` when the model, left alone, would
    have said just these tokens."""

    logprob_nats: float
    n_tokens: int
    greedy: bool


Place = tuple[int, int]  # question, answer
Scores = dict[Place, AnswerScore]
Scorer = Callable[[Loaded, Head, Sequence[Question], int], Iterator[Scores]]


def plain(
    loaded: Loaded, head: Head, questions: Sequence[Question], max_tokens: int
) -> Iterator[Scores]:
    """Padded batches of like lengths, as `hidden_states` makes them."""
    places = [(i, k) for i, q in enumerate(questions) for k in range(len(q.answers))]
    size = {(i, k): len(questions[i].prompt_ids) + len(questions[i].answers[k]) for i, k in places}
    for batch in _batches(places, lambda place: size[place], max_tokens):
        told = [questions[i].answers[k] for i, k in batch]
        prompts = [questions[i].prompt_ids for i, _ in batch]
        sequences = [[*prompt, *answer] for prompt, answer in zip(prompts, told, strict=True)]
        states = hidden_states(loaded.model, sequences, [len(prompt) for prompt in prompts])
        wanted, start = {}, 0
        for place, answer in zip(batch, told, strict=True):
            wanted[place] = (list(range(start, start + len(answer))), answer)
            start += len(answer)
        yield _scores(head, torch.cat(states), wanted)


def cached(
    loaded: Loaded, head: Head, questions: Sequence[Question], max_tokens: int
) -> Iterator[Scores]:
    """Question by question; for models that keep a cache and know no mask but their own."""
    for index, question in enumerate(questions):
        sizes = [len(question.prompt_ids) + len(answer) for answer in question.answers]
        for batch in _batches(range(len(sizes)), sizes.__getitem__, max_tokens):
            told = [question.answers[k] for k in batch]
            width = max(len(answer) for answer in told) - 1
            wanted = {
                (index, k): ([0, *range(1 + row * width, row * width + len(answer))], answer)
                for row, (k, answer) in enumerate(zip(batch, told, strict=True))
            }
            yield _scores(head, _states_behind_cache(loaded, question.prompt_ids, told), wanted)


def _states_behind_cache(loaded: Loaded, prompt: list[int], answers: list[list[int]]) -> Tensor:
    """The prompt's last state, then those of the answers' tokens but the last, row by row."""
    body, device, n = loaded.plain.get_decoder(), _device(loaded), len(prompt)
    output = body(input_ids=torch.tensor([prompt], device=device), use_cache=True)
    last = output.last_hidden_state[0, -1:]
    width = max(len(answer) for answer in answers) - 1
    if not width:
        return last
    output.past_key_values.batch_repeat_interleave(len(answers))
    gaps = [width + 1 - len(answer) for answer in answers]
    rows = [[*answer[:-1], *[0] * gap] for answer, gap in zip(answers, gaps, strict=True)]
    seen = [[1] * (n + width - gap) + [0] * gap for gap in gaps]
    states = body(
        input_ids=torch.tensor(rows, device=device),
        attention_mask=torch.tensor(seen, device=device),
        position_ids=torch.arange(n, n + width, device=device).expand(len(answers), -1),
        past_key_values=output.past_key_values,
        use_cache=True,
    ).last_hidden_state
    return torch.cat([last, states.flatten(0, 1)])


def tree(
    loaded: Loaded, head: Head, questions: Sequence[Question], max_tokens: int
) -> Iterator[Scores]:
    """Only for models that take a mask [B, 1, T, P + T] and position ids as they are given."""
    for members, shared in _groups(questions):
        yield from _behind(loaded, head, questions, members, shared, max_tokens)


def tree_both_ways(
    loaded: Loaded, head: Head, questions: Sequence[Question], max_tokens: int
) -> Iterator[Scores]:
    """The tree as a check: every second question with half of its prompt as if it were shared."""
    for index, question in enumerate(questions):
        half = len(question.prompt_ids) // 2 if index % 2 else 0
        yield from _behind(loaded, head, questions, [index], half, max_tokens)


def window(config: Any) -> int | None:
    """How far back some layer sees, or None: Mistral, Gemma, Qwen; GPT-Neo by another name."""
    if getattr(config, "use_sliding_window", True) is False:
        return None
    windows = [getattr(config, name, None) for name in ("sliding_window", "window_size")]
    return min((size for size in windows if isinstance(size, int)), default=None)


def _groups(questions: Sequence[Question]) -> list[tuple[list[int], int]]:
    """(questions, length of the beginning that their prompts share), where it is worth it."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        if question.answers:
            alike[tuple(question.prompt_ids[:_SHARED_TOKENS])].append(index)
    groups, alone = [], list[int]()
    for beginning, members in alike.items():
        if len(members) < _SHARED_BY or len(beginning) < _SHARED_TOKENS:
            alone += members
            continue
        prompts = [questions[index].prompt_ids for index in members]
        first, last = min(prompts), max(prompts)  # whatever these two share, all between share
        pairs = enumerate(zip(first, last, strict=False))
        differ = next((n for n, (a, b) in pairs if a != b), len(first))
        # a prompt's last token is always computed: its state predicts the answers
        groups.append((members, min(differ, min(len(prompt) for prompt in prompts) - 1)))
    return [*groups, (alone, 0)] if alone else groups


@dataclass(frozen=True)
class _Tree:
    """One sequence: a question's prompt and some of its answers, `length` tokens in all."""

    question: int
    answers: tuple[int, ...]
    length: int


@dataclass
class _Row:
    """Trees side by side. Of each token behind the shared beginning: its id, position, tree (from
    1) and branch (0: a prompt, k: an answer); `reads`: where each token of an answer is predicted.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    tree: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    reads: dict[Place, list[int]] = field(default_factory=dict)


def _behind(
    loaded: Loaded,
    head: Head,
    questions: Sequence[Question],
    members: Sequence[int],
    shared: int,
    max_tokens: int,
) -> Iterator[Scores]:
    """Trees of `members`, whose prompts begin with the same `shared` tokens."""
    body, past = loaded.plain.get_decoder(), None
    if shared:
        ids = torch.tensor([questions[members[0]].prompt_ids[:shared]], device=_device(loaded))
        # a cache made without the config keeps every token, also in layers with a window
        past = body(input_ids=ids, past_key_values=DynamicCache(), use_cache=True).past_key_values
    size, context = window(loaded.plain.config.get_text_config()), loaded.facts["context_length"]
    limit = min(one for one in (max_tokens, size, context) if one is not None)
    trees = [one for index in members for one in _trees(questions[index], index, limit)]
    rows = _packed(questions, trees, shared, limit)
    for batch in _batches(rows, lambda row: shared + len(row.ids), max_tokens, shared):
        states = body(**_inputs(loaded, batch, shared, past)).last_hidden_state
        kept: list[tuple[int, int]] = []  # row and column of the states that the head is applied to
        wanted = {}
        for number, row in enumerate(batch):
            columns = sorted({column for reads in row.reads.values() for column in reads})
            at = {column: len(kept) + n for n, column in enumerate(columns)}
            kept += [(number, column) for column in columns]
            for (index, k), reads in row.reads.items():
                told = questions[index].answers[k]
                wanted[index, k] = ([at[column] for column in reads], told)
        places = torch.tensor(kept, device=states.device)
        yield _scores(head, states[places[:, 0], places[:, 1]], wanted)


def _trees(question: Question, index: int, limit: int) -> Iterator[_Tree]:
    """The answers in as many sequences as `limit` tokens ask for, at least one answer in each."""
    n, taken = len(question.prompt_ids), list[int]()
    length = n
    for k, answer in enumerate(question.answers):
        if taken and length + len(answer) - 1 > limit:
            yield _Tree(index, tuple(taken), length)
            length, taken = n, []
        taken.append(k)
        length += len(answer) - 1
    yield _Tree(index, tuple(taken), length)


def _packed(
    questions: Sequence[Question], trees: Sequence[_Tree], shared: int, limit: int
) -> list[_Row]:
    """Trees side by side in rows of alike width, each where it fits first, so that little is
    padding."""
    widest = max(one.length for one in trees) - shared
    room = max(widest, min(_WIDTH, limit - shared))
    rows: list[_Row] = []
    for one in sorted(trees, key=lambda one: one.length, reverse=True):
        fits = (row for row in rows if len(row.ids) + one.length - shared <= room)
        row = next(fits, None)
        if row is None:
            rows.append(row := _Row())
        _add(row, questions[one.question], one, shared)
    return rows


def _add(row: _Row, question: Question, one: _Tree, shared: int) -> None:
    n, start = len(question.prompt_ids), len(row.ids)
    row.ids += question.prompt_ids[shared:]
    row.positions += range(shared, n)
    row.branch += [0] * (n - shared)
    last = len(row.ids) - 1
    for number, k in enumerate(one.answers, 1):
        told = question.answers[k][:-1]
        row.reads[one.question, k] = [last, *range(len(row.ids), len(row.ids) + len(told))]
        row.ids += told
        row.positions += range(n, n + len(told))
        row.branch += [number] * len(told)
    tree = row.tree[-1] + 1 if row.tree else 1
    row.tree += [tree] * (len(row.ids) - start)


def _inputs(
    loaded: Loaded, rows: Sequence[_Row], shared: int, past: DynamicCache | None
) -> dict[str, Any]:
    """What the body is called with: ids and positions [B, T], mask [B, 1, T, P + T]."""
    device, width = _device(loaded), max(len(row.ids) for row in rows)
    columns = (
        ([row.ids for row in rows], 0),
        ([row.positions for row in rows], 0),
        ([row.tree for row in rows], 0),  # padding is a tree of its own
        ([row.branch for row in rows], 0),
    )
    ids, positions, of_tree, branch = (
        torch.tensor([[*row, *[fill] * (width - len(row))] for row in table], device=device)
        for table, fill in columns
    )
    sees = (branch[:, None, :] == 0) | (branch[:, None, :] == branch[:, :, None])
    sees &= of_tree[:, None, :] == of_tree[:, :, None]
    sees &= torch.ones(width, width, dtype=torch.bool, device=device).tril()
    sees = torch.cat([sees.new_ones(len(rows), width, shared), sees], dim=2)[:, None]
    # added to the attention's scores, which SDPA and eager attention both understand
    least = torch.finfo(loaded.dtype).min
    mask = torch.zeros(sees.shape, dtype=loaded.dtype, device=device).masked_fill_(~sees, least)
    inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
    if past is None:
        return inputs | {"use_cache": False}
    # a pass appends to its cache, so each gets its own
    copies = [tuple(one.expand(len(rows), -1, -1, -1) for one in layer[:2]) for layer in past]
    return inputs | {"past_key_values": DynamicCache(copies), "use_cache": True}


def _batches(
    items: Sequence[Any], length: Callable[[Any], int], max_tokens: int, shared: int = 0
) -> Iterator[list[Any]]:
    """Items of like lengths, as many as fit `max_tokens` when padded; at least one.

    Of a length the first `shared` tokens are not computed, so they are no padding either.
    """
    batch: list[Any] = []
    for item in sorted(items, key=length, reverse=True):
        if batch:
            widest, own = length(batch[0]) - shared, length(item) - shared
            padded = own < _ALIKE * widest and len(batch) * widest >= _ENOUGH
            if padded or (len(batch) + 1) * length(batch[0]) > max_tokens:
                yield batch
                batch = []
        batch.append(item)
    if batch:
        yield batch


def _scores(head: Head, states: Tensor, wanted: dict[Place, tuple[list[int], list[int]]]) -> Scores:
    """wanted: place -> (the rows of `states` [N, H] that predict its tokens, these tokens)."""
    rows = torch.tensor([row for reads, _ in wanted.values() for row in reads])
    ids = torch.tensor([token for _, tokens in wanted.values() for token in tokens])
    logprobs = torch.empty(len(ids), dtype=torch.float64)
    greedy = torch.empty(len(ids), dtype=torch.bool)
    for start in range(0, len(states), _ROWS):
        logits = head.logits(states[start : start + _ROWS])
        here = ((rows >= start) & (rows < start + len(logits))).nonzero()[:, 0]
        row, token = (rows[here] - start).to(logits.device), ids[here].to(logits.device)
        logprobs[here] = (logits[row, token] - logits.logsumexp(-1)[row]).cpu().double()
        greedy[here] = (logits.argmax(-1)[row] == token).cpu()
    found, start = Scores(), 0
    values, same = logprobs.tolist(), greedy.tolist()
    for place, (_, tokens) in wanted.items():
        end = start + len(tokens)
        found[place] = AnswerScore(sum(values[start:end]), len(tokens), all(same[start:end]))
        start = end
    return found


def _device(loaded: Loaded) -> torch.device:
    return loaded.plain.get_input_embeddings().weight.device
