"""What `rows` and `prompts` are read from.

| format | fields of one object |
|---|---|
| alpaca | instruction, input (may be empty), output |
| dolly | instruction, context or input, response or output, category |
| lima | conversations: list of strings, user first; or instruction, input, output, history |
| prompt-completion | prompt, question, query or input; completion, answer, response or output |
| messages | messages: list of {role, content, ...}; tools |
| sharegpt | conversations: list of {from, value}; system, tools |
| preference | chosen, rejected, and the prompt where these do not hold it |
| self-instruct | instruction, instances: list of {input, output} |
| prompt | instruction (and input), prompt, question, query, text or input (prompts only) |
| turns | turns: list of strings, all the user's (prompts only) |

Upper and lower case in field names are not told apart.
"""

from typing import ClassVar, Literal

from pydantic import Field

from aftertune.config import StageConfig

RowFormat = Literal[
    "auto", "alpaca", "dolly", "lima", "prompt-completion", "messages", "sharegpt", "preference",
    "self-instruct",
]  # fmt: skip
Format = Literal[RowFormat, "prompt", "turns"]
Kind = Literal["rows", "prompts"]


class SourceConfig(StageConfig):
    """Where texts are read from, and how."""

    # The content's hash names the artefact, wherever the content lies; strict stops or changes
    # nothing.
    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "source", "revision", "strict"})

    source: str = Field(
        min_length=1,
        description="a file (JSON, JSON Lines, CSV, TSV, Parquet), a folder of such files, "
        "a hub id (owner/name or owner/name:subset), or embedded:pocket",
    )
    format: Format = "auto"
    # of a hub data set, or the list of this name in a JSON object of several lists
    split: str = "train"
    revision: str | None = None  # of a hub data set
    strict: bool = False  # stop at the first bad row instead of setting it aside
    limit: int | None = Field(default=None, ge=1)  # the first so many good items


class RowsConfig(SourceConfig):
    """Instruction-tuning rows."""

    format: RowFormat = "auto"


class PromptsConfig(SourceConfig):
    """Evaluation prompts."""
