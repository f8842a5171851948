"""The embedded model's one conversion: whole or absent, once, also with several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from aftertune.errors import ModelError
from aftertune.models import embedded
from aftertune.models.identity import identity
from aftertune.models.load import load, load_tokenizer
from aftertune.models.packaged import embedded_gguf
from aftertune.models.precision import parameter_count
from aftertune.models.reference import ModelRef, resolve

REF = ModelRef("embedded", "embedded:smollm2-135m")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A package with a file in it, and a conversion that writes two small files."""
    gguf = tmp_path / "package" / "model.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"gguf")
    monkeypatch.setattr(embedded, "embedded_gguf", lambda spec: gguf)
    converted: list[Path] = []

    class Saves:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir(exist_ok=True)
            (folder / "model.safetensors").write_bytes(b"weights")
            (folder / "model.safetensors").chmod(0o600)
            converted.append(folder)

    class Auto:
        @staticmethod
        def from_pretrained(*args: Any, **options: Any) -> Saves:
            return Saves()

    monkeypatch.setattr(embedded, "AutoModelForCausalLM", Auto)
    monkeypatch.setattr(embedded, "AutoTokenizer", Auto)
    return converted


def test_it_is_converted_once(fake: list[Path]) -> None:
    folder = embedded.folder(REF)
    assert embedded.folder(REF) == folder
    assert len(fake) == 2  # model and tokenizer, of one conversion
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_leftovers_of_a_killed_conversion_are_removed(fake: list[Path], tmp_path: Path) -> None:
    folder = embedded.folder(REF)
    leftover = folder.with_name(folder.name + ".tmp-1")
    folder.rename(leftover)
    assert embedded.folder(REF) == folder
    assert not leftover.exists()
    assert len(fake) == 4


def test_another_gguf_is_another_copy(fake: list[Path], tmp_path: Path) -> None:
    first = embedded.folder(REF)
    (tmp_path / "package" / "model.gguf").write_bytes(b"other")
    assert embedded.folder(REF) != first


def test_a_cache_that_cannot_be_written_is_one_sentence(
    fake: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AFTERTUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="AFTERTUNE_CACHE") as error:
        embedded.folder(REF)
    assert "\n" not in str(error.value)


def test_its_facts_are_honest() -> None:
    assert "4 bits" in embedded.facts(REF)
    assert "already an assistant" in embedded.facts(REF)


@pytest.mark.slow
def test_the_embedded_model_loads_and_talks() -> None:
    embedded.folder(REF)
    since = time.monotonic()
    loaded = load("embedded:smollm2-135m")
    seconds = time.monotonic() - since
    print(f"loaded in {seconds:.1f} s")
    assert seconds < 30
    assert isinstance(loaded.model, LlamaForCausalLM)
    assert loaded.dtype == torch.float32
    assert loaded.facts["parameters"] == 134_515_008
    assert loaded.facts["tied"]
    assert loaded.facts["quantised"] is None
    assert "assistant" in loaded.facts["note"]
    tokenizer = loaded.tokenizer
    assert tokenizer.chat_template
    text = "The capital of France is"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    with torch.no_grad():
        logits = loaded.model(**tokenizer(text, return_tensors="pt")).logits
    assert tokenizer.decode(logits[0, -1].argmax()).strip() == "Paris"
    assert identity(REF).id == loaded.identity.id == identity(resolve(REF.spec)).id


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERTUNE_CACHE", str(tmp_path))
    code = (
        "from aftertune.models import embedded\nfrom aftertune.models.reference import resolve\n"
        "embedded.folder(resolve('embedded:smollm2-135m'))"
    )
    converting = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(1200):
        if list((tmp_path / "models").glob("*.tmp-*")):
            break  # it has begun to write
        time.sleep(0.05)
        assert converting.poll() is None
    os.kill(converting.pid, signal.SIGKILL)
    converting.wait()
    assert not [p for p in (tmp_path / "models").iterdir() if p.is_dir() and "tmp" not in p.name]
    folder = embedded.folder(REF)
    assert not list(folder.parent.glob("*.tmp-*"))
    assert load_tokenizer(folder).chat_template
    assert load(folder).facts["parameters"] == 134_515_008


@pytest.mark.slow
def test_a_gguf_file_loads_like_its_converted_copy() -> None:
    converted = load("embedded:smollm2-135m")
    loaded = load(embedded_gguf(REF.spec))
    assert loaded.ref.kind == "folder"
    assert loaded.identity.files == converted.identity.files
    ids = torch.tensor([[3, 50, 700, 9000]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, converted.model(ids).logits)
    assert loaded.tokenizer.chat_template == converted.tokenizer.chat_template
    assert loaded.facts["parameters"] == parameter_count(loaded.ref) == 134_515_008
