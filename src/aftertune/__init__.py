"""aftertune: what did instruction tuning do to your model?

    import aftertune as at

    result = at.audit(base="...", tuned={"mine": "..."}, prompts="prompts.jsonl")
    result.shift.to_pandas()
    result.report("report.html")

`at.open(folder)` opens any artefact. Importing this package loads nothing heavy.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "audit", "open", "trace_answers"]

if TYPE_CHECKING:
    from aftertune.artefact import open_artefact as open
    from aftertune.auditing import audit
    from aftertune.tracing import trace as trace_answers


def __getattr__(name: str) -> Any:
    """Load what is asked for, when it is asked for."""
    if name == "audit":
        from aftertune.auditing import audit

        return audit
    if name == "open":
        from aftertune.artefact import open_artefact

        return open_artefact
    if name == "trace_answers":  # `trace` is a room of this package
        from aftertune.tracing import trace

        return trace
    raise AttributeError(f"module 'aftertune' has no attribute {name!r}")
