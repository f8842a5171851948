"""One model at a time: for two models that do not fit into memory together.

Each model is loaded by itself and reads every batch; the final hidden states of response tokens
go to disk in the model's dtype, part by part, its head beside them. Then both heads are applied
to what is on disk, with neither body in memory. Batches are the same as with both models
together, so the numbers are too.

Every file is whole or absent, and what is there is not computed again. The files lie in the
draft's scratch folder, which is gone once the artefact is finished:

    <model>.json                  facts of loading, the head's scale and cap
    <model>-head.safetensors      weight [V, H] and, where there is one, bias [V]
    <model>-noise.json            rows of the noise floor
    <model>-<part>.safetensors    batch number -> states [tokens, H]
"""

import gc
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aftertune.artefact import write_durably
from aftertune.config import Dtype
from aftertune.errors import ArtefactError
from aftertune.models import vocabulary
from aftertune.models.load import Loaded, load, load_tokenizer
from aftertune.models.score import Head
from aftertune.progress import Progress
from aftertune.shift import noise
from aftertune.shift.bodies import PROBE, Batches, loading, may_rescore, room_for
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import Models
from aftertune.shift.noise import Noise
from aftertune.shift.pair import SIDES, Item, Which, read

# How a CPU multiplies, and so the last digit, may depend on where numbers begin within so many
# bytes: what comes back from disk is put where it was.
_ALIGN = 64


class Alone:
    """`Bodies` of which at most one is in memory; `folder` holds the rest."""

    def __init__(
        self, config: ShiftConfig, models: Models, dtype: Dtype, folder: Path, progress: Progress
    ) -> None:
        self.dtype = dtype
        self.device = torch.device(config.device)
        self._config, self._progress = config, progress
        self._refs = {"base": models.base, "tuned": models.tuned}
        self.tokenizer = self._tokenizer("tuned")
        self._held: tuple[Which, Loaded] | None = None
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def facts(self, which: Which) -> dict[str, Any]:
        return dict(self._look(which)["facts"])

    def side(self, which: Which) -> vocabulary.Side:
        tokenizer = self.tokenizer if which == "tuned" else self._tokenizer(which)
        return vocabulary.of(tokenizer, self.facts(which)["vocab_size"])

    def probe(self, which: Which, drawn: Sequence[Item]) -> Noise:
        """As of `Bodies`. Where float32 may be asked for, the states of the whole responses are
        kept as well, since what decides that needs both models."""
        if drawn and may_rescore(self._config, self.dtype):
            self._read_part(which, PROBE, [[item] for item in drawn])
        path = self._folder / f"{which}-noise.json"
        if path.exists():
            return Noise(**json.loads(path.read_text(encoding="utf-8")))
        found = noise.measure(
            which, self._model(which), drawn, self._config.noise_tokens,
            self._config.noise_cached_tokens,
        )  # fmt: skip
        _write_json(path, vars(found))
        return found

    def fill(self, parts: Mapping[str, Batches]) -> None:
        """Write what is not on disk yet, for one model after the other; then let both go.

        Says how much disk that takes; raises ArtefactError where it is not there.
        """
        missing = {
            which: {
                name: one for name, one in parts.items() if not self._path(which, name).exists()
            }
            for which in SIDES
        }
        if any(missing.values()):
            self._check_disk(missing)
        for which in sorted(SIDES, key=self._is_held, reverse=True):
            if missing[which]:
                self._fill_one(which, missing[which], _tokens_of(parts))
        self._let_go()

    def states(self, part: str, number: int, items: Sequence[Item]) -> dict[Which, Tensor]:
        found = {}
        for which in SIDES:
            with safe_open(self._path(which, part), framework="pt") as file:
                found[which] = _placed(file.get_tensor(str(number)), 0)
        return found

    def heads(self) -> dict[Which, Head]:
        found = {}
        for which in SIDES:
            note = self._look(which)
            kept = load_file(self._folder / f"{which}-head.safetensors")
            held = {
                name: _placed(tensor, note["alignment"][name]).to(self.device)
                for name, tensor in kept.items()
            }
            found[which] = Head(held["weight"], held.get("bias"), note["scale"], note["soft_cap"])
        return found

    def _look(self, which: Which) -> dict[str, Any]:
        """What is known of a model; the first time it is loaded, and its head proven and kept."""
        path = self._folder / f"{which}.json"
        if not path.exists():
            model = self._model(which)
            head = Head.of(model)
            head.verify(model)
            kept = {"weight": head.weight} | ({} if head.bias is None else {"bias": head.bias})
            _write_tensors(self._folder / f"{which}-head.safetensors", kept)
            assert self._held is not None
            loaded = self._held[1]
            note = {
                "facts": loaded.facts,
                "scale": head.scale,
                "soft_cap": head.soft_cap,
                "alignment": {name: one.data_ptr() % _ALIGN for name, one in kept.items()},
                "bytes_per_token": head.weight.shape[1] * loaded.dtype.itemsize,
            }
            _write_json(path, note)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _fill_one(self, which: Which, missing: Mapping[str, Batches], total: int) -> None:
        label = f"{self._config.name}: tokens read by the {which} model"
        with self._progress.task(label, total, total - _tokens_of(missing)) as task:
            for name, batches in missing.items():
                self._read_part(which, name, batches, task.advance)

    def _read_part(
        self,
        which: Which,
        name: str,
        batches: Batches,
        advance: Callable[[float], None] | None = None,
    ) -> None:
        """Write the states of a part, unless they are there."""
        path = self._path(which, name)
        if path.exists():
            return
        model, states = self._model(which), {}
        for number, items in enumerate(batches):
            with room_for(len(items), self.device):
                states[str(number)] = torch.cat(read(model, items, which))
            if advance:
                advance(sum(item.length for item in items))
        _write_tensors(path, states)

    def _check_disk(self, missing: Mapping[Which, Mapping[str, Batches]]) -> None:
        needed = sum(
            self._look(which)["bytes_per_token"] * len(item.response)
            for which, parts in missing.items()
            for batches in parts.values()
            for items in batches
            for item in items
        )
        free = shutil.disk_usage(self._folder).free
        said = f"{needed / 1e9:,.2f} GB of disk in {self._folder} until the shift is finished"
        if needed > free:
            raise ArtefactError(
                f"one model at a time needs {said}, and {free / 1e9:,.2f} GB are free; free some "
                "space or give --out another folder."
            )
        self._progress.say(f"{self._config.name}: one model at a time needs {said}.")

    def _model(self, which: Which) -> Any:
        """The model itself, once the other one is gone."""
        if not self._is_held(which):
            self._let_go()
            options = loading(self._config, self.dtype, self._progress)
            self._held = which, load(self._refs[which], **options)
        assert self._held is not None
        return self._held[1].model

    def _is_held(self, which: Which) -> bool:
        return self._held is not None and self._held[0] == which

    def _let_go(self) -> None:
        self._held = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _tokenizer(self, which: Which) -> Any:
        return load_tokenizer(self._refs[which], trust_remote_code=self._config.trust_remote_code)

    def _path(self, which: Which, part: str) -> Path:
        return self._folder / f"{which}-{part}.safetensors"


def _placed(tensor: Tensor, offset: int) -> Tensor:
    """A copy whose numbers begin `offset` bytes behind a multiple of _ALIGN."""
    size = tensor.element_size()
    room = torch.empty(tensor.numel() + 2 * _ALIGN // size, dtype=tensor.dtype)
    skipped = (offset - room.data_ptr()) % _ALIGN
    if skipped % size:  # never aligned to its own size: nothing is lost by another place
        return tensor.clone()
    copy = room[skipped // size :][: tensor.numel()].view(tensor.shape)
    return copy.copy_(tensor)


def _tokens_of(parts: Mapping[str, Batches]) -> int:
    return sum(item.length for batches in parts.values() for items in batches for item in items)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_durably(path, partial(save_file, held))


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value)
    write_durably(path, lambda out: out.write_text(text, encoding="utf-8"))
