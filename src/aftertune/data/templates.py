"""Templates: how a conversation becomes text.

Every template, ours too, is Jinja source with the variables of Hugging Face chat templates
(`messages`, `tools`, `add_generation_prompt`, `bos_token`, `eos_token`), and is rendered by
transformers in its sandbox.

| name | source |
|---|---|
| `auto` | `chat` where the tokenizer has a chat template, else `alpaca` |
| `chat` | the tokenizer's own chat template |
| `alpaca` | Stanford Alpaca's two preambles, with and without input |
| `human-assistant` | `Human: ...`, `Assistant: ...`, parted by empty lines |
| `few-shot` | three questions with answers, then the question: draws answers from a base model |
| `raw` | the contents one behind the other, without any marker |
| a path | a Jinja file |

Our own templates end every answer with the tokenizer's end token, which is therefore trained.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import jinja2

from aftertune.errors import TemplateError

# As published with Stanford Alpaca, but for one character: the answer begins on a line of its
# own, as in the trainers that took the template over, so that the first token of an answer is
# not glued to a colon. A system message takes the preamble's place; further turns repeat
# Instruction and Response.
_ALPACA = (
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% elif messages | selectattr('input', 'defined') | list %}"
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request."
    "{% else %}"
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request."
    "{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}"
    "{{ '\n\n### Response:\n' + message.content + eos_token }}"
    "{% elif message.role == 'system' %}"
    "{% if not loop.first %}{{ '\n\n' + message.content }}{% endif %}"
    "{% elif message.role == 'tool' %}{{ '\n\n### Tool:\n' + message.content }}"
    "{% else %}{{ '\n\n### Instruction:\n' + message.content }}"
    "{% if message.input is defined %}{{ '\n\n### Input:\n' + message.input }}{% endif %}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n\n### Response:\n' }}{% endif %}"
)

# The prompt ends with "Assistant:" and the answer begins with the space, since vocabularies hold
# words with the space before them; a prompt that ends with a space is foreign to a model.
_HUMAN_ASSISTANT = (
    "{% for message in messages %}"
    "{% if not loop.first %}{{ '\n\n' }}{% endif %}"
    "{% if message.role == 'assistant' %}{{ 'Assistant: ' + message.content + eos_token }}"
    "{% elif message.role == 'system' %}{{ message.content }}"
    "{% elif message.role == 'tool' %}{{ 'Tool: ' + message.content }}"
    "{% else %}{{ 'Human: ' + message.content }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n\nAssistant:' }}{% endif %}"
)

_RAW = (
    "{% for message in messages %}"
    "{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)

# Shows a base model, which goes on with what it has seen, three answers before the question (the
# idea of in-context alignment: Lin et al., "The Unlocking Spell on Base LLMs", 2024; the text is
# our own). The examples end with the end token too: nothing else tells such a model that answers
# end with it. A system message stands behind them, where the conversation begins.
_FEW_SHOT = (
    "Below are questions that people asked a helpful assistant, with its answers. The assistant is "
    "friendly, answers what was asked, explains its reasons, and says so when it is not sure."
    "\n\n# Question\nWhy do bread and cakes rise in the oven?"
    "\n\n# Answer\nBread and cakes rise because gas is trapped in the dough and expands when it is "
    "heated. In bread the gas comes from yeast, which turns sugar into carbon dioxide. In most "
    "cakes it comes from baking powder, or from air that was beaten into the eggs. The heat then "
    "sets the flour and the eggs, so that the bubbles stay.{{ eos_token }}"
    "\n\n# Question\nI keep putting off work that bores me. What could I try?"
    "\n\n# Answer\nMany people know this problem, and small changes often help. Choose one task "
    "and give it just ten minutes, since beginning is usually the hardest part. Leave your phone "
    "in another room meanwhile. If the task still looks too big, write down its very first step "
    "and do only that one. However, if you avoid the same task again and again, it may be worth "
    "asking whether it could be dropped, or done by somebody else.{{ eos_token }}"
    "\n\n# Question\nList four things to check before a long bicycle ride."
    "\n\n# Answer\nHere are four things to check:"
    "\n\n1. Tyres: pump them up, and look for cuts and worn places."
    "\n2. Brakes: pull both levers hard; the bicycle should not roll."
    "\n3. Chain: clean off the dirt and put on a little oil."
    "\n4. Bags: pack water, food, a spare tube and the tools to fit it."
    "\n\nThen ride around the block once, and listen for anything that rattles.{{ eos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}{{ '\n\n# Answer\n' + message.content + eos_token }}"
    "{% elif message.role == 'system' %}{{ '\n\n' + message.content }}"
    "{% elif message.role == 'tool' %}{{ '\n\n# Tool\n' + message.content }}"
    "{% else %}{{ '\n\n# Question\n' + message.content }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n\n# Answer\n' }}{% endif %}"
)

BUILTIN = {
    "alpaca": _ALPACA,
    "human-assistant": _HUMAN_ASSISTANT,
    "few-shot": _FEW_SHOT,
    "raw": _RAW,
}

# Chat templates that write today's date would give other token ids every day; they get this one.
_DATE = datetime(2024, 7, 26)
_STRFTIME_NOW = re.compile(r"strftime_now\(\s*(['\"])([^'\"]*)\1\s*\)")


@dataclass(frozen=True)
class Template:
    """Jinja source, whence it comes (`kind`), and the sha256 of the source."""

    name: str  # one of BUILTIN, chat, or the path as given
    kind: Literal["builtin", "tokenizer", "file"]
    source: str
    sha256: str


def get(name: str, tokenizer: Any) -> Template:
    """The template called `name` (see above), for `tokenizer`; `auto` is decided here.

    In chat templates and files, `strftime_now("...")` is replaced by a fixed date, so that the
    same row has the same ids on every day.

    Raises TemplateError when there is no such template, when it is not valid Jinja, or when the
    tokenizer lacks what it needs (a chat template; an end token for ours).
    """
    if name == "auto":
        name = "chat" if tokenizer.chat_template else "alpaca"
    if name in BUILTIN:
        if tokenizer.eos_token is None:
            raise TemplateError(
                f"the template {name} ends answers with the tokenizer's end token, and this "
                "tokenizer has none: set its eos_token, or give a Jinja file that ends answers."
            )
        return _template(name, "builtin", BUILTIN[name])
    source = _fixed_date(_chat_template(tokenizer) if name == "chat" else _file(name))
    _check_syntax(name, source, tokenizer)
    return _template(name, "tokenizer" if name == "chat" else "file", source)


def _template(name: str, kind: Literal["builtin", "tokenizer", "file"], source: str) -> Template:
    return Template(name, kind, source, hashlib.sha256(source.encode()).hexdigest())


def _chat_template(tokenizer: Any) -> str:
    if not tokenizer.chat_template:
        raise TemplateError(
            f"this tokenizer has no chat template: choose {', '.join(BUILTIN)} with "
            "--template, or give the path of a Jinja file."
        )
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise TemplateError(
            "this tokenizer has several chat templates and none is called default: save the one "
            "to use as a Jinja file and give its path with --template."
        ) from error


def _file(name: str) -> str:
    path = Path(name)
    known = ", ".join(["auto", "chat", *BUILTIN])
    if not path.is_file():
        raise TemplateError(f"no template {name!r}: use {known}, or the path of a Jinja file.")
    try:
        source = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"cannot read the template {name}: {error}.") from error
    if "messages" not in source:
        raise TemplateError(
            f"the template {name} never uses `messages`: write it like the chat templates of "
            "Hugging Face tokenizers."
        )
    return source


def _fixed_date(source: str) -> str:
    return _STRFTIME_NOW.sub(lambda match: repr(_DATE.strftime(match[2])), source)


def _check_syntax(name: str, source: str, tokenizer: Any) -> None:
    """Raises TemplateError when `source` is not Jinja; whether it likes a row shows later."""
    probe = [{"role": "user", "content": "probe"}]
    try:
        tokenizer.apply_chat_template(probe, chat_template=source, tokenize=False)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"the template {name} is not valid Jinja: {error.message} in line {error.lineno}."
        ) from error
    except Exception:  # a template may refuse this conversation and still serve the user's rows
        return
