"""Facts asked of a loaded model: what it says, and which answer it finds likeliest.

Under the plain text every line break ends an answer, so no token is spent on what follows it; an
answer that begins with one goes on once, since a tuned model may have learnt to begin so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from aftertune.artefact import hash_json
from aftertune.data.encode import encode, facts_of
from aftertune.data.render import render_prompt, render_row, stop_ids
from aftertune.data.templates import Template
from aftertune.errors import InputError, ModelError
from aftertune.models.choices import Question, Way, choose_way, score_answers
from aftertune.models.generate import Settings, decode, generate
from aftertune.models.load import Loaded
from aftertune.progress import Silent
from aftertune.recall import posing
from aftertune.recall.classes import class_of
from aftertune.recall.config import RecallConfig
from aftertune.recall.facts import Fact
from aftertune.recall.match import first_line, match

GREEDY, SAMPLED, CHOICE, BY_LENGTH = "greedy", "sampled", "choice", "choice by length"
SCORED_TOKENS = 4096  # scored together

Record = dict[str, Any]


@dataclass(frozen=True)
class Asker:
    """A model and how it is asked. pool: the facts that examples are drawn from."""

    loaded: Loaded
    config: RecallConfig  # resolved
    template: Template | None
    pool: Sequence[Fact]
    stops: Sequence[int]
    way: Way | None = None  # of scoring, once it is chosen
    orders: dict[int, posing.Order] = field(default_factory=dict)

    def prompt(self, fact: Fact, draw: int) -> str:
        """The few-shot text of a fact in a draw."""
        config = self.config
        shown = posing.examples(fact, self.order(draw), config.shots)
        return posing.text(fact, shown)

    def order(self, draw: int) -> posing.Order:
        """The order of examples of a draw, made once."""
        if draw not in self.orders:
            self.orders[draw] = posing.ordered(self.pool, draw, self.config.seed)
        return self.orders[draw]

    def ids(self, prompt: str) -> list[int]:
        """Ids of a prompt, in the model's template where one is used."""
        if self.template is not None:
            return list(render_prompt([_user(prompt)], None, self.template, self.tokenizer).ids)
        begin = facts_of(self.tokenizer).begin or ""
        return encode(begin + prompt, self.tokenizer, first=True)[0]

    def answer_ids(self, prompt: str, asked: Sequence[int], answer: str) -> list[int]:
        """Ids of a given answer behind the prompt `asked`, without what ends a turn."""
        if self.template is None:
            whole = self.ids(f"{prompt} {answer}")
            if whole[: len(asked)] == list(asked):
                return whole[len(asked) :]
            return encode(f" {answer}", self.tokenizer, first=False)[0]
        row: list[Mapping[str, str | None]] = [
            _user(prompt), {"role": "assistant", "content": answer},
        ]  # fmt: skip
        rendered = render_row(row, None, self.template, self.tokenizer, train_on="last")
        trained = [i for i, used in zip(rendered.ids, rendered.loss_mask, strict=True) if used]
        return [token for token in trained if token not in self.stops]

    @property
    def tokenizer(self) -> Any:
        return self.loaded.tokenizer


def stops_of(loaded: Loaded, template: Template | None) -> list[int]:
    """What ends an answer: the template's stop tokens, or the end token and every line break."""
    if template is not None:
        return stop_ids(template, loaded.tokenizer)
    tokenizer, size = loaded.tokenizer, loaded.facts["vocab_size"]
    known = range(min(size, len(tokenizer)))
    texts = tokenizer.batch_decode([[token] for token in known])
    found = {token for token, said in zip(known, texts, strict=True) if "\n" in said}
    return sorted(found | ({tokenizer.eos_token_id} - {None}))


def ask(asker: Asker, facts: Sequence[Fact]) -> list[Record]:
    """Rows of the table `recall` for these facts: the draws that the config asks for, all ways."""
    config = asker.config
    second = range(config.draws, 2 * config.draws)
    said = [one for one in facts if posing.why_not_said(one, config.max_answer_words) is None]
    found = classified(asker, said) if config.classify else []
    found += _said(asker, [(f, d, 0) for f in said for d in second], None)
    firsts = (0, config.draws) if config.classify else (config.draws,)
    return found + _chosen(asker, [(f, d) for f in facts if f.distractors for d in firsts])


def classified(asker: Asker, facts: Sequence[Fact]) -> list[Record]:
    """Greedy answers of the first half of the draws; sampled ones to what none of them knew; and
    in all of them the class of their fact."""
    config = asker.config
    greedy = _said(asker, [(f, d, 0) for f in facts for d in range(config.draws)], None)
    right: dict[str, list[bool]] = {one.id: [] for one in facts}
    for one in greedy:
        right[one["fact_id"]].append(one["correct"])
    never = [one for one in facts if not any(right[one.id])]
    asked = [(f, d, n) for f in never for d in range(config.draws) for n in range(config.samples)]
    sampled = _said(asker, asked, config.temperature)
    guessed: dict[str, list[bool]] = {one.id: [] for one in facts}
    for one in sampled:
        guessed[one["fact_id"]].append(one["correct"])
    for one in [*greedy, *sampled]:
        one["class"] = class_of(right[one["fact_id"]], guessed[one["fact_id"]])
    return [*greedy, *sampled]


def _said(
    asker: Asker, asked: Sequence[tuple[Fact, int, int]], temperature: float | None
) -> list[Record]:
    """One record per (fact, draw, sample): the first line of the answer, matched."""
    config, found = asker.config, []
    room = asker.loaded.facts["context_length"]
    for at in range(0, len(asked), config.batch_size):
        batch = asked[at : at + config.batch_size]
        ids = [asker.ids(asker.prompt(fact, draw)) for fact, draw, _ in batch]
        for (fact, _, _), prompt in zip(batch, ids, strict=True):
            _check_room(fact, len(prompt) + 2 * config.max_new_tokens, room)
        seeds = None
        if temperature is not None:
            seeds = [int(hash_json([config.seed, f.id, d, n])[:15], 16) for f, d, n in batch]
        lines = _lines(asker, ids, temperature, seeds)
        for (fact, draw, sample), line in zip(batch, lines, strict=True):
            correct = match(line, fact.right, fact.distractors) is not None
            way = GREEDY if temperature is None else SAMPLED
            found.append(_record(fact, config, way, draw, line, correct, sample))
    return found


def _lines(
    asker: Asker, prompts: Sequence[list[int]], temperature: float | None,
    seeds: Sequence[int] | None,
) -> list[str]:  # fmt: skip
    """The first line of each answer that says something."""
    settings = Settings(asker.config.max_new_tokens, temperature)
    stops, end = asker.stops, asker.tokenizer.eos_token_id
    try:
        said = generate(asker.loaded.plain, prompts, stops, settings, sample_seeds=seeds)
        lines = [first_line(decode(asker.tokenizer, one.ids)) for one in said]
        again = [i for i, one in enumerate(said) if not lines[i] and end not in one.ids]
        if again:
            more = generate(
                asker.loaded.plain, [prompts[i] for i in again], stops, settings,
                [said[i].ids for i in again], [seeds[i] + 1 for i in again] if seeds else None,
            )  # fmt: skip
            for i, one in zip(again, more, strict=True):
                lines[i] = first_line(decode(asker.tokenizer, one.ids))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{asker.config.model} has no memory to answer {len(prompts)} questions at once on "
            f"{asker.loaded.device}; lower --batch-size."
        ) from error
    return lines


def scoring_way(asker: Asker, facts: Sequence[Fact]) -> Way:
    """How choices are scored, decided on the first and the longest fact with distractors."""
    draw = asker.config.draws
    some = [fact for fact in facts if fact.distractors]
    return choose_way(asker.loaded, [_question(asker, fact, draw) for fact in some])


def _question(asker: Asker, fact: Fact, draw: int) -> Question:
    prompt = asker.prompt(fact, draw)
    ids = asker.ids(prompt)
    texts = [fact.answer, *fact.distractors]
    found = Question(ids, [asker.answer_ids(prompt, ids, text) for text in texts])
    _check_room(fact, found.length, asker.loaded.facts["context_length"])
    return found


def _chosen(asker: Asker, asked: Sequence[tuple[Fact, int]]) -> list[Record]:
    """Two records per (fact, draw): which answer is likeliest, raw and per character."""
    if not asked:
        return []
    questions = [_question(asker, fact, draw) for fact, draw in asked]
    scored = score_answers(
        asker.loaded, questions, max_tokens=SCORED_TOKENS, progress=Silent(), way=asker.way
    )
    found = []
    for (fact, draw), scores in zip(asked, scored, strict=True):
        texts = [fact.answer, *fact.distractors]
        raw = [one.logprob_nats for one in scores]
        each = [value / len(text) for value, text in zip(raw, texts, strict=True)]
        for way, values in ((CHOICE, raw), (BY_LENGTH, each)):
            best = max(range(1, len(values)), key=lambda place: values[place])
            margin = values[0] - values[best]
            answer = texts[0] if margin > 0 else texts[best]  # a tie is not known
            one = _record(fact, asker.config, way, draw, answer, margin > 0)
            found.append(
                {**one, "logprob": raw[0], "normalised_logprob": each[0], "margin": margin}
            )
    return found


def _record(
    fact: Fact, config: RecallConfig, way: str, draw: int, answer: str, correct: bool,
    sample: int = 0,
) -> Record:  # fmt: skip
    return {
        "fact_id": fact.id, "model": config.name, "way": way, "draw": draw, "sample": sample,
        "answer": answer, "correct": correct, "logprob": None, "normalised_logprob": None,
        "margin": None, "class": None,
    }  # fmt: skip


def _check_room(fact: Fact, longest: int, room: int | None) -> None:
    if room is not None and longest > room:
        raise InputError(
            f"the question {fact.question[:60]!r} (record {fact.row_index + 1:,}) has {longest:,} "
            f"tokens with its examples and answer, and the model reads {room:,}; ask with fewer "
            "examples (--shots), or leave long facts out."
        )


def _user(prompt: str) -> dict[str, str | None]:
    return {"role": "user", "content": prompt}
