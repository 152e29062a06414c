"""A Llama forward pass in numpy: tokens in, logits of every position out, with a growing KV cache.

Matrix products run in the type that the model was opened with (float32 is enough for SmolLM2,
float64 for tiny models); norms, rotations and the softmax run in float64.
"""

import gguf
import numpy as np

from .checkpoint import read_hyperparameters, read_weights


def log_softmax(logits):
    """log(softmax) over the last axis, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class KVCache:
    """The keys and values of the tokens seen so far, one pair of arrays a layer."""

    def __init__(self, layers):
        self.keys = [None] * layers
        self.values = [None] * layers
        self.length = 0

    def append(self, layer, keys, values):
        """Adds [tokens, kv heads, head dim] to a layer and returns all of its keys and values."""
        if self.keys[layer] is not None:
            keys = np.concatenate([self.keys[layer], keys])
            values = np.concatenate([self.values[layer], values])
        self.keys[layer], self.values[layer] = keys, values
        return keys, values


class Llama:
    """A Llama model with its weights in memory."""

    def __init__(self, path, dtype=np.float32):
        reader = gguf.GGUFReader(path)
        self.parameters = read_hyperparameters(reader)
        self.dtype = dtype
        self.weights = {name: w.astype(dtype) for name, w in read_weights(reader).items()}
        self.weights.setdefault("output.weight", self.weights["token_embd.weight"])

    def new_cache(self):
        """An empty cache for this model."""
        return KVCache(self.parameters.layers)

    def forward(self, tokens, cache=None):
        """Logits [tokens, vocabulary] of `tokens`, which follow what is in `cache`."""
        p = self.parameters
        cache = cache or self.new_cache()
        tokens = np.asarray(tokens)
        positions = cache.length + np.arange(len(tokens))
        hidden = self.weights["token_embd.weight"][tokens]
        for layer in range(p.layers):
            hidden = hidden + self._attention(layer, hidden, positions, cache)
            hidden = hidden + self._feed_forward(layer, hidden)
        cache.length += len(tokens)
        return self._norm(hidden, "output_norm.weight") @ self.weights["output.weight"].T

    def greedy(self, prompt, count):
        """`count` greedy tokens after `prompt`, and for each the lead over the runner-up."""
        cache = self.new_cache()
        logits = self.forward(prompt, cache)[-1]
        tokens, margins = [], []
        while True:
            second, first = np.partition(logits, -2)[-2:]
            tokens.append(int(logits.argmax()))
            margins.append(float(first - second))
            if len(tokens) == count:
                return tokens, margins
            logits = self.forward([tokens[-1]], cache)[-1]

    def _linear(self, x, name):
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def _norm(self, x, name):
        wide = x.astype(np.float64)
        scale = 1.0 / np.sqrt((wide * wide).mean(axis=-1, keepdims=True) + self.parameters.epsilon)
        return (wide * scale * self.weights[name]).astype(self.dtype)

    def _rope(self, x, positions):
        """Rotates the pairs (2i, 2i + 1) of [tokens, heads, head dim]."""
        p = self.parameters
        frequencies = p.rope_theta ** (-np.arange(0, p.rotary_dim, 2) / p.rotary_dim)
        if "rope_freqs.weight" in self.weights:
            frequencies = frequencies / self.weights["rope_freqs.weight"]
        angles = positions[:, None] * frequencies
        cosine, sine = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
        even, odd = x[..., 0 : p.rotary_dim : 2], x[..., 1 : p.rotary_dim : 2]
        out = x.copy()
        out[..., 0 : p.rotary_dim : 2] = even * cosine - odd * sine
        out[..., 1 : p.rotary_dim : 2] = even * sine + odd * cosine
        return out

    def _attention(self, layer, hidden, positions, cache):
        p = self.parameters
        block = f"blk.{layer}."
        x = self._norm(hidden, block + "attn_norm.weight")

        def heads(name, count):
            return self._linear(x, block + name).reshape(len(x), count, p.head_dim)

        queries = self._rope(heads("attn_q", p.heads), positions)
        keys = self._rope(heads("attn_k", p.kv_heads), positions)
        keys, values = cache.append(layer, keys, heads("attn_v", p.kv_heads))
        visible = np.arange(len(keys))[None, :] <= positions[:, None]
        output = np.empty_like(queries)
        for head in range(p.heads):
            group = head // (p.heads // p.kv_heads)
            scores = (queries[:, head] @ keys[:, group].T).astype(np.float64)
            scores = np.where(visible, scores / np.sqrt(p.head_dim), -np.inf)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            output[:, head] = weights.astype(self.dtype) @ values[:, group]
        return self._linear(output.reshape(len(x), -1), block + "attn_output")

    def _feed_forward(self, layer, hidden):
        block = f"blk.{layer}."
        x = self._norm(hidden, block + "ffn_norm.weight")
        gate = self._linear(x, block + "ffn_gate")
        up = self._linear(x, block + "ffn_up")
        return self._linear(gate / (1.0 + np.exp(-gate)) * up, block + "ffn_down")


def perplexity(logits, tokens):
    """exp of the mean negative log-probability of tokens[1:] given all before each."""
    rows = np.arange(len(tokens) - 1)
    log_probabilities = log_softmax(logits[:-1])[rows, np.asarray(tokens)[1:]]
    return float(np.exp(-log_probabilities.mean()))
