"""What can be asked of a tuning run, and the two recipes that others are measured against.

Batch plan, split and subset follow from the seeds here and from the rows alone, so that two runs
that differ in one thing (a row's weight, the method, the learning rate) share everything else.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from aftertune.config import Dtype, Method, StageConfig

# `paper`: what the paper states; its schedule is not stated and taken to be cosine without
# warm-up. `alpaca`: Stanford Alpaca's own recipe for all parameters.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 3, "learning_rate": 5e-5, "batch_size": 32, "lora_rank": 8,
              "schedule": "cosine", "warmup_ratio": 0.0},
    "alpaca": {"epochs": 3, "learning_rate": 2e-5, "batch_size": 128, "lora_rank": 8,
               "schedule": "cosine", "warmup_ratio": 0.03},
}  # fmt: skip

# What the split and the batch plan follow from, beside the rows.
PLAN_FIELDS = (
    "epochs", "max_steps", "batch_size", "micro_batch_tokens", "group_by_length", "shuffle_seed",
    "subset", "subset_seed", "token_budget", "hold_out", "hold_out_seed", "hold_out_by",
)  # fmt: skip

Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TuneConfig(StageConfig):
    """One tuning run. A preset fills only what was not said."""

    # Models, tables and files are inputs: their content is hashed, their place only recorded.
    # A preset is spelt out in the fields that it fills.
    recorded_only: ClassVar[frozenset[str]] = frozenset(
        {"name", "base", "preset", "weights", "take_plan", "template", "checkpoint_seconds",
         "device", "trust_remote_code"}
    )  # fmt: skip

    name: str | None = None  # what progress calls the run
    base: str
    method: Method
    preset: Literal["paper", "alpaca"] = "paper"

    epochs: Positive = 3
    max_steps: Positive | None = None  # ends a run early; never lengthens it
    learning_rate: Rate = 5e-5
    batch_size: Positive = 32  # rows per optimiser step; an epoch's last step may have fewer
    micro_batch_tokens: Positive = 2048  # padding counted; a single longer row goes alone
    max_length: Annotated[int, Field(ge=2)] = 1024  # tokens per row; what is cut is counted
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = 0.0  # of all steps
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_grad_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0  # 0: not clipped
    group_by_length: bool = True
    gradient_checkpointing: bool = False
    neftune_alpha: Rate | None = None

    lora_rank: Positive = 8
    lora_alpha: Positive = 16
    lora_dropout: Share = 0.0
    target_modules: str | list[str] = "all-linear"
    dora: bool = False
    quantize: Literal["4bit"] | None = None  # QLoRA: needs a GPU and bitsandbytes; unverified

    seed: int = 0  # initial adapter weights, dropout, NEFTune noise
    shuffle_seed: int = 0  # order of rows
    subset: Positive | None = None  # rows; a smaller subset is contained in a larger one
    subset_seed: int = 0
    token_budget: Positive | None = None  # rows x epochs, at most
    hold_out: Share = 0.0  # share of rows, by near-duplicate cluster
    hold_out_seed: int = 0
    # What stays together: near duplicates, or also rows whose answers share rare words.
    hold_out_by: Literal["near-duplicates", "shared-words"] = "near-duplicates"
    weights: Path | None = None  # JSON, CSV or Parquet: row_id or row_index, weight
    take_plan: Path | None = None  # another tune artefact whose split and batch plan to use

    template: str = "auto"
    train_on: Literal["all", "last"] = "all"  # which assistant turns of a row
    dtype: Dtype = "auto"  # of the computation; weights that are trained stay float32
    save_dtype: Literal["auto", "float32", "base"] = "auto"  # full: as saved; see `tune/run.py`
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 120.0
    device: str = "auto"
    trust_remote_code: bool = False

    def numbers(self) -> dict[str, Any]:
        """As of every config; what stays together matters only where rows are held out."""
        found = super().numbers()
        if not self.hold_out or self.hold_out_by == "near-duplicates":
            del found["hold_out_by"]
        return found

    @model_validator(mode="wrap")
    @classmethod
    def _fill_from_preset(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(values, dict):
            return handler(values)
        config = handler({**PRESETS.get(str(values.get("preset", "paper")), {}), **values})
        # what a preset filled in was not given by the user
        object.__setattr__(config, "__pydantic_fields_set__", set(values))
        return config

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.dtype == "float16":
            raise ValueError("tuning in float16 is not offered; say bfloat16 or float32")
        if self.method == "full" and (self.dora or self.quantize):
            raise ValueError("dora and quantize need method lora")
        if isinstance(self.target_modules, str) and self.target_modules != "all-linear":
            raise ValueError("target_modules is all-linear or a list of module names")
        if self.target_modules == []:
            raise ValueError("target_modules names no module")
        if self.hold_out_by != "near-duplicates" and not (self.hold_out or self.take_plan):
            raise ValueError("hold_out_by says which rows are held out together; add hold_out")
        if self.take_plan and (self.hold_out or self.subset or self.token_budget):
            raise ValueError(
                "take_plan brings its own rows; leave hold_out, subset and token_budget out"
            )
        return self
