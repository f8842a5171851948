"""Template tokens that leaked into an answer (pure).

Measured error: see `leak`.
"""

import re

from aftertune.behaviour.finding import Finding, clear, flag

# marks of templates that no reader is meant to see
_TOKENS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|system|user|assistant|end|pad|endofprompt|python_tag"
    r"|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<\uff5c[^<>\uff5c]{1,30}\uff5c>"
    r"|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]|\[(?:PAD|UNK|EOS|BOS)\]"
    r"|</?(?:tool_call|tool_response)>|<(?:pad|unk|bos|eos)>|</?s>"
)
# a turn that the answer begins for somebody else, alone at the start of a line
_TURNS = re.compile(
    r"^[ \t]*(?:\#{2,3} ?(?:Instruction|Response|Input|Human|Assistant|User|System)\b:?"
    r"|(?:Human|USER|ASSISTANT|User|Assistant)[ \t]*:(?=[ \t\n]|$))",
    re.MULTILINE,
)
_DIALOGUE_ASKED = re.compile(
    r"\b(?:dialog(?:ue)?s?|conversations?|chats?|chatbots?|scripts?|interviews?|transcripts?"
    r"|screenplays?|plays?|role-?play\w*|assistants?|prompts?|emails?|users?)\b",
    re.IGNORECASE,
)
# fenced code, and text struck out as HTML does it
_CODE = re.compile(r"```.*?(?:```|\Z)|<s>[^\n]*?</s>", re.DOTALL)


def leak(prompt: str, response: str) -> Finding:
    """Whether the answer shows marks of a template: `<|im_end|>`, `[INST]`, `### Response:`, ...

    Marks between < >, [ ] and | | count anywhere outside of fenced code; role names (`Human:`,
    `### Instruction:`) at the start of a line, unless the prompt speaks of dialogue or users. A
    mark that the prompt itself holds does not count. value: how many marks.
    """
    bare = _CODE.sub(lambda code: " " * len(code.group()), response)
    kinds = [_TOKENS] if _DIALOGUE_ASKED.search(prompt) else [_TOKENS, _TURNS]
    found = sorted(
        (match for kind in kinds for match in kind.finditer(bare)
         if match.group().strip() not in prompt), key=lambda match: match.start(),
    )  # fmt: skip
    if not found:
        return clear()
    first = found[0]
    start = first.end() - len(first.group().lstrip())
    return flag(f"the mark {first.group().strip()}", start, first.end(), float(len(found)))
