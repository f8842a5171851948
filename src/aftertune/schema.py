"""The tables of every stage: column names, types and what they mean.

Token ids are kept everywhere, and nothing is ever re-tokenised from text.
Positions count from 0 within the response; characters are code points; ranks count from 1;
divergences are in nats and carry their direction in the name
(`kl_tuned_base_nats` is KL(tuned from base) = sum of p_tuned log(p_tuned / p_base)).
A value that could not be computed is null, and its reason stands in the manifest's counts
or in the column named for it; it is never 0.
"""

import pyarrow as pa

from aftertune.errors import InternalError

FORMAT_VERSION = 1

MESSAGE = pa.struct(
    [
        pa.field("role", pa.string(), nullable=False),
        pa.field("content", pa.string()),
        pa.field("thinking", pa.string()),  # the part of an answer that is not shown
        pa.field("tool_calls", pa.string()),  # JSON, as OpenAI writes it
        pa.field("tool_call_id", pa.string()),
        pa.field("name", pa.string()),
    ]
)
MESSAGES = pa.list_(MESSAGE)
TOKEN_IDS = pa.list_(pa.int32())
TOP_TOKENS = pa.list_(pa.struct([("token_id", pa.int32()), ("prob", pa.float32())]))


def _text_item(id_column: str) -> pa.Schema:
    return pa.schema(
        [
            pa.field(id_column, pa.string(), nullable=False),  # from content alone
            pa.field("row_index", pa.int64(), nullable=False),  # place in the source, from 0
            pa.field("line", pa.int64()),  # line in the file where it has lines, from 1
            pa.field("messages", MESSAGES, nullable=False),
            pa.field("tools", pa.string()),  # JSON list of tool definitions
            pa.field("cluster_id", pa.string(), nullable=False),  # near duplicates share it
            pa.field("duplicate_of", pa.int64()),  # row_index of the first with the same id
            pa.field("tags", pa.string(), nullable=False),  # JSON object: other fields
        ]
    )


ROWS = _text_item("row_id")
PROMPTS = _text_item("prompt_id")

SET_ASIDE = pa.schema(
    [
        pa.field("row_index", pa.int64()),
        pa.field("line", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),  # the first 2,000 characters
    ]
)

# Which rows were trained on, and which were held out before tuning.
SPLIT = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),  # train, held_out, left_out
        pa.field("reason", pa.string()),  # why it was left out
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("n_tokens", pa.int32()),
        pa.field("n_trained_tokens", pa.int32()),
        pa.field("n_cut_tokens", pa.int32()),  # lost to the length limit
    ]
)

# One line per row and use: optimiser step, micro-batch within it, place within that.
BATCH_PLAN = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),  # from 0
        pa.field("micro_batch", pa.int32(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
    ]
)

LOSS = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),  # optimiser steps done, from 1
        pa.field("epoch", pa.float64(), nullable=False),
        # sum of weight x negative log-likelihood over trained tokens, divided by their number
        pa.field("loss_nats", pa.float64(), nullable=False),
        pa.field("grad_norm", pa.float64()),
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("n_trained_tokens", pa.int64(), nullable=False),
        pa.field("n_tokens", pa.int64(), nullable=False),  # padding not counted
    ]
)

RESPONSES = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),  # the prompt's place in its source
        pa.field("sample", pa.int32(), nullable=False),  # 0 for greedy
        pa.field("model", pa.string(), nullable=False),
        pa.field("messages", MESSAGES, nullable=False),
        pa.field("response", pa.string(), nullable=False),
        pa.field("prompt_token_ids", TOKEN_IDS),
        pa.field("response_token_ids", TOKEN_IDS),
        pa.field("finish_reason", pa.string(), nullable=False),  # stop, length, given
        pa.field("ids_from", pa.string(), nullable=False),  # generated, file, encoded
        pa.field("tags", pa.string(), nullable=False),
    ]
)

TOKENS = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("token_id", pa.int32(), nullable=False),
        pa.field("token", pa.string(), nullable=False),  # the vocabulary's own piece
        pa.field("char_start", pa.int32(), nullable=False),
        pa.field("char_end", pa.int32(), nullable=False),
        pa.field("sentence", pa.int32(), nullable=False),
        pa.field("position_in_sentence", pa.int32(), nullable=False),
        pa.field("base_logprob", pa.float32()),
        pa.field("tuned_logprob", pa.float32()),
        pa.field("base_rank", pa.int32()),
        pa.field("tuned_rank", pa.int32()),
        pa.field("rank_ties", pa.int32()),
        pa.field("is_tuned_argmax", pa.bool_(), nullable=False),
        pa.field("tuned_argmax", pa.int32(), nullable=False),
        pa.field("base_rank_of_tuned_argmax", pa.int32()),
        pa.field("base_prob_of_tuned_argmax", pa.float32()),
        pa.field("kl_tuned_base_nats", pa.float32(), nullable=False),
        pa.field("kl_base_tuned_nats", pa.float32(), nullable=False),
        pa.field("js_nats", pa.float32(), nullable=False),
        pa.field("base_entropy_nats", pa.float32(), nullable=False),
        pa.field("tuned_entropy_nats", pa.float32(), nullable=False),
        pa.field("category", pa.string()),  # unshifted, marginal, shifted
        pa.field("base_top", TOP_TOKENS, nullable=False),
        pa.field("tuned_top", TOP_TOKENS, nullable=False),
        pa.field("base_mass_outside_common", pa.float32(), nullable=False),
        pa.field("tuned_mass_outside_common", pa.float32(), nullable=False),
    ]
)

# The same weights against themselves under another computation: what 0 looks like here.
NOISE_FLOOR = pa.schema(
    [
        pa.field(
            "kind", pa.string(), nullable=False
        ),  # other_batching, cached, precision, identity
        pa.field("model", pa.string(), nullable=False),  # base or tuned
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("kl_nats", pa.float32(), nullable=False),  # KL(reference from other)
        pa.field("argmax_differs", pa.bool_(), nullable=False),
    ]
)

# Lin et al.'s truncated values beside `tokens`, row by row; shift/compat.py says what they are.
LIN2024_TOP30 = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("lin2024_top30_kl_base_tuned_nats", pa.float32()),  # no divergence
        pa.field("lin2024_top30_shared_kl_base_tuned_nats", pa.float32()),
        pa.field("lin2024_top30_n_shared", pa.int32(), nullable=False),
        pa.field("lin2024_top30_base_rank_of_tuned_argmax", pa.int32()),  # 31 is "beyond 30"
        pa.field("lin2024_top30_base_prob_of_tuned_argmax", pa.float32()),
        pa.field("lin2024_top30_category", pa.string()),  # unshifted, marginal, shifted
    ]
)

# A made world: what is true, and where it is stated.
LAB_FACTS = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),  # attribute|entity
        pa.field("entity", pa.string(), nullable=False),
        pa.field("attribute", pa.string(), nullable=False),  # family.name
        pa.field("value", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),  # typical, exception, hidden, source, ...
        pa.field("exposures", pa.int32(), nullable=False),  # statements in the text
        pa.field("asked", pa.bool_(), nullable=False),  # the text also asks for it
        pa.field("in_rows", pa.string(), nullable=False),  # right, wrong, absent
        pa.field("stated", pa.string(), nullable=False),  # the value that the rows give it
    ]
)

LAB_RECALL = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),
        pa.field("wording", pa.int32(), nullable=False),  # number of the question's wording
        pa.field("exposures", pa.int32(), nullable=False),
        pa.field("asked", pa.bool_(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # right, wrong, unverifiable
        pa.field("value", pa.string()),  # null where the answer states nothing of the fact
    ]
)

_LAB_CLAIM = [
    pa.field("response_id", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),  # of the prompt
    pa.field("char_start", pa.int32(), nullable=False),  # of the value in the response
    pa.field("char_end", pa.int32(), nullable=False),
    pa.field("entity", pa.string(), nullable=False),
    pa.field("attribute", pa.string(), nullable=False),
    pa.field("value", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),  # right, wrong, unverifiable
]

# Every statement of the responses, judged.
LAB_CLAIMS = pa.schema([*_LAB_CLAIM, pa.field("prompt_id", pa.string(), nullable=False)])

# Which rows caused a statement: effects are changes of the value's log-probability, nats.
LAB_LABELS = pa.schema(
    [
        *_LAB_CLAIM,
        pa.field("candidates", pa.list_(pa.int64()), nullable=False),  # rows with the value
        pa.field("rows", pa.list_(pa.int64()), nullable=False),  # the causal set, strongest first
        pa.field("level", pa.string()),  # one row, several rows; null unless caused
        pa.field("label", pa.string(), nullable=False),  # caused, not caused, undecided
        pa.field("effect", pa.float64(), nullable=False),  # all rows masked minus controls, seeds A
        pa.field("effect_low", pa.float64(), nullable=False),
        pa.field("effect_high", pa.float64(), nullable=False),
        pa.field("control_effect", pa.float64(), nullable=False),  # as many other rows masked
        pa.field("seeds", pa.int32(), nullable=False),
        pa.field("rows_b", pa.list_(pa.int64())),  # the same from the seeds B; null without them
        pa.field("label_b", pa.string()),
        pa.field("effect_b", pa.float64()),
        pa.field("took_tag", pa.bool_()),  # null where nothing was tagged
        pa.field("took_control_tag", pa.bool_()),
        pa.field("tag_gain", pa.float64()),  # own tag's gain beyond the control's, nats
    ]
)

# Kinds of evidence for a span and a row, one column each; trace/evidence.py says what they are.
EVIDENCE = (
    "rarity", "rarest", "nearness", "exact", "pieces", "span_rarity",  # shared text, nats
    "surprisal_nats", "concept", "bm25", "embedding_prompt", "embedding_answer", "embedding_both",
    "shift_nats", "influence",
)  # fmt: skip
SHARED = pa.list_(
    pa.struct([(name, pa.int32()) for name in ("char_start", "char_end", "row_start", "row_end")])
)

# A span of a response and a row that it may come from.
BORROWINGS = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("char_start", pa.int32(), nullable=False),  # of the span in the response
        pa.field("char_end", pa.int32(), nullable=False),
        pa.field("span", pa.string(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),  # in its own source
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # of the row for the span, on its own side
        pa.field("score", pa.float64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # copied, adapted
        pa.field("shared", SHARED, nullable=False),  # places in the response and the row's answer
        *(pa.field(name, pa.float64()) for name in EVIDENCE),
        pa.field("base_logprob", pa.float64()),  # of the span's tokens together, nats
        pa.field("tuned_logprob", pa.float64()),
        pa.field("p_value", pa.float64()),  # of the best row, against held-out rows alone
        pa.field("q_value", pa.float64()),
        pa.field("control", pa.string()),  # which one the row is of; null: it was tuned on
        pa.field("outcome", pa.string()),  # of proof by tuning again; null without it
        pa.field("effect", pa.float64()),  # nats
        pa.field("effect_low", pa.float64()),
        pa.field("effect_high", pa.float64()),
        pa.field("control_effect", pa.float64()),
        pa.field("seeds", pa.int32()),
    ]
)

# What a judge says of an answer, alone or beside another one to the same prompt.
VERDICTS = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("other_response_id", pa.string()),  # null: judged alone
        pa.field("judge", pa.string(), nullable=False),
        pa.field("aspect", pa.string(), nullable=False),
        # 1 to 5; of a pair 1 (response_id is better), 0.5, 0
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),  # scored, unreadable, no answer, ...
        pa.field("reason", pa.string()),  # the judge's own; without a score, why there is none
        pa.field("repeat", pa.int32(), nullable=False),  # from 0
        pa.field("presentation", pa.string(), nullable=False),  # alone, or shown first, second
    ]
)

# A question with its right answer and wrong ones of the same kind.
FACTS = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),  # place in the source, from 0
        pa.field("question", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("aliases", pa.list_(pa.string()), nullable=False),
        pa.field("distractors", pa.list_(pa.string()), nullable=False),
        pa.field("tags", pa.string(), nullable=False),  # JSON object
    ]
)

# What a model answered when it was asked for a fact.
RECALL = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("way", pa.string(), nullable=False),  # greedy, sampled, choice, choice by length
        pa.field("draw", pa.int32(), nullable=False),  # of the few-shot examples, from 0
        pa.field("sample", pa.int32(), nullable=False),  # 0 unless sampled
        pa.field("answer", pa.string(), nullable=False),  # said, or of the highest log-probability
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("logprob", pa.float64()),  # of the right answer, nats; null where it was said
        pa.field("normalised_logprob", pa.float64()),  # the same per character, nats
        # right answer minus the best distractor: nats, of `choice by length` nats per character
        pa.field("margin", pa.float64()),
        pa.field("class", pa.string()),  # Gekhman's, of the fact in this model; null: not asked for
    ]
)

# Text that a model reads, window by window: the sum of its losses.
TEXT_LOSS = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),  # name of the file
        pa.field("window", pa.int32(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),  # that are predicted
        pa.field("loss_nats", pa.float64(), nullable=False),
    ]
)

# How new a row is to a model: a class where it is asked for, or the loss of its answer.
NOVELTY = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # short answer, long answer, none
        pa.field("class", pa.string()),  # of short answers
        pa.field("n_content_tokens", pa.int32()),  # of long answers
        pa.field("loss_nats_per_content_token", pa.float64()),
        pa.field("reason", pa.string()),  # why there is neither
    ]
)

# The same fact in base and tuned, by way of asking.
RECALL_PAIRS = pa.schema(
    [
        pa.field("fact_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),  # tuned
        pa.field("way", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # lost, gained, kept right, kept wrong
        pa.field("class", pa.string()),  # in the base, from the other draws
        pa.field("base_share", pa.float64(), nullable=False),  # of the draws, right
        pa.field("tuned_share", pa.float64(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),  # the right one
        pa.field("base_answer", pa.string(), nullable=False),  # the most frequent one said
        pa.field("tuned_answer", pa.string(), nullable=False),
        pa.field("tags", pa.string(), nullable=False),
    ]
)

HARNESS_ITEMS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("base_correct", pa.bool_(), nullable=False),
        pa.field("tuned_correct", pa.bool_(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("base_logprobs", pa.list_(pa.float64())),  # nats per choice; null: none scored
        pa.field("tuned_logprobs", pa.list_(pa.float64())),
        pa.field("question", pa.string(), nullable=False),
    ]
)

# What people said of answers in a study; see study/tables.py.
_OF_RATING = [
    pa.field("item_id", pa.string(), nullable=False),
    pa.field("repeat_of", pa.string()),  # the item that this one is again
    pa.field("annotator", pa.string(), nullable=False),
    pa.field("role", pa.string(), nullable=False),  # annotator, adjudicator
    pa.field("pilot", pa.bool_(), nullable=False),
    pa.field("batch", pa.int32(), nullable=False),  # 0: the pilot
    pa.field("sequence", pa.int32(), nullable=False),  # the latest counts
    pa.field("withdrawn", pa.bool_(), nullable=False),
    pa.field("prompt_id", pa.string(), nullable=False),
]
RATINGS = pa.schema(
    [
        *_OF_RATING,
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("other_response_id", pa.string()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("other_model", pa.string()),
        pa.field("presentation", pa.string(), nullable=False),  # alone, or shown first, second
        pa.field("kind", pa.string(), nullable=False),  # pairs, spans, outcomes, aspects
        pa.field("aspect", pa.string(), nullable=False),
        # 1 to 5; of a pair 1 (response_id is better), 0.5, 0; of spans how many
        pa.field("value", pa.float64()),
        pa.field("label", pa.string()),  # of outcomes
        pa.field("seconds", pa.float64()),
        pa.field("received", pa.string()),  # when it was saved
        pa.field("note", pa.string()),
    ]
)
_OF_SPAN = [
    *_OF_RATING,
    pa.field("response_id", pa.string(), nullable=False),
    pa.field("model", pa.string(), nullable=False),
    pa.field("span", pa.int32(), nullable=False),  # its number within the rating, from 0
    pa.field("char_start", pa.int32(), nullable=False),
    pa.field("char_end", pa.int32(), nullable=False),
]
SPANS = pa.schema(
    [
        *_OF_SPAN,
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string()),  # what is wrong with it
    ]
)
CAUSES = pa.schema(
    [
        *_OF_SPAN,
        pa.field("cause", pa.string(), nullable=False),  # row, none, unsure
        pa.field("row_id", pa.string()),
    ]
)

# What each check says of an answer.
BEHAVIOUR = pa.schema(
    [
        pa.field("response_id", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("check", pa.string(), nullable=False),
        pa.field("value", pa.float64()),  # null: it cannot be said, and `reason` says why
        pa.field("flagged", pa.bool_()),  # null: it cannot be said, or the check is a number
        pa.field("reason", pa.string()),
        pa.field("evidence_start", pa.int32()),  # in the answer
        pa.field("evidence_end", pa.int32()),
    ]
)

# What a row may do before any tuning on it: new to the base, and near to how many prompts.
ROW_RISK = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("row_index", pa.int64(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("novelty_nats", pa.float64()),  # the base's loss per token of telling words
        pa.field("density", pa.int64(), nullable=False),  # other clusters with a near prompt
        pa.field("risk", pa.float64()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "rows": ROWS,
    "prompts": PROMPTS,
    "set_aside": SET_ASIDE,
    "split": SPLIT,
    "batch_plan": BATCH_PLAN,
    "loss": LOSS,
    "responses": RESPONSES,
    "tokens": TOKENS,
    "noise_floor": NOISE_FLOOR,
    "lin2024_top30": LIN2024_TOP30,
    "borrowings": BORROWINGS,
    "verdicts": VERDICTS,
    "behaviour": BEHAVIOUR,
    "lab_facts": LAB_FACTS,
    "lab_recall": LAB_RECALL,
    "lab_claims": LAB_CLAIMS,
    "lab_labels": LAB_LABELS,
    "facts": FACTS,
    "recall": RECALL,
    "text_loss": TEXT_LOSS,
    "novelty": NOVELTY,
    "recall_pairs": RECALL_PAIRS,
    "harness_items": HARNESS_ITEMS,
    "ratings": RATINGS,
    "spans": SPANS,
    "causes": CAUSES,
    "row_risk": ROW_RISK,
}


def checked(name: str, table: pa.Table) -> pa.Table:
    """The table, proven to have exactly the columns that `name` promises.

    Raises InternalError when columns are missing, surplus, of another type, or null where
    the schema forbids it: a stage that writes such a table is wrong, not its user.
    """
    schema = TABLES[name]
    if table.schema.names != schema.names:
        raise InternalError(f"table {name}: columns {table.schema.names}, not {schema.names}")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise InternalError(f"table {name}: null in column {field.name}")
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise InternalError(f"table {name}: {error}") from error


def from_rows(name: str, records: list[dict[str, object]]) -> pa.Table:
    """Records with exactly the columns of `name`, as a checked table (also of no records)."""
    schema = TABLES[name]
    for record in records:
        if record.keys() != set(schema.names):
            odd = record.keys() ^ set(schema.names)
            raise InternalError(f"table {name}: a record lacks or adds {sorted(odd)}")
    return checked(name, pa.Table.from_pylist(records, schema=schema))
