"""Invalid JSON where JSON was asked for (pure)."""

import json
import re
from itertools import islice

from aftertune.behaviour.finding import Finding, clear, flag, unknown

MOST_TRIED = 200  # braces and brackets at which JSON may begin
NOT_ASKED = "the prompt does not ask for JSON"
# an answer in JSON, and not code or an explanation that has to do with it
_ASKED = re.compile(
    r"\b(?:(?:in|as|into|using|with|valid|only|to|return|output|produce|generate|create|write|give"
    r"|provide|respond with)(?: me)?(?: an?| the| your answer as| following| valid| raw| pure"
    r"| single| well-formed)* ?JSON\b(?! schema\b))|\bJSON (?:object|array|format|output|list"
    r"|response|only|string|document|file)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:code|function|script|program|python|javascript|typescript|java|c\+\+|c#|golang|rust"
    r"|explain|what is|what are|difference|compare|pars(?:e|er|ing)|seriali[sz]\w*|api|library"
    r"|how (?:do|can|to)|yaml|xml|csv|convert this json|sql)\b",
    re.IGNORECASE,
)
_FENCED = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_DECODER = json.JSONDecoder(parse_constant=lambda name: _refuse(name))


def json_asked(prompt: str) -> bool:
    """Whether the prompt asks for an answer in JSON, by phrases such as "as JSON", "JSON object".

    Prompts that also speak of code, parsing, other formats or explanations are left out: there
    JSON is a topic as often as a form.

    >>> json_asked("List three colours as JSON."), json_asked("What is JSON?")
    (True, False)
    """
    return bool(_ASKED.search(prompt)) and not _ABOUT.search(prompt)


def invalid_json(prompt: str, response: str, asked: bool | None = None) -> Finding:
    """Whether no JSON object or array can be read where the prompt asks for one.

    The whole answer is tried, then its fenced code, then what begins at each brace. value: 1 where
    the whole answer is JSON, 0.5 where it stands in other text, 0 where there is none. `NaN` is no
    JSON. asked: known from the prompt's tags; else `json_asked` decides.
    """
    if not (json_asked(prompt) if asked is None else asked):
        return unknown(NOT_ASKED)
    whole, why = _read(response.strip())
    if whole:
        return clear(1.0)
    places = [match.group(1).strip() for match in _FENCED.finditer(response)]
    if any(_read(place)[0] for place in places) or _somewhere(response):
        return clear(0.5, "JSON inside other text")
    start = next((at for at, c in enumerate(response) if c in "{["), None)
    reason = "no brace or bracket" if start is None else f"not readable: {why}"
    return flag(reason, start or 0, len(response), 0.0)


def _read(text: str) -> tuple[bool, str]:
    """Whether the text is one object or array; else why not."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return False, str(error).split(":")[0].lower()
    return isinstance(value, dict | list), "neither object nor array"


def _somewhere(response: str) -> bool:
    """Whether an object with a field, or an array of two values or of objects, begins somewhere.

    Smaller ones, like the [1] of a reference, stand in any text.
    """
    for match in islice(re.finditer(r"[{\[]", response), MOST_TRIED):
        try:
            value, _ = _DECODER.raw_decode(response, match.start())
        except (ValueError, RecursionError):
            continue
        if value and (isinstance(value, dict) or len(value) > 1 or isinstance(value[0], dict)):
            return True
    return False


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
