"""Excitation backprop by explicit matrices: one image, one class, one entry at a time, in float64.

A network is an `nn.Sequential` of torch's layers and of the two below. Activations and relevance are flat vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

WEIGHTED = (nn.Conv2d, nn.Linear)
AVERAGES = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Sum(nn.Module):
    """Adds the outputs of its branches; `inplace` into the first one's memory."""

    def __init__(self, first: nn.Sequential, second: nn.Sequential, *, inplace: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList([first, second])
        self.inplace = inplace

    def forward(self, given: Tensor) -> Tensor:
        """Return the sum."""
        first: Tensor = self.branches[0](given)
        second: Tensor = self.branches[1](given)
        if self.inplace:
            first += second
            return first
        return first + second


class Concatenation(nn.Module):
    """Puts the channels of its branches one after the other."""

    def __init__(self, *branches: nn.Sequential) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, given: Tensor) -> Tensor:
        """Return all channels."""
        return torch.cat([branch(given) for branch in self.branches], dim=1)


def naive_map(
    network: nn.Sequential, layer: int, image: Tensor, wanted: int, *, contrast: bool = True, raw: bool = False
) -> Matrix:
    """The map of a class at the output of one of the network's layers."""
    layers = list(network)[layer + 1 :]
    given = _run(list(network)[: layer + 1], image)
    logits = _run(layers, given)
    relevance = np.zeros(logits.numel())
    relevance[wanted] = 1
    if contrast:
        last = max(index for index, each in enumerate(layers) if isinstance(each, WEIGHTED))
        features = _run(layers[:last], given)
        relevance = _back(layers[last + 1 :], _run([layers[last]], features), relevance, raw)
        matrix, values = _weights(layers, last, features), _vector(features)
        relevance = naive_excitation(matrix, values, relevance) - naive_excitation(-matrix, values, relevance)
        layers = layers[:last]
    cells = _back(layers, given, relevance, raw).reshape(given.shape)
    return np.asarray(np.maximum(cells.sum(axis=0), 0))


def naive_difference(network: nn.Sequential, layer: int, image: Tensor, first: int, second: int) -> Matrix:
    """The map, with its sign, of a unit that has the difference of two classes' last weights, less that of its dual."""
    layers = list(network)[layer + 1 :]
    given = _run(list(network)[: layer + 1], image)
    last = max(index for index, each in enumerate(layers) if isinstance(each, WEIGHTED))
    features = _run(layers[:last], given)
    matrix, values = _weights(layers, last, features), _vector(features)
    unit, one = (matrix[first] - matrix[second])[None], np.ones(1)
    relevance = naive_excitation(unit, values, one) - naive_excitation(-unit, values, one)
    return np.asarray(_back(layers[:last], given, relevance, raw=False).reshape(given.shape).sum(axis=0))


def naive_excitation(matrix: Matrix, values: Vector, relevance: Vector) -> Vector:
    """Each output shares its relevance among the inputs in proportion to what they add to it, where they add."""
    out = np.zeros(len(values))
    for row, share in zip(matrix, relevance, strict=True):
        given = [max(weight * value, 0.0) for weight, value in zip(row, values, strict=True)]
        total = sum(given)
        if total > 0:
            for index, each in enumerate(given):
                out[index] += share * each / total
    return out


def _run(layers: Sequence[nn.Module], given: Tensor) -> Tensor:
    """One image without its dimension of images; what a layer is given stays as it is."""
    with torch.no_grad():
        for layer in layers:
            given = layer(given[None].clone())[0]
    return given


def _back(layers: Sequence[nn.Module], given: Tensor, relevance: Vector, raw: bool) -> Vector:
    inputs = [_run(layers[:count], given) for count in range(len(layers))]
    for index in reversed(range(len(layers))):
        relevance = _layer_back(layers, index, inputs[index], relevance, raw)
    return relevance


def _layer_back(layers: Sequence[nn.Module], index: int, given: Tensor, relevance: Vector, raw: bool) -> Vector:
    layer = layers[index]
    if isinstance(layer, WEIGHTED):
        return naive_excitation(_weights(layers, index, given), _vector(given), relevance)
    if isinstance(layer, AVERAGES):
        return naive_excitation(_matrix(layer, given), _vector(given), relevance)
    if isinstance(layer, nn.ConstantPad2d):
        return np.asarray(_matrix(layer, given).T @ relevance)
    if isinstance(layer, nn.MaxPool2d):
        return np.asarray(_routes(layer, given).T @ relevance)
    if isinstance(layer, Sum | Concatenation):
        branches = [list(branch) for branch in layer.branches if isinstance(branch, nn.Sequential)]
        outputs = [_vector(_run(branch, given)) for branch in branches]
        parts = _summands(outputs, relevance, raw) if isinstance(layer, Sum) else _slices(outputs, relevance)
        handed = [_back(branch, given, part, raw) for branch, part in zip(branches, parts, strict=True)]
        return np.asarray(np.sum(handed, axis=0))
    return relevance


def _summands(outputs: Sequence[Vector], relevance: Vector, raw: bool) -> list[Vector]:
    counted = [each if raw else np.maximum(each, 0) for each in outputs]
    parts = [np.zeros(len(relevance)) for _ in outputs]
    for index, share in enumerate(relevance):
        total = sum(each[index] for each in counted)
        for part, each in zip(parts, counted, strict=True):
            part[index] = share * each[index] / total if total != 0 else 0.0
    return parts


def _slices(outputs: Sequence[Vector], relevance: Vector) -> list[Vector]:
    return np.split(relevance, np.cumsum([len(each) for each in outputs])[:-1])


def _weights(layers: Sequence[nn.Module], index: int, given: Tensor) -> Matrix:
    """A layer's matrix, each row with the sign of the scale of every batch norm that follows directly."""
    matrix = _matrix(layers[index], given)
    following = [each for each in layers[index + 1 :] if not isinstance(each, nn.Dropout)]
    for norm in takewhile(lambda each: isinstance(each, nn.BatchNorm2d | nn.BatchNorm1d), following):
        signs = np.sign(norm.get_parameter("weight").detach().numpy())
        matrix = matrix * np.repeat(signs, len(matrix) // len(signs))[:, None]
    return matrix


def _matrix(layer: nn.Module, given: Tensor) -> Matrix:
    """What a layer does to each unit vector, without its bias: (out, in)."""
    units = torch.eye(given.numel(), dtype=torch.float64).view(-1, *given.shape)
    with torch.no_grad():
        columns: Tensor = layer(units) - layer(torch.zeros(1, *given.shape, dtype=torch.float64))
    return np.asarray(columns.flatten(1).T)


def _routes(layer: nn.MaxPool2d, given: Tensor) -> Matrix:
    """1 where an input is the first largest of an output's window."""
    windows = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    within = _matrix(windows, given) > 0
    routes = np.zeros(within.shape)
    for output, members in enumerate(within):
        inputs = np.flatnonzero(members)
        routes[output, inputs[np.argmax(_vector(given)[inputs])]] = 1
    return routes


def _vector(values: Tensor) -> Vector:
    return np.asarray(values.detach().flatten())


def random_network(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    """Chain layers, in float64 and evaluation mode, with random parameters, running means and positive variances."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 1.5, generator=generator)
            elif values.is_floating_point():
                values.normal_(generator=generator)
    return network


def set_parameters(network: nn.Module, values: Mapping[str, Sequence[float]]) -> None:
    """Set parameters by name, in reading order; all others become 0."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.tensor(values.get(name, [0.0] * parameter.numel())).view_as(parameter))
