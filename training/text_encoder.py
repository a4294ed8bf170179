"""The text encoder: token numbers to one vector per token (context) and one for the whole prompt (pooled).

A small transformer in the manner of CLIP's, but looking both ways; the start token, always first, gathers the pooled
vector. Padding is not masked: it is the same in every prompt, so the model reads it as the prompt's end.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from training.tokenizer import CONTEXT_LENGTH

CONTEXT_CHANNELS = 128
_HEADS = 4
_LAYERS = 2


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and a feed-forward part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.attention_out = nn.Linear(channels, channels)
        self.feed_norm = nn.LayerNorm(channels)
        self.feed_in = nn.Linear(channels, 4 * channels)
        self.feed_out = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, channels) in and out."""
        query, key, value = self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        x = x + self.attention_out(attend(query, key, value, _HEADS))
        return x + self.feed_out(F.silu(self.feed_in(self.feed_norm(x))))


class TextEncoder(nn.Module):
    """ids (batch, CONTEXT_LENGTH) int64 to context (batch, CONTEXT_LENGTH, 128) and pooled (batch, 128)."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, CONTEXT_CHANNELS)
        self.positions = nn.Embedding(CONTEXT_LENGTH, CONTEXT_CHANNELS)
        nn.init.normal_(self.tokens.weight, std=0.5)
        nn.init.normal_(self.positions.weight, std=0.2)
        self.layers = nn.ModuleList(EncoderLayer(CONTEXT_CHANNELS) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(CONTEXT_CHANNELS)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Context and pooled vector of each prompt."""
        x = self.tokens(ids) + self.positions.weight
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return x, x[:, 0]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Multi-head attention: (batch, queries, channels) over (batch, keys, channels).

    Written out, because the backward pass of PyTorch's fused attention takes half of a training step on a CPU.
    """
    batch, _, channels = query.shape
    width = channels // heads

    def split(x: Tensor) -> Tensor:
        return x.reshape(batch, -1, heads, width).transpose(1, 2)

    weights = (split(query) @ split(key).transpose(-1, -2) * width**-0.5).softmax(-1)
    mixed = weights.to(value.dtype) @ split(value)
    return mixed.transpose(1, 2).reshape(batch, -1, channels)
