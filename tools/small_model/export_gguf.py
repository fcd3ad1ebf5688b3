"""Writes and reads the model as a GGUF file: matrices Q8_0, norms F32."""

import argparse
import struct

import numpy as np

F32, Q8_0 = 0, 8
ALIGN = 32
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5


def quantize_q8_0(matrix):
    """Blocks of 32 weights: one fp16 scale and 32 int8."""
    blocks = np.ascontiguousarray(matrix, np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    codes = np.rint(blocks * inverse).astype(np.int8)
    packed = np.empty((len(blocks), 34), np.uint8)
    packed[:, :2] = scale.astype("<f2").view(np.uint8)
    packed[:, 2:] = codes.view(np.uint8)
    return packed.tobytes()


def dequantize_q8_0(raw, shape):
    packed = np.frombuffer(raw, np.uint8).reshape(-1, 34)
    scale = packed[:, :2].copy().view("<f2").astype(np.float32)
    return (packed[:, 2:].view(np.int8).astype(np.float32) * scale).reshape(shape)


def _string(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(_value(inner, v) for v in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def metadata(shape, tokenizer):
    """All (key, type, value) of the file."""
    names = tokenizer.token_names()
    kinds = [3] + [1] * (len(names) - 1)
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "aiter_attn small"),
        ("general.description", STRING, "Recalls facts of a story and adds two numbers"),
        ("general.license", STRING, "mit"),
        ("general.file_type", UINT32, 7),
        ("general.quantization_version", UINT32, 2),
        ("general.alignment", UINT32, ALIGN),
        ("llama.vocab_size", UINT32, shape["vocab"]),
        ("llama.context_length", UINT32, shape["context"]),
        ("llama.embedding_length", UINT32, shape["width"]),
        ("llama.block_count", UINT32, shape["layers"]),
        ("llama.feed_forward_length", UINT32, shape["ffn"]),
        ("llama.attention.head_count", UINT32, shape["heads"]),
        ("llama.attention.head_count_kv", UINT32, shape["kv_heads"]),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, shape["eps"]),
        ("llama.rope.freq_base", FLOAT32, shape["rope_base"]),
        ("llama.rope.dimension_count", UINT32, shape["head_dim"]),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "smollm"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, names)),
        ("tokenizer.ggml.token_type", ARRAY, (INT32, kinds)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, tokenizer.merge_names())),
        ("tokenizer.ggml.bos_token_id", UINT32, 0),
        ("tokenizer.ggml.eos_token_id", UINT32, 0),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
    ]


def write_gguf(path, weights, shape, tokenizer):
    """`weights` maps the model's parameter names to tensors or arrays."""
    if len(tokenizer.bytes_of) != shape["vocab"]:
        raise ValueError(f"the tokenizer has {len(tokenizer.bytes_of)} tokens")
    tensors, infos, offset = [], b"", 0
    for name, weight in weights.items():
        array = np.asarray(weight.detach().cpu() if hasattr(weight, "detach") else weight)
        kind = Q8_0 if array.ndim == 2 else F32
        raw = quantize_q8_0(array) if kind == Q8_0 else array.astype("<f4").tobytes()
        name = name if name.endswith(".weight") else name + ".weight"
        infos += _string(name) + struct.pack("<I", array.ndim)
        infos += struct.pack(f"<{array.ndim}Q", *reversed(array.shape))
        infos += struct.pack("<IQ", kind, offset)
        raw += bytes(-len(raw) % ALIGN)
        tensors.append(raw)
        offset += len(raw)
    pairs = metadata(shape, tokenizer)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        head += _string(key) + struct.pack("<I", kind) + _value(kind, value)
    head += infos
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % ALIGN) + b"".join(tensors))


class _Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def number(self, code):
        (value,) = struct.unpack_from("<" + code, self.raw, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.number("Q")
        self.at += size
        return self.raw[self.at - size : self.at].decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            return [self.value(inner) for _ in range(count)]
        return self.number({UINT32: "I", INT32: "i", FLOAT32: "f", BOOL: "?"}[kind])


def read_gguf(path):
    """(metadata, {tensor name: float32 array}) of a file that write_gguf wrote."""
    with open(path, "rb") as file:
        reader = _Reader(file.read())
    if reader.raw[:4] != b"GGUF":
        raise ValueError("not a GGUF file")
    reader.at = 8
    count, pairs = reader.number("Q"), reader.number("Q")
    fields = {}
    for _ in range(pairs):
        key = reader.string()
        fields[key] = reader.value(reader.number("I"))
    infos = []
    for _ in range(count):
        name, dims = reader.string(), reader.number("I")
        shape = [reader.number("Q") for _ in range(dims)][::-1]
        infos.append((name, shape, reader.number("I"), reader.number("Q")))
    start = reader.at + -reader.at % ALIGN
    tensors = {}
    for name, shape, kind, offset in infos:
        size = int(np.prod(shape))
        size = size // 32 * 34 if kind == Q8_0 else size * 4
        raw = reader.raw[start + offset : start + offset + size]
        flat = np.frombuffer(raw, "<f4").reshape(shape) if kind == F32 else None
        tensors[name] = dequantize_q8_0(raw, shape) if flat is None else flat
    return fields, tensors


def main():
    import torch

    import make_data
    from model import SHAPE

    parser = argparse.ArgumentParser(description="Turns a checkpoint of train.py into a GGUF file")
    parser.add_argument("checkpoint")
    parser.add_argument("gguf")
    options = parser.parse_args()
    weights = torch.load(options.checkpoint, map_location="cpu")
    write_gguf(options.gguf, weights, SHAPE, make_data.make_tokenizer())


if __name__ == "__main__":
    main()
