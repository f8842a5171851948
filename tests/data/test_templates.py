"""What every template writes, letter by letter, and what it refuses."""

import hashlib

import pytest

from aftertune.data import templates
from aftertune.data.render import render_prompt, render_row, stop_ids
from aftertune.data.selftest import Sample, check
from aftertune.errors import TemplateError, UserError
from made_tokenizers import CHATML, byte_level, sentencepiece_like

TURNS = [
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "I."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "Now."},
]
ALPACA_START = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n"
)
ALPACA_START_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
)


def row(name, messages, tokenizer=None, **more):
    tokenizer = tokenizer or byte_level(chat=None)
    return render_row(messages, None, templates.get(name, tokenizer), tokenizer, **more).text


def prompt(name, messages, **more):
    tokenizer = byte_level(chat=None)
    return render_prompt(messages, None, templates.get(name, tokenizer), tokenizer, **more).text


def test_alpaca_without_input():
    assert row("alpaca", TURNS[:2]) == f"{ALPACA_START}Who?\n\n### Response:\nI.<|im_end|>"
    assert prompt("alpaca", TURNS[:1]) == f"{ALPACA_START}Who?\n\n### Response:\n"


def test_alpaca_with_input_takes_it_from_the_tags():
    messages = [
        {"role": "user", "content": "Add them.\n\n1 and\n\n2"},
        {"role": "assistant", "content": "3"},
    ]
    expected = f"{ALPACA_START_WITH_INPUT}Add them.\n\n### Input:\n1 and\n\n2\n\n### Response:\n"
    tags = {"alpaca_input": "1 and\n\n2"}
    assert row("alpaca", messages, tags=tags) == expected + "3<|im_end|>"
    assert prompt("alpaca", messages[:1], tags=tags) == expected
    # a tag that is not the end of the content is not this row's input
    whole = f"{ALPACA_START}Add them.\n\n1 and\n\n2\n\n### Response:\n3<|im_end|>"
    assert row("alpaca", messages, tags={"alpaca_input": "3"}) == whole
    assert row("alpaca", messages, tags={"alpaca_input": None}) == whole
    # and no other template splits it
    assert row("raw", messages, tags=tags) == "Add them.\n\n1 and\n\n23<|im_end|>"


def test_alpaca_with_several_turns_and_a_system_message():
    system = {"role": "system", "content": "Be brief."}
    assert row("alpaca", [system, *TURNS]) == (
        "Be brief.\n\n### Instruction:\nWho?\n\n### Response:\nI.<|im_end|>"
        "\n\n### Instruction:\nWhen?\n\n### Response:\nNow.<|im_end|>"
    )


def test_human_assistant():
    system = {"role": "system", "content": "Be brief."}
    expected = "Be brief.\n\nHuman: Who?\n\nAssistant: I.<|im_end|>\n\nHuman: When?\n\nAssistant:"
    assert row("human-assistant", [system, *TURNS]) == expected + " Now.<|im_end|>"
    assert prompt("human-assistant", [system, *TURNS[:3]]) == expected


def test_raw_joins_contents():
    assert row("raw", TURNS) == "Who?I.<|im_end|>When?Now.<|im_end|>"
    assert prompt("raw", TURNS[:3]) == "Who?I.<|im_end|>When?"


def test_few_shot_shows_three_answers_before_the_question():
    system = {"role": "system", "content": "Be brief."}
    whole = row("few-shot", [system, *TURNS])
    begin, asked = whole.split("\n\nBe brief.")
    assert asked == (
        "\n\n# Question\nWho?\n\n# Answer\nI.<|im_end|>"
        "\n\n# Question\nWhen?\n\n# Answer\nNow.<|im_end|>"
    )
    preamble, *examples = begin.split("\n\n# Question\n")
    assert preamble.startswith("Below are questions")
    assert len(examples) == 3
    for example in examples:
        question, answer = example.split("\n\n# Answer\n")
        assert question.rstrip() == question
        assert answer.endswith(".<|im_end|>")
        assert answer.count("<|im_end|>") == 1
    assert prompt("few-shot", [system, *TURNS[:3]]) == whole.removesuffix("Now.<|im_end|>")
    tool = {"role": "tool", "content": "12:00"}
    assert prompt("few-shot", [*TURNS[:1], tool]).endswith(
        "\n\n# Question\nWho?\n\n# Tool\n12:00\n\n# Answer\n"
    )


@pytest.mark.parametrize("tokenizer", [byte_level(chat=None), sentencepiece_like("always")])
def test_few_shot_trains_the_answers_and_none_of_its_examples(tokenizer):
    template = templates.get("few-shot", tokenizer)
    found = render_row(TURNS, None, template, tokenizer)
    begin = render_prompt(TURNS[:3], None, template, tokenizer)
    assert found.ids[: len(begin.ids)] == begin.ids
    check([Sample(0, TURNS, found)], tokenizer, template, None).raise_if_failed()
    assert found.text.count(tokenizer.eos_token) == 5
    trained = [i for i, mask in zip(found.ids, found.loss_mask, strict=True) if mask]
    assert trained.count(tokenizer.eos_token_id) == 2
    assert stop_ids(template, tokenizer) == [tokenizer.eos_token_id]


@pytest.mark.parametrize("name", templates.BUILTIN)
def test_no_prompt_ends_with_a_space(name):
    assert not prompt(name, TURNS[:3]).endswith(" ")


def test_contents_are_never_read_as_jinja():
    messages = [
        {"role": "user", "content": "{{ 1 + 1 }}{% if x %}"},
        {"role": "assistant", "content": "{# no #}"},
    ]
    assert row("raw", messages) == "{{ 1 + 1 }}{% if x %}{# no #}<|im_end|>"


def test_auto_is_chat_where_there_is_one_and_else_alpaca():
    chat = templates.get("auto", byte_level())
    assert (chat.name, chat.kind, chat.source) == ("chat", "tokenizer", CHATML)
    assert chat.sha256 == hashlib.sha256(CHATML.encode()).hexdigest()
    other = templates.get("auto", byte_level(chat=None))
    assert (other.name, other.kind) == ("alpaca", "builtin")
    assert other == templates.get("alpaca", byte_level(chat=None))


def test_a_file_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "mine.jinja"
    source = "{% for m in messages %}{{ bos_token }}[{{ m.content }}]{% endfor %}"
    file.write_text(source, encoding="utf-8-sig")
    found = templates.get(str(file), sentencepiece_like())
    assert (found.name, found.kind, found.source) == (str(file), "file", source)
    assert row(str(file), TURNS[:2], sentencepiece_like()) == "<s>[Who?]<s>[I.]"


def test_dates_do_not_change_from_day_to_day(tmp_path):
    file = tmp_path / "dated.jinja"
    file.write_text(
        '{{ strftime_now("%d %b %Y") }}{% for m in messages %}{{ m.content }}{% endfor %}'
    )
    assert prompt(str(file), TURNS[:1]) == "26 Jul 2024Who?"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for m in messages %}{{ m.content }}", "not valid Jinja"),
        ("Hello", "never uses `messages`"),
        (None, "no template"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, source, message):
    file = tmp_path / "bad.jinja"
    if source is not None:
        file.write_text(source)
    with pytest.raises(TemplateError, match=message) as caught:
        templates.get(str(file), byte_level())
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_chat_without_a_chat_template_says_what_to_do():
    with pytest.raises(TemplateError, match="--template"):
        templates.get("chat", byte_level(chat=None))


def test_several_chat_templates_need_a_default():
    tokenizer = byte_level()
    tokenizer.chat_template = {"default": CHATML, "tool_use": "{{ messages }}"}
    assert templates.get("chat", tokenizer).source == CHATML
    tokenizer.chat_template = {"one": CHATML, "two": CHATML}
    with pytest.raises(TemplateError, match="several chat templates"):
        templates.get("chat", tokenizer)


def test_our_templates_need_an_end_token():
    tokenizer = byte_level(chat=None)
    tokenizer.eos_token = None
    with pytest.raises(TemplateError, match="eos_token"):
        templates.get("alpaca", tokenizer)


def test_a_file_cannot_leave_the_sandbox(tmp_path):
    file = tmp_path / "evil.jinja"
    file.write_text("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    tokenizer = byte_level()
    with pytest.raises(TemplateError, match="cannot render"):
        render_prompt(TURNS[:1], None, templates.get(str(file), tokenizer), tokenizer)
