"""Ids, loss mask and characters: what is trained, what is not, and what a prompt shares with it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.data import render, templates
from aftertune.data.render import render_prompt, render_row, stop_ids
from aftertune.errors import InputError, TemplateError
from made_tokenizers import (
    CHATML,
    CHATML_MARKED,
    DROPS_THINKING,
    LLAMA2,
    byte_level,
    sentencepiece_like,
)

MANNERS = {
    "chatml": (byte_level(CHATML), "chat"),
    "marked": (byte_level(CHATML_MARKED), "chat"),
    "thinking": (byte_level(DROPS_THINKING), "chat"),
    "llama2": (sentencepiece_like("first", LLAMA2), "chat"),
    "llama2-legacy": (sentencepiece_like("always", LLAMA2), "chat"),
    "alpaca": (byte_level(None), "alpaca"),
    "alpaca-sp": (sentencepiece_like(), "alpaca"),
    "human-assistant": (byte_level(None), "human-assistant"),
    "human-assistant-sp": (sentencepiece_like("always"), "human-assistant"),
    "raw-sp": (sentencepiece_like(), "raw"),
}
MANNERS_OF_ALL = [name for name in MANNERS if name != "thinking"]


def setting(name):
    tokenizer, template = MANNERS[name]
    return tokenizer, templates.get(template, tokenizer)


def user(content):
    return {"role": "user", "content": content}


def answer(content, **more):
    return {"role": "assistant", "content": content, **more}


def trained_text(rendered):
    """The characters of the trained tokens, by their offsets."""
    covered = set()
    for (start, end), trained in zip(rendered.offsets, rendered.loss_mask, strict=True):
        covered.update(range(start, end) if trained else ())
    return "".join(rendered.text[place] for place in sorted(covered))


def trained_ids(rendered):
    return [i for i, trained in zip(rendered.ids, rendered.loss_mask, strict=True) if trained]


CALLS = json.dumps(
    [{"id": "1", "type": "function",
      "function": {"name": "weather", "arguments": '{"town": "Köln \\"S\\"", "days": 3}'}}]
)  # fmt: skip
TOOLS = json.dumps([{"type": "function", "function": {"name": "weather", "parameters": {}}}])


# by hand ---------------------------------------------------------------------------------------


def test_chatml_by_hand():
    tokenizer, template = setting("chatml")
    found = render_row([user("in"), answer("he 🙂")], None, template, tokenizer)
    names = tokenizer.convert_ids_to_tokens(list(found.ids))
    prompt = [
        "<|im_start|>",
        *"user",
        "Ċ",
        "in",
        "<|im_end|>",
        "Ċ",
        "<|im_start|>",
        *"assistant",
        "Ċ",
    ]
    assert names == [*prompt, "he", "ĠðŁ", "ĻĤ", "<|im_end|>", "Ċ"]
    n = len(prompt)
    # the stop token is trained, the line break behind it is not
    assert found.loss_mask == (*[False] * n, True, True, True, True, False)
    text = "<|im_start|>user\nin<|im_end|>\n<|im_start|>assistant\nhe 🙂<|im_end|>\n"
    assert found.text == text
    at = text.index("he")
    # "he"; the space and half of the emoji; the emoji; the stop token's ten characters
    assert found.offsets[n:] == (
        (at, at + 2), (at + 2, at + 4), (at + 3, at + 4), (at + 4, at + 14), (at + 14, at + 15)
    )  # fmt: skip
    assert (found.n_cut, found.notes) == (0, ())


def test_llama2_by_hand():
    tokenizer, template = setting("llama2")
    found = render_row([user("a"), answer("he")], None, template, tokenizer)
    names = tokenizer.convert_ids_to_tokens(list(found.ids))
    assert names == [
        "<s>", *"[INST]", "▁a", "▁", *"[/INST]", "▁", "he", "▁", "</s>"
    ]  # fmt: skip
    assert trained_text(found) == " he </s>"


def test_no_space_is_put_before_an_answer_that_has_none():
    # encoded alone, "he" would become "▁he", which the model never writes behind a line break
    tokenizer, template = setting("alpaca-sp")
    found = render_row([user("a"), answer("he")], None, template, tokenizer)
    assert tokenizer.convert_ids_to_tokens(trained_ids(found)) == ["he", "</s>"]


def test_begin_token_is_added_once_where_the_tokenizer_does_so():
    tokenizer, template = setting("alpaca-sp")
    found = render_row([user("a"), answer("he")], None, template, tokenizer)
    assert found.ids[0] == tokenizer.bos_token_id
    assert found.ids.count(tokenizer.bos_token_id) == 1
    assert (found.offsets[0], found.loss_mask[0]) == ((0, 0), False)
    tokenizer, template = setting("llama2")  # which writes it itself
    found = render_row([user("a"), answer("he")], None, template, tokenizer)
    assert found.ids.count(tokenizer.bos_token_id) == 1
    assert found.offsets[0] == (0, 3)


def test_a_chat_template_without_begin_token_is_taken_at_its_word():
    tokenizer = sentencepiece_like(chat="{% for m in messages %}[{{ m.content }}]</s>{% endfor %}")
    template = templates.get("chat", tokenizer)
    found = render_row([user("a"), answer("he")], None, template, tokenizer)
    whole = tokenizer.apply_chat_template([user("a"), answer("he")], return_dict=False)
    assert tokenizer.bos_token_id not in found.ids
    assert list(found.ids) == whole
    assert render.NO_BEGIN in found.notes


@pytest.mark.parametrize("name", MANNERS)
def test_whole_texts_give_the_same_ids_where_no_token_crosses_a_bound(name):
    tokenizer, template = setting(name)
    found = render_row([user("the in?"), answer("He ran.")], None, template, tokenizer)
    whole = tokenizer(found.text, add_special_tokens=False).input_ids
    begin = [tokenizer.bos_token_id] if found.offsets[0] == (0, 0) else []
    if name != "llama2-legacy":  # puts a space behind each special token
        assert list(found.ids) == begin + whole


def test_stop_ids():
    assert stop_ids(*reversed(setting("chatml"))) == [2]
    tokenizer = byte_level(CHATML)
    tokenizer.eos_token = "<|endoftext|>"
    assert stop_ids(templates.get("chat", tokenizer), tokenizer) == [2, 0]
    assert stop_ids(templates.get("alpaca", tokenizer), tokenizer) == [0]
    # an end of turn in plain text is no stop token
    tokenizer = byte_level("{% for m in messages %}{{ m.content }}[END]{% endfor %}")
    tokenizer.eos_token = "<|endoftext|>"
    assert stop_ids(templates.get("chat", tokenizer), tokenizer) == [0]
    found = render_row([user("a"), answer("b")], None, templates.get("chat", tokenizer), tokenizer)
    assert render.NO_STOP in found.notes


def test_which_answers_are_trained():
    tokenizer, template = setting("chatml")
    turns = [user("a"), answer("one"), user("b"), answer("two"), user("c")]
    every = render_row(turns, None, template, tokenizer)
    assert trained_text(every) == "one<|im_end|>two<|im_end|>"
    last = render_row(turns, None, template, tokenizer, train_on="last")
    assert trained_text(last) == "two<|im_end|>"
    assert last.ids == every.ids
    assert every.notes == (render.TURNS_LEFT_OUT,)
    assert "c<|im_end|>" not in every.text


def test_nothing_of_a_prompt_is_trained_and_an_answer_is_no_prompt():
    tokenizer, template = setting("chatml")
    assert not any(render_prompt([user("a")], None, template, tokenizer).loss_mask)
    for messages in ([], [user("a"), answer("b")]):
        with pytest.raises(InputError, match="must end with"):
            render_prompt(messages, None, template, tokenizer)
    for messages in ([], [user("a")], [answer("b")], [answer("b"), user("a")]):
        with pytest.raises(InputError, match="without an answer"):
            render_row(messages, None, template, tokenizer)


def test_a_greeting_before_any_prompt_is_not_trained():
    tokenizer, template = setting("chatml")
    found = render_row([answer("hi"), user("a"), answer("b")], None, template, tokenizer)
    assert trained_text(found) == "b<|im_end|>"
    assert found.notes == (render.NO_PROMPT,)


def test_truncation_keeps_the_start_and_counts():
    tokenizer, template = setting("chatml")
    turns = [user("a"), answer("he said")]
    whole = render_row(turns, None, template, tokenizer)
    n = len(whole.ids)
    line_break = render_row(turns, None, template, tokenizer, max_length=n - 1)
    assert (line_break.n_cut, line_break.notes) == (1, ())  # only the line break is lost
    stop = render_row(turns, None, template, tokenizer, max_length=n - 2)
    assert (stop.n_cut, stop.notes) == (2, (render.STOP_LOST,))
    assert stop.ids == whole.ids[:-2]
    assert stop.offsets == whole.offsets[:-2]
    nothing = render_row(turns, None, template, tokenizer, max_length=3)
    assert nothing.notes == (render.STOP_LOST, render.NOTHING_TRAINED)
    assert render_row(turns, None, template, tokenizer, max_length=n) == whole


# how published templates end answers --------------------------------------------------------------

IN_TURN = "{{ '<|im_start|>' + m.role + '\n' + m.content }}"
LOOP = "{% for m in messages %}" + IN_TURN
PROMPT_END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def test_a_token_that_ends_the_conversation_is_not_the_answers():
    # as Phi-3 has it: the end token stands behind the last turn where nothing is asked for
    source = LOOP + "<|im_end|>\n{% endfor %}"
    source += (
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}{{ eos_token }}{% endif %}"
    )
    tokenizer = byte_level(source)
    tokenizer.eos_token = "<|endoftext|>"
    template = templates.get("chat", tokenizer)
    assert stop_ids(template, tokenizer) == [2, 0]
    found = render_row([user("a"), answer("b"), user("c"), answer("d")], None, template, tokenizer)
    assert trained_text(found) == "b<|im_end|>d<|im_end|>"
    assert found.text.endswith("d<|im_end|>\n<|endoftext|>")
    assert found.notes == ()


def test_the_last_answer_may_end_with_another_token():
    # as gpt-oss has it: earlier answers end with one token, the last with another
    source = LOOP + "{{ '<|endoftext|>' if loop.last and m.role == 'assistant' else '<|im_end|>' }}"
    tokenizer = byte_level(source + "{% endfor %}" + PROMPT_END)
    template = templates.get("chat", tokenizer)
    assert stop_ids(template, tokenizer) == [0, 2]
    found = render_row([user("a"), answer("b"), user("c"), answer("d")], None, template, tokenizer)
    assert trained_text(found) == "b<|im_end|>d<|endoftext|>"


def test_an_answer_may_end_with_two_tokens():
    tokenizer = byte_level(LOOP + "<|endoftext|><|im_end|>\n{% endfor %}" + PROMPT_END)
    template = templates.get("chat", tokenizer)
    assert stop_ids(template, tokenizer) == [2]
    found = render_row([user("a"), answer("b"), user("c"), answer("d")], None, template, tokenizer)
    assert trained_text(found) == "b<|endoftext|><|im_end|>d<|endoftext|><|im_end|>"


def test_a_call_may_end_with_a_token_of_its_own():
    source = LOOP + "{% if m.tool_calls %}{{ m.tool_calls | tojson }}<|endoftext|>"
    tokenizer = byte_level(source + "{% else %}<|im_end|>{% endif %}{% endfor %}" + PROMPT_END)
    template = templates.get("chat", tokenizer)
    assert stop_ids(template, tokenizer) == [2, 0]
    turns = [user("a"), answer("b", tool_calls=CALLS), user("c"), answer("d")]
    found = render_row(turns, None, template, tokenizer)
    call, words = trained_text(found).split("<|endoftext|>")
    assert call.startswith("b[{")
    assert words == "d<|im_end|>"


def test_an_answer_that_holds_the_stop_tokens_text_is_trained_to_its_own_end():
    tokenizer, template = setting("chatml")
    turns = [user("a"), answer("write <|im_end|> here"), user("c"), answer("<|im_end|>")]
    found = render_row(turns, None, template, tokenizer)
    assert trained_text(found) == "write <|im_end|> here<|im_end|><|im_end|><|im_end|>"
    assert found.notes == (render.SPECIAL_IN_TEXT,)


def test_stop_ids_are_known_where_prompts_are_no_beginnings():
    # as DeepSeek-R1 has it; such a model can be answered with, though not trained on as it is
    source = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
    tokenizer = byte_level(LOOP + "<|im_end|>\n{% endfor %}" + source)
    template = templates.get("chat", tokenizer)
    assert stop_ids(template, tokenizer) == [2]
    assert render_prompt([user("a")], None, template, tokenizer).text.endswith("<think>")
    with pytest.raises(TemplateError, match=r"asks for an answer with '<think>' where it shows"):
        render_row([user("a"), answer("b")], None, template, tokenizer)


# thinking, tools, templates that rewrite ---------------------------------------------------------


def test_thinking_is_rendered_or_noted():
    tokenizer, template = setting("thinking")
    turns = [user("a"), answer("b", thinking="let me see")]
    found = render_row(turns, None, template, tokenizer)
    assert trained_text(found) == "<think>\nlet me see\n</think>\n\nb<|im_end|>"
    assert found.notes == ()
    found = render_row(turns, None, *reversed(setting("chatml")))
    assert found.notes == (render.THINKING_LEFT_OUT,)


def test_a_template_that_rewrites_earlier_answers_is_noticed():
    tokenizer, template = setting("thinking")
    turns = [user("a"), answer("b", thinking="hm"), user("c"), answer("d", thinking="so")]
    with pytest.raises(TemplateError, match="train_on: last"):
        render_row(turns, None, template, tokenizer)
    found = render_row(turns, None, template, tokenizer, train_on="last")
    assert trained_text(found) == "<think>\nso\n</think>\n\nd<|im_end|>"
    assert found.notes == (render.REWRITTEN, render.THINKING_LEFT_OUT)
    prompt = render_prompt(turns[:3], None, template, tokenizer)
    assert prompt.ids == found.ids[: len(prompt.ids)]
    assert prompt.notes == (render.REWRITTEN, render.THINKING_LEFT_OUT)


def test_tool_calls_are_trained_as_objects():
    tokenizer, template = setting("thinking")
    turns = [user("a"), answer(None, tool_calls=CALLS)]
    found = render_row(turns, TOOLS, template, tokenizer)
    call = '{"name": "weather", "arguments": {"town": "Köln \\"S\\"", "days": 3}}'
    assert trained_text(found).endswith(f"<tool_call>{call}</tool_call><|im_end|>")
    assert found.text.startswith("<|im_start|>system\n[{")
    assert found.notes == ()


def test_templates_that_ignore_tools_are_noticed():
    found = render_row(
        [user("a"), answer("b", tool_calls=CALLS)], TOOLS, *reversed(setting("chatml"))
    )
    assert found.notes == (render.CALLS_LEFT_OUT, render.TOOLS_LEFT_OUT)


@pytest.mark.parametrize("name", ["alpaca", "human-assistant"])
def test_our_templates_write_tools_as_json(name):
    tokenizer, template = setting(name)
    turns = [
        user("a"),
        answer("Let me look.", tool_calls=CALLS),
        {"role": "tool", "content": "rain", "tool_call_id": "1", "name": "weather"},
        answer("It rains."),
    ]
    found = render_row(turns, TOOLS, template, tokenizer)
    assert found.notes == ("tool calls written as JSON text", "tools written as JSON text")
    assert found.text.startswith("Tools:\n[{")
    assert "Tool:" in found.text
    assert "rain" in found.text
    calls, final = trained_text(found).split("<|im_end|>")[:2]
    assert json.loads(calls.split("\n")[1])[0]["function"]["arguments"]["days"] == 3
    assert final.strip() == "It rains."


def test_broken_json_is_the_rows_fault():
    tokenizer, template = setting("chatml")
    with pytest.raises(InputError, match="tool_calls are not valid JSON"):
        render_row([user("a"), answer("b", tool_calls="[{")], None, template, tokenizer)
    with pytest.raises(InputError, match="tools must be a JSON list"):
        render_row([user("a"), answer("b")], "{}", template, tokenizer)


def test_a_template_that_refuses_a_role_says_so():
    tokenizer, template = setting("llama2")
    turns = [{"role": "system", "content": "s"}, user("a"), answer("b")]
    with pytest.raises(TemplateError, match="Only user and assistant roles are supported"):
        render_row(turns, None, template, tokenizer)


def test_a_template_without_generation_prompt_is_noticed():
    source = CHATML.partition("{% if add")[0]
    tokenizer = byte_level(source)
    found = render_row([user("a"), answer("b")], None, templates.get("chat", tokenizer), tokenizer)
    assert trained_text(found) == "<|im_start|>assistant\nb<|im_end|>"
    assert found.notes == (render.HEADER_TRAINED,)


def test_special_tokens_in_contents_are_noticed():
    tokenizer, template = setting("chatml")
    found = render_row([user("say <|im_end|>"), answer("b")], None, template, tokenizer)
    assert found.notes == (render.SPECIAL_IN_TEXT,)


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False
        bos_token = eos_token = None

        def __len__(self):
            return 3

        def apply_chat_template(self, chat, **options):
            return "".join(message["content"] for message in chat)

    template = templates.get("raw", byte_level())
    with pytest.raises(TemplateError, match="fast tokenizer"):
        render_row([user("a"), answer("b")], None, template, Slow())


# for all conversations ---------------------------------------------------------------------------

CONTENTS = st.text(
    st.one_of(
        st.sampled_from("the in\n :#🙂👩‍🚀é́日本עברית"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
TURNS = st.lists(st.tuples(CONTENTS, CONTENTS), min_size=1, max_size=3)


def conversation(turns):
    return [one for asked, said in turns for one in (user(asked), answer(said))]


@pytest.mark.parametrize("name", MANNERS_OF_ALL)
@settings(max_examples=30, deadline=None)
@given(turns=TURNS)
def test_prompts_are_beginnings_of_rows_and_answers_alone_are_trained(name, turns):
    tokenizer, template = setting(name)
    messages = conversation(turns)
    row = render_row(messages, None, template, tokenizer)
    ends = []
    for place in range(1, len(messages), 2):
        prompt = render_prompt(messages[:place], None, template, tokenizer)
        assert prompt.ids == row.ids[: len(prompt.ids)]
        assert prompt.offsets == row.offsets[: len(prompt.ids)]
        assert row.text.startswith(prompt.text)
        ends.append(len(prompt.ids))
    # each answer is one trained stretch from where its prompt ends to its stop token
    stops = stop_ids(template, tokenizer)
    expected = [False] * len(row.ids)
    for start in ends:
        stop = next(i for i in range(start, len(row.ids)) if row.ids[i] in stops)
        expected[start : stop + 1] = [True] * (stop + 1 - start)
    assert list(row.loss_mask) == expected
    for _, said in turns:
        assert said in trained_text(row)
    last = render_row(messages, None, template, tokenizer, train_on="last")
    assert last.ids == row.ids
    assert list(last.loss_mask) == [t and i >= ends[-1] for i, t in enumerate(row.loss_mask)]


@pytest.mark.parametrize("name", MANNERS_OF_ALL)
@settings(max_examples=20, deadline=None)
@given(turns=TURNS)
def test_offsets_cover_the_text_without_going_back(name, turns):
    tokenizer, template = setting(name)
    row = render_row(conversation(turns), None, template, tokenizer)
    assert len(row.ids) == len(row.loss_mask) == len(row.offsets)
    ends = [end for _, end in row.offsets]
    assert ends == sorted(ends)
    assert ends[-1] == len(row.text)
    reached = 0
    for start, end in row.offsets:
        assert start <= reached  # no gap
        reached = max(reached, end)


@settings(max_examples=30, deadline=None)
@given(turns=TURNS, length=st.integers(1, 120))
def test_truncation_is_a_cut_and_nothing_else(turns, length):
    tokenizer, template = setting("llama2")
    whole = render_row(conversation(turns), None, template, tokenizer)
    cut = render_row(conversation(turns), None, template, tokenizer, max_length=length)
    assert cut.ids == whole.ids[:length]
    assert cut.loss_mask == whole.loss_mask[:length]
    assert len(cut.ids) + cut.n_cut == len(whole.ids)
    assert (render.STOP_LOST in cut.notes) == any(whole.loss_mask[length:])
