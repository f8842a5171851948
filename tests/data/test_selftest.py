"""The self-test passes what is right and refuses every way of training the wrong tokens."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from aftertune.data import render, selftest, templates
from aftertune.data.render import render_row
from aftertune.data.selftest import Problem, Sample, check, coloured
from aftertune.errors import TemplateError
from made_tokenizers import (
    CHATML,
    CHATML_MARKED,
    CHATML_MARKED_SHORT,
    DROPS_THINKING,
    LLAMA2,
    byte_level,
    sentencepiece_like,
)

PAD = 0
MESSAGES = [
    {"role": "user", "content": "the in"},
    {"role": "assistant", "content": "he 🙂 said"},
    {"role": "user", "content": "and"},
    {"role": "assistant", "content": "in the end"},
]
SETTINGS = {
    "chatml": (byte_level(CHATML), "chat"),
    "marked": (byte_level(CHATML_MARKED), "chat"),
    "llama2": (sentencepiece_like("always", LLAMA2), "chat"),
    "alpaca": (sentencepiece_like(), "alpaca"),
    "human-assistant": (byte_level(None), "human-assistant"),
    "raw": (byte_level(None), "raw"),
}


def setting(name):
    tokenizer, template = SETTINGS[name]
    return tokenizer, templates.get(template, tokenizer)


def rendered(name, messages=MESSAGES, **more):
    tokenizer, template = setting(name)
    return render_row(messages, None, template, tokenizer, **more)


def looked_at(name, row, messages=MESSAGES, pad_id=PAD, **more):
    tokenizer, template = setting(name)
    return check([Sample(7, messages, row)], tokenizer, template, pad_id, **more)


def with_mask(row, **changes):
    """The row with other mask values at some places, given as p3=True or p7=False."""
    mask = list(row.loss_mask)
    for place, value in changes.items():
        mask[int(place[1:])] = value
    return replace(row, loss_mask=tuple(mask))


def bounds(row):
    """First and last place of each trained stretch."""
    mask = [False, *row.loss_mask, False]
    starts = [i for i in range(1, len(mask)) if mask[i] and not mask[i - 1]]
    ends = [i for i in range(1, len(mask)) if not mask[i] and mask[i - 1]]
    return [(start - 1, end - 2) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("name", SETTINGS)
def test_rows_that_are_right_pass(name):
    row = rendered(name)
    found = looked_at(name, row)
    assert found.problems == ()
    found.raise_if_failed()
    assert (found.n_rows, found.n_tokens) == (1, len(row.ids))
    assert found.n_trained_tokens == sum(row.loss_mask)
    assert (found.n_cut_rows, found.n_cut_tokens, found.n_lost_stop) == (0, 0, 0)
    last = looked_at(name, rendered(name, train_on="last"), train_on="last")
    assert last.problems == ()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("answer", [0, 1])
def test_an_untrained_stop_token_is_refused(name, answer):
    row = rendered(name)
    stop = bounds(row)[answer][1]
    found = looked_at(name, with_mask(row, **{f"p{stop}": False}))
    assert [problem.row_index for problem in found.problems] == [7]
    assert "no stop token is trained" in found.problems[0].what
    with pytest.raises(TemplateError, match=r"row 7: message \d: no stop token") as caught:
        found.raise_if_failed()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trained_prompt_is_refused(name):
    row = rendered(name)
    everything = replace(row, loss_mask=(True,) * len(row.ids))
    assert "is trained and part of no answer" in looked_at(name, everything).problems[-1].what
    first = looked_at(name, with_mask(row, p0=True))
    assert first.problems[0].what.startswith("token 0 (")


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("by", [1, -1])
def test_a_mask_shifted_by_one_is_refused(name, by):
    row = rendered(name)
    mask = row.loss_mask
    shifted = (*mask[1:], False) if by < 0 else (False, *mask[:-1])
    found = looked_at(name, replace(row, loss_mask=shifted))
    assert len(found.problems) >= 2
    if by > 0:
        assert found.problems[0].what == "message 2: the beginning of the answer is not trained"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_single_wrong_mask_value_is_refused(name):
    row = rendered(name)
    for place, value in enumerate(row.loss_mask):
        assert looked_at(name, with_mask(row, **{f"p{place}": not value})).problems, place


@pytest.mark.parametrize("name", SETTINGS)
def test_an_answer_that_is_missing_from_the_ids_is_refused(name):
    row = rendered(name)
    start, end = bounds(row)[1]
    keep = [i for i in range(len(row.ids)) if not start <= i < end]  # all but the stop token
    short = replace(
        row,
        ids=tuple(row.ids[i] for i in keep),
        loss_mask=tuple(row.loss_mask[i] for i in keep),
        offsets=tuple(row.offsets[i] for i in keep),
    )
    whats = [problem.what for problem in looked_at(name, short).problems]
    assert whats == ["message 4: the answer 'in the end' is not trained from end to end"]


def test_a_row_of_other_messages_is_refused():
    other = [{"role": "user", "content": "other"}, *MESSAGES[1:]]
    found = looked_at("chatml", rendered("chatml"), messages=other)
    assert found.problems == (
        Problem(7, "message 2: the ids of its prompt are not the beginning of the row"),
    )


def test_an_answer_that_was_not_chosen_is_refused():
    found = looked_at("chatml", rendered("chatml"), train_on="last")
    assert "part of no answer" in found.problems[0].what
    found = looked_at("chatml", rendered("chatml", train_on="last"), train_on="all")
    assert found.problems[0].what == "message 2: the beginning of the answer is not trained"


def test_trained_padding_is_refused():
    row = rendered("chatml")
    padded = replace(
        row,
        ids=(*row.ids, PAD),
        loss_mask=(*row.loss_mask, True),
        offsets=(*row.offsets, (len(row.text),) * 2),
    )
    whats = [problem.what for problem in looked_at("chatml", padded).problems]
    assert "padding is trained" in whats
    assert looked_at("chatml", with_mask(padded, **{f"p{len(row.ids)}": False})).problems == ()


def test_padding_that_is_the_stop_token_is_noted_and_no_problem():
    found = looked_at("chatml", rendered("chatml"), pad_id=2)
    assert found.problems == ()
    assert found.notes[selftest.PAD_IS_STOP] == 1
    assert looked_at("chatml", rendered("chatml"), pad_id=None).problems == ()


def test_masks_and_ids_of_other_lengths_are_refused():
    row = rendered("chatml")
    found = looked_at("chatml", replace(row, loss_mask=row.loss_mask[:-1]))
    assert "mask values" in found.problems[0].what


def test_no_rows_and_no_trained_token_are_refused():
    tokenizer, template = setting("chatml")
    with pytest.raises(TemplateError, match="no rendered row"):
        check([], tokenizer, template, PAD).raise_if_failed()
    found = looked_at("chatml", rendered("chatml", max_length=3))
    assert (found.n_trained_tokens, found.n_lost_stop, found.problems) == (0, 1, ())
    with pytest.raises(TemplateError, match="no token of any row is trained"):
        found.raise_if_failed()


def test_truncation_is_counted_and_no_problem():
    whole = rendered("chatml")
    for length in range(1, len(whole.ids) + 1):
        row = rendered("chatml", max_length=length)
        found = looked_at("chatml", row)
        assert found.problems == (), length
        assert (found.n_cut_rows, found.n_cut_tokens) == (int(row.n_cut > 0), row.n_cut)
        assert found.n_lost_stop == int(render.STOP_LOST in row.notes)
    # and a cut row can still be wrong
    row = rendered("chatml", max_length=len(whole.ids) - 4)
    for place, value in enumerate(row.loss_mask):
        assert looked_at("chatml", with_mask(row, **{f"p{place}": not value})).problems, place


CALLS = json.dumps(
    [{"type": "function", "function": {"name": "weather", "arguments": '{"town": "Bonn", "d": 3}'}}]
)


def called(source):
    tokenizer = byte_level(source)
    template = templates.get("chat", tokenizer)
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": CALLS},
    ]
    row = render_row(messages, None, template, tokenizer)
    return check([Sample(0, messages, row)], tokenizer, template, PAD)


def test_tool_calls_must_be_trained():
    assert called(DROPS_THINKING).problems == ()
    lost = called(CHATML)
    assert lost.problems == (Problem(0, "message 2: the tool call's 'weather' is not trained"),)
    assert lost.notes[render.CALLS_LEFT_OUT] == 1
    half = called(DROPS_THINKING.replace("call['function'] | tojson", "call['function']['name']"))
    assert half.problems == (Problem(0, "message 2: the tool call's 'town' is not trained"),)


def test_a_template_whose_end_of_turn_is_no_token_is_refused():
    tokenizer = byte_level("{% for m in messages %}{{ m.content }}[END]{% endfor %}")
    template = templates.get("chat", tokenizer)
    row = render_row(MESSAGES, None, template, tokenizer)
    found = check([Sample(0, MESSAGES, row)], tokenizer, template, PAD)
    assert "it ends with" in found.problems[0].what
    assert found.notes[render.NO_STOP] == 1


def test_generation_markers_are_compared_with_what_is_trained():
    def notes(source):
        tokenizer = byte_level(source)
        template = templates.get("chat", tokenizer)
        row = render_row(MESSAGES, None, template, tokenizer)
        found = check([Sample(0, MESSAGES, row)], tokenizer, template, PAD)
        assert found.problems == ()
        return set(found.notes)

    assert notes(CHATML_MARKED) == set()
    assert notes(CHATML_MARKED_SHORT) == {selftest.MARKERS_DISAGREE}
    assert notes(CHATML) == {selftest.NO_MARKERS}


def test_changed_white_space_is_noted_and_changed_words_are_refused():
    def found(change):
        tokenizer = byte_level(CHATML.replace("m['content']", f"m['content'] | {change}"))
        template = templates.get("chat", tokenizer)
        messages = [MESSAGES[0], {"role": "assistant", "content": " He said "}]
        row = render_row(messages, None, template, tokenizer)
        return check([Sample(0, messages, row)], tokenizer, template, PAD)

    trimmed = found("trim")
    assert trimmed.problems == ()
    assert trimmed.notes[selftest.SPACE_CHANGED] == 1
    assert "is not trained from end to end" in found("upper").problems[0].what


def test_notes_of_rows_are_counted():
    tokenizer, template = setting("chatml")
    thinking = [MESSAGES[0], {**MESSAGES[1], "thinking": "hm"}]
    samples = [
        Sample(index, messages, render_row(messages, None, template, tokenizer))
        for index, messages in enumerate([thinking, MESSAGES, thinking])
    ]
    found = check(samples, tokenizer, template, PAD)
    assert found.notes == {render.THINKING_LEFT_OUT: 2, selftest.NO_MARKERS: 3}


@settings(max_examples=25, deadline=None)
@given(
    said=st.lists(
        st.text(
            st.one_of(st.sampled_from("the in\n🙂é́日ע"), st.characters(exclude_categories=["Cs"]))
        ),
        min_size=1,
        max_size=3,
    ),
    name=st.sampled_from(sorted(SETTINGS)),
    data=st.data(),
)
def test_any_conversation_passes_and_any_sabotage_is_seen(said, name, data):
    messages = [
        message
        for content in said
        for message in (
            {"role": "user", "content": "a" + content},
            {"role": "assistant", "content": content},
        )
    ]
    row = rendered(name, messages)
    assert looked_at(name, row, messages).problems == ()
    place = data.draw(st.integers(0, len(row.ids) - 1))
    broken = with_mask(row, **{f"p{place}": not row.loss_mask[place]})
    assert looked_at(name, broken, messages).problems != ()


# the coloured row ---------------------------------------------------------------------------------


def test_coloured_shows_what_is_trained_and_names_the_stop_token():
    tokenizer, _ = setting("chatml")
    shown = coloured(rendered("chatml"), tokenizer, 60)
    assert shown.plain == (
        "<|im_start|>user↵\nthe in<|im_end|>↵\n<|im_start|>assistant↵\n⟦he 🙂 said<|im_end|>⟧↵\n"
        "<|im_start|>user↵\nand<|im_end|>↵\n<|im_start|>assistant↵\n⟦in the end<|im_end|>⟧↵\n"
    )
    green = "".join(shown.plain[s.start : s.end] for s in shown.spans if "green" in str(s.style))
    assert green == "he 🙂 said<|im_end|>in the end<|im_end|>"


def test_coloured_shows_a_begin_token_and_escapes_control_characters():
    tokenizer, _ = setting("alpaca")
    messages = [MESSAGES[0], {"role": "assistant", "content": "\x1b[31m\x07\tred"}]
    shown = coloured(rendered("alpaca", messages), tokenizer, 200).plain
    assert shown.startswith("<s>Below")
    assert shown.endswith("⟦\\x1b[31m\\x07⇥red</s>⟧")


def test_coloured_never_exceeds_the_width_and_leaves_the_middle_of_long_rows_out():
    tokenizer, _ = setting("chatml")
    messages = [MESSAGES[0], {"role": "assistant", "content": "word " * 800}]
    row = rendered("chatml", messages)
    lines = coloured(row, tokenizer, 50).plain.split("\n")
    assert len(lines) == 40
    assert max(map(len, lines)) <= 50
    assert any("lines …" in line for line in lines)
    assert "<|im_end|>⟧" in "".join(lines)
    cut = coloured(rendered("chatml", messages, max_length=30), tokenizer, 50).plain
    assert cut.endswith("tokens cut off")


def test_coloured_prints_without_colours(capsys):
    tokenizer, _ = setting("chatml")
    Console(width=80, color_system=None).print(coloured(rendered("chatml"), tokenizer, 78))
    assert "⟦in the end<|im_end|>⟧" in capsys.readouterr().out


# real rows ----------------------------------------------------------------------------------------


def real_rows(folder, name, n):
    """Messages and tags of the last `n` rows of an instruction set with Alpaca's fields."""
    rows = json.loads((folder / "it" / name).read_text(encoding="utf-8"))[-n:]
    for row in rows:
        asked = "\n\n".join(filter(None, [row["instruction"], row.get("input")]))
        turns = [*row.get("history", []), (asked, row["output"])]
        messages = [
            {"role": role, "content": content}
            for turn in turns
            for role, content in zip(("user", "assistant"), turn, strict=True)
        ]
        yield messages, {"alpaca_input": row["input"]} if row.get("input") else {}


def check_real_rows(folder, name, n, tokenizer, template, **more):
    samples = []
    for index, (messages, tags) in enumerate(real_rows(folder, name, n)):
        row = render_row(messages, None, template, tokenizer, tags=tags, **more)
        samples.append(Sample(index, messages, row, tags=tags))
    return check(samples, tokenizer, template, PAD)


@pytest.mark.parametrize("data", ["alpaca_18k.json", "dolly_3k.json", "lima.json"])
@pytest.mark.parametrize("name", ["chatml", "llama2", "alpaca"])
def test_real_rows_pass(shared_data, name, data):
    tokenizer, template = setting(name)
    found = check_real_rows(shared_data, data, 60, tokenizer, template, max_length=1024)
    found.raise_if_failed()
    assert found.problems == ()
    assert found.n_rows == 60
    assert found.n_trained_tokens > 1000


@pytest.mark.slow
@pytest.mark.parametrize("template", ["chat", "alpaca", "human-assistant", "raw", "few-shot"])
def test_real_rows_pass_with_the_embedded_model(shared_data, template):
    from aftertune.models.load import load_tokenizer  # loads torch

    tokenizer = load_tokenizer("embedded:smollm2-135m")
    chosen = templates.get(template, tokenizer)
    for data in ("dolly_3k.json", "lima.json"):
        found = check_real_rows(shared_data, data, 100, tokenizer, chosen)
        assert found.problems == ()
        assert found.notes.get(selftest.PAD_IS_STOP, 0) == 0  # PAD is 0 here, the stop token 2
    assert render.stop_ids(chosen, tokenizer) == [2]


# chat templates that TRL carries, which are those of published models; 266.. are their end tokens
ENDS = ["<|eot_id|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "</s>"]
PUBLISHED = ["qwen2_5", "qwen3_training", "llama3_1", "gemma3", "phi3", "gptoss"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates_pass(name):
    trl = find_spec("trl")  # importing it takes seconds
    assert trl is not None
    assert trl.origin is not None
    file = Path(trl.origin).parent / "chat_templates" / f"{name}.jinja"
    if not file.is_file():
        pytest.skip(f"this version of TRL has no {name}.jinja")
    tokenizer = byte_level(file.read_text())
    tokenizer.add_tokens(ENDS, special_tokens=True)
    tokenizer.bos_token = "<|endoftext|>"
    template = templates.get("chat", tokenizer)
    row = render_row(MESSAGES, None, template, tokenizer)
    found = check([Sample(0, MESSAGES, row)], tokenizer, template, PAD)
    assert found.problems == ()
    trained = [i for i, yes in zip(row.ids, row.loss_mask, strict=True) if yes]
    assert tokenizer.decode(trained).count("he 🙂 said") == 1
    assert tokenizer.decode(trained).count("the in") == 0
