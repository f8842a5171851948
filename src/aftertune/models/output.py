"""The matrix and bias of a model's output layer as it acts now, through PEFT's wrappers."""

import copy

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import (
    AuxiliaryTrainingWrapper,
    ModulesToSaveWrapper,
    TrainableTokensWrapper,
)
from torch import Tensor, nn

from aftertune.errors import ModelError


def output_matrix(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight [V, H] and bias [V] (None without one) of an output layer as it acts now.

    A plain layer's own parameters, trainable ones as they are and others held with their present
    storage; the merged float32 matrix where an adapter acts on the layer. Raises ModelError for
    an adapter on the layer that is being trained: its matrix changes with every step.
    """
    module = _acting(module)
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Linear) and weight is not None and weight.is_floating_point():
        return _held(weight), None if module.bias is None else _held(module.bias)
    if any(parameter.requires_grad for parameter in module.parameters()):
        raise ModelError(
            "an adapter on the output matrix cannot be trained here; leave it out of the target "
            "modules or put it into modules_to_save."
        )
    return _probed(module)


def _acting(module: nn.Module) -> nn.Module:
    """Through PEFT's wrappers to what acts: the saved copy, the original, or the adapted layer."""
    while True:
        if isinstance(module, ModulesToSaveWrapper):
            off = module.disable_adapters or not module.active_adapters
            module = (
                module.original_module if off else module.modules_to_save[module.active_adapters[0]]
            )
        elif isinstance(module, TrainableTokensWrapper) and module.disable_adapters:
            module = module.original_module
        elif isinstance(module, BaseTunerLayer) and module.disable_adapters:
            module = module.get_base_layer()
        else:
            return module


def _held(parameter: Tensor) -> Tensor:
    """A trainable parameter itself; else its storage of now, whatever replaces it later."""
    return parameter if parameter.requires_grad else parameter.detach()


def _probed(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The matrix of any linear map, from what it makes of the unit vectors, in float32.

    It covers every kind of adapter (LoRA, DoRA, trained token rows) and quantised heads alike.
    """
    size = width(module)
    parameters = list(module.parameters())
    if all(parameter.is_floating_point() for parameter in parameters):
        module = copy.deepcopy(module).float()  # or the sum of base and adapter would be rounded
    device = parameters[0].device
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    with torch.no_grad():
        bias = module(torch.zeros(1, size, dtype=dtype, device=device)).float()
        weight = torch.empty(bias.shape[1], size, device=device)
        for start in range(0, size, 256):
            units = torch.eye(size, dtype=dtype, device=device)[start : start + 256]
            weight[:, start : start + 256] = (module(units).float() - bias).T
    return weight, bias[0] if bool(bias.any()) else None


def width(module: nn.Module) -> int:
    """H of an output layer, wrapped or not."""
    if isinstance(module, BaseTunerLayer):
        return width(module.get_base_layer())
    if isinstance(module, AuxiliaryTrainingWrapper):
        return width(module.original_module)
    return int(module.in_features)  # type: ignore[arg-type]
