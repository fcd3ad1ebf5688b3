"""The decoder in PyTorch, as GGUF's `llama` architecture runs it (interleaved RoPE pairs)."""

import torch
import torch.nn.functional as F
from torch import nn

SHAPE = {
    "vocab": 1536,
    "layers": 6,
    "width": 256,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 64,
    "ffn": 448,
    "context": 768,
    "eps": 1e-5,
    "rope_base": 1000000.0,
}


def rope_table(shape):
    """cos and sin per position and pair."""
    half = shape["head_dim"] // 2
    steps = torch.arange(half, dtype=torch.float64) / half
    places = torch.arange(shape["context"], dtype=torch.float64)[:, None]
    angles = places * shape["rope_base"] ** -steps
    return angles.cos().float(), angles.sin().float()


def rotate(x, table):
    """Rotate the pairs (2i, 2i+1) of x [batch, heads, tokens, head_dim]."""
    cos, sin = (t[: x.shape[2]] for t in table)
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return turned.flatten(-2).to(x.dtype)


def round_int8(x):
    """What an int8 cache with one scale per token and head gives back."""
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
    return (x / scale).round() * scale


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, rows = shape["width"], shape["heads"] * shape["head_dim"]
        kv_rows = shape["kv_heads"] * shape["head_dim"]
        self.shape = shape
        self.attn_norm = nn.Parameter(torch.ones(width))
        self.attn_q = nn.Linear(width, rows, bias=False)
        self.attn_k = nn.Linear(width, kv_rows, bias=False)
        self.attn_v = nn.Linear(width, kv_rows, bias=False)
        self.attn_output = nn.Linear(rows, width, bias=False)
        self.ffn_norm = nn.Parameter(torch.ones(width))
        self.ffn_gate = nn.Linear(width, shape["ffn"], bias=False)
        self.ffn_up = nn.Linear(width, shape["ffn"], bias=False)
        self.ffn_down = nn.Linear(shape["ffn"], width, bias=False)

    def forward(self, x, table, int8_cache):
        batch, tokens, _ = x.shape
        h = F.rms_norm(x, x.shape[-1:], self.attn_norm.to(x.dtype), self.shape["eps"])
        q, k, v = (
            proj(h).view(batch, tokens, -1, self.shape["head_dim"]).transpose(1, 2)
            for proj in (self.attn_q, self.attn_k, self.attn_v)
        )
        q, k = rotate(q, table), rotate(k, table)
        if int8_cache:
            k, v = round_int8(k), round_int8(v)
        group = self.shape["heads"] // self.shape["kv_heads"]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(out.transpose(1, 2).flatten(2))
        h = F.rms_norm(x, x.shape[-1:], self.ffn_norm.to(x.dtype), self.shape["eps"])
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape["vocab"], shape["width"])
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape["layers"]))
        self.output_norm = nn.Parameter(torch.ones(shape["width"]))
        cos, sin = rope_table(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.02 / (2 * shape["layers"]) ** 0.5 if deep else 0.02)

    def hidden(self, ids, int8_cache=False):
        """Normed states after the last layer."""
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, (self.cos, self.sin), int8_cache)
        return F.rms_norm(x, x.shape[-1:], self.output_norm.to(x.dtype), self.shape["eps"])

    def logits(self, states):
        return F.linear(states, self.token_embd.weight.to(states.dtype))

    def weighted_loss(self, ids, targets, weights):
        logits = self.logits(self.hidden(ids)).float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * weights.flatten()).sum() / weights.sum()
