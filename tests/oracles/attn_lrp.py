"""AttnLRP written out: explicit relevance of one image through one transformer block, in numpy, a loop at a time.

The block is the usual one: x + proj(attention(norm(x))), then x + fc2(gelu(fc1(norm(x)))); then a norm, the class token
and a head. Every rule hands relevance down as the paper's equations have it, without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.special import erf

Array = Float[np.ndarray, "..."]


@dataclass
class Absorbed:
    """What biases and softmaxes kept of the relevance."""

    parts: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.parts.append(float(value))

    @property
    def total(self) -> float:
        return sum(self.parts)


def linear_back(values: Array, weight: Array, bias: Array, relevance: Array, absorbed: Absorbed, gamma: float) -> Array:
    """Eq. 8, or the gamma rule: each input gets its share of each output, the bias its own."""
    shares = np.zeros_like(values)
    for token in range(len(values)):
        for out in range(len(weight)):
            contributions = values[token] * weight[out]
            goes_up = contributions.sum() + bias[out] > 0
            favoured = contributions + gamma * np.where((contributions > 0) == goes_up, contributions, 0)
            own = bias[out] + gamma * (bias[out] if (bias[out] > 0) == goes_up else 0)
            share = relevance[token, out] / (favoured.sum() + own)
            shares[token] += favoured * share
            absorbed.add(own * share)
    return shares


def norm_back(values: Array, weight: Array, bias: Array, relevance: Array, absorbed: Absorbed, eps: float) -> Array:
    """The standard deviation is a constant, so that the norm is linear."""
    shares = np.zeros_like(values)
    width = values.shape[1]
    for token in range(len(values)):
        deviation = np.sqrt(values[token].var() + eps)
        matrix = (np.eye(width) - 1 / width) / deviation * weight[:, None]
        shares[token] = linear_back(
            values[token : token + 1], matrix, bias, relevance[token : token + 1], absorbed, 0.0
        )
    return shares


def norm(values: Array, weight: Array, bias: Array, eps: float) -> Array:
    deviation = np.sqrt(values.var(1, keepdims=True) + eps)
    normalised: Array = (values - values.mean(1, keepdims=True)) / deviation * weight + bias
    return normalised


def attention(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
    scores = query @ key.T / np.sqrt(query.shape[1])
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return weights, weights @ value


def attention_back(
    query: Array, key: Array, value: Array, relevance: Array, absorbed: Absorbed
) -> tuple[Array, Array, Array]:
    """Eq. 15 for both products, Eq. 13 for the softmax between them."""
    weights, seen = attention(query, key, value)
    count, width = query.shape
    of_weights, of_value = np.zeros_like(weights), np.zeros_like(value)
    for i in range(count):
        for j in range(count):
            for d in range(width):
                part = weights[i, j] * value[j, d] * relevance[i, d] / (2 * seen[i, d])
                of_weights[i, j] += part
                of_value[j, d] += part
    scores = query @ key.T / np.sqrt(width)
    of_scores = scores * (of_weights - weights * of_weights.sum(1, keepdims=True))
    absorbed.add(of_weights.sum() - of_scores.sum())
    of_query, of_key = np.zeros_like(query), np.zeros_like(key)
    for i in range(count):
        for j in range(count):
            for d in range(width):
                part = query[i, d] * key[j, d] / np.sqrt(width) * of_scores[i, j] / (2 * scores[i, j])
                of_query[i, d] += part
                of_key[j, d] += part
    return of_query, of_key, of_value


def heads_back(parts: Array, relevance: Array, absorbed: Absorbed) -> Array:
    """Of queries, keys and values (n, 3, heads, d), each head by itself."""
    shares = np.zeros_like(parts)
    for head, part in enumerate(np.split(relevance, parts.shape[2], axis=1)):
        query, key, value = parts[:, :, head].swapaxes(0, 1)
        shares[:, :, head] = np.stack(attention_back(query, key, value, part, absorbed), 1)
    return shares


def gelu(values: Array) -> Array:
    grown: Array = values * (1 + erf(values / np.sqrt(2))) / 2
    return grown


def explicit_relevance(
    tokens: Array, weights: dict[str, Array], heads: int, label: int, gamma: float, eps: float = 1e-6
) -> tuple[Array, float, float]:
    """Return the relevance of a block's input (n, d), class token first; the logit; what was absorbed."""
    w, absorbed = weights, Absorbed()

    def of(name: str) -> tuple[Array, Array]:
        return w[f"{name}.weight"], w[f"{name}.bias"]

    count, width = tokens.shape
    first = norm(tokens, *of("norm1"), eps)
    mixed = first @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]
    parts = mixed.reshape(count, 3, heads, width // heads)
    seen = np.concatenate([attention(*parts[:, :, head].swapaxes(0, 1))[1] for head in range(heads)], 1)
    attended = seen @ w["attn.proj.weight"].T + w["attn.proj.bias"]
    middle = tokens + attended
    second = norm(middle, *of("norm2"), eps)
    hidden = second @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
    grown = gelu(hidden) @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    last = middle + grown
    final = norm(last, *of("norm"), eps)
    logit = float(final[0] @ w["head.weight"][label] + w["head.bias"][label])
    head = w["head.weight"][label : label + 1], w["head.bias"][label : label + 1]

    relevance = np.zeros_like(tokens)
    relevance[:1] = linear_back(final[:1], *head, np.array([[logit]]), absorbed, gamma)
    relevance[:1] = norm_back(last[:1], *of("norm"), relevance[:1], absorbed, eps)
    of_grown, of_middle = relevance * grown / last, relevance * middle / last
    of_hidden = linear_back(gelu(hidden), *of("mlp.fc2"), of_grown, absorbed, gamma)  # Eq. 9: all of it passes GELU
    of_second = linear_back(second, *of("mlp.fc1"), of_hidden, absorbed, gamma)
    of_middle = of_middle + norm_back(middle, *of("norm2"), of_second, absorbed, eps)
    of_attended, of_tokens = of_middle * attended / middle, of_middle * tokens / middle
    of_seen = linear_back(seen, *of("attn.proj"), of_attended, absorbed, gamma)
    of_parts = heads_back(parts, of_seen, absorbed)
    of_first = linear_back(first, *of("attn.qkv"), of_parts.reshape(count, -1), absorbed, gamma)
    of_tokens = of_tokens + norm_back(tokens, *of("norm1"), of_first, absorbed, eps)
    return of_tokens, logit, absorbed.total
