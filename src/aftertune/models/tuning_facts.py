"""How a model was tuned, as far as its folder says."""

from pathlib import Path
from typing import Any

from aftertune.models.files import read_json, tune_manifest
from aftertune.models.reference import ModelRef

_NO_SETTINGS: dict[str, Any] = dict.fromkeys(
    ("method", "learning_rate", "epochs", "rank", "alpha", "target_modules", "seed", "rows")
)


def tuning_facts(ref: ModelRef) -> dict[str, Any] | None:
    """How the model was tuned, as far as its folder says; None for a foreign full checkpoint.

    A model made by `aftertune tune` has its settings (`source` is "tune"); a foreign adapter has
    what its adapter_config.json holds (`source` is "adapter"), the rest null. For a hub id that
    is not local yet the answer is None.
    """
    if ref.path is None or ref.kind == "embedded":
        return None
    adapter = _adapter_facts(ref.path) if ref.kind == "adapter" else {}
    manifest = tune_manifest(ref.path.parent)
    if manifest is None:
        return {"source": "adapter", **_NO_SETTINGS, **adapter} if adapter else None
    resolved = manifest["config"]["resolved"]
    rows = next((given for given in manifest["inputs"] if given["name"] == "rows"), None)
    return {
        "source": "tune",
        **_NO_SETTINGS,
        **{name: value for name, value in resolved.items() if name != "device"},
        **adapter,
        "artefact": manifest["id"],
        "rows": rows["id"] if rows else None,
    }


def _adapter_facts(path: Path) -> dict[str, Any]:
    config = read_json(path / "adapter_config.json")
    targets = config.get("target_modules")
    return {
        "method": "lora" if config.get("peft_type") == "LORA" else None,
        "rank": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "target_modules": sorted(targets) if isinstance(targets, list) else targets,
    }
