#!/usr/bin/env python3
"""compare_torch.py: flash attention and paged decode beside PyTorch's, in one process on one GPU.

    python3 bench/torch/compare_torch.py cuda build/kernels --csv compare_torch.csv
    python3 bench/torch/compare_torch.py hip build/kernels --self-check    # no PyTorch: numpy

Both sides get the same tensors and the same stream. A round measures every side once, by events
around enough calls for 20 ms; the figure is the median of the rounds. Prefill counts 4 D flops for
each visible pair of query and key. Decode counts every byte of K and V once; its caches rotate, so
that none serves them, and stand beside a copy of 4 GiB inside the device, bytes read plus written.
Every result is compared before it is timed."""
import argparse
import csv
import ctypes
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PREFILL = [(4096, False), (16384, False), (4096, True), (16384, True)]
HEADS, HEADS_KV, DIM, PAGE = 32, 8, 128, 16
DECODE = [(64, 4096), (16, 16384)]
COLD_BYTES = 4 << 30


class Attention:
    """The library, compiled from flat_calls.c, and one context."""

    def __init__(self, options, stream):
        path = options.library
        if not path:
            folder = tempfile.mkdtemp()
            path = folder + "/attention.so"
            subprocess.run([options.cc, "-O2", "-shared", "-fPIC", str(HERE / "flat_calls.c"), "-o", path,
                            "-lm", "-lpthread", "-ldl"], check=True)
        self.lib = ctypes.CDLL(path)
        self.lib.flat_error.restype = ctypes.c_char_p
        self.lib.flat_open.restype = self.lib.flat_upload.restype = ctypes.c_void_p
        self.ctx = self.lib.flat_open(options.device.encode(), options.kernels.encode(),
                                      ctypes.c_void_p(stream))
        self.must(self.ctx)
        self.ctx = ctypes.c_void_p(self.ctx)

    def must(self, good):
        if not good:
            sys.exit(self.lib.flat_error().decode())

    def flash(self, q, k, v, out, shape, causal):
        """Addresses; shape is B, S, H, Hk, D."""
        at = [ctypes.c_void_p(x) for x in (q, k, v, out)]
        self.must(self.lib.flat_flash(self.ctx, *at, (ctypes.c_int64 * 5)(*shape), int(causal)) == 0)

    def decode(self, q, k, v, out, table, lengths, shape):
        """Addresses; shape is B, H, Hk, D, blocks, page, width of the table."""
        at = [ctypes.c_void_p(x) for x in (q, k, v, out, table, lengths)]
        self.must(self.lib.flat_decode(self.ctx, *at, (ctypes.c_int64 * 7)(*shape)) == 0)


class Table:
    """Rows that are printed and, where a file is named, written as CSV."""

    HEAD = ("row", "side", "median us", "rate", "unit", "of the first side")

    def __init__(self, path):
        self.file = open(path, "w", newline="", encoding="utf-8") if path else None
        self.csv = csv.writer(self.file) if path else None
        self.put(self.HEAD)
        print("|---" * len(self.HEAD) + "|")

    def put(self, row):
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if self.csv:
            self.csv.writerow(row)
            self.file.flush()

    def group(self, name, sides, seconds, work, unit, scale):
        """One row for each side; work: what a call of the side counts."""
        first = work[sides[0]] / seconds[sides[0]]
        for side in sides:
            rate = work[side] / seconds[side]
            self.put((name, side, f"{seconds[side] * 1e6:.1f}", f"{rate * scale:.1f}", unit,
                      f"{100 * rate / first:.1f} %"))


def interleaved(torch, stream, calls, rounds):
    """Median seconds of a call of each side, the sides taking turns. calls: name -> f(turn)."""
    turn = 0

    def timed(call, count):
        nonlocal turn
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record(stream)
        for _ in range(count):
            call(turn)
            turn += 1
        end.record(stream)
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3 / count

    counts = {}
    for name, call in calls.items():
        timed(call, 3)
        counts[name] = 1 + int(0.02 / timed(call, 2))
    samples = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(timed(call, counts[name]))
    return {name: statistics.median(x) for name, x in samples.items()}


def torch_sides(torch, q, k, v, causal):
    """PyTorch's back-ends that take this problem, by name: f(turn) -> [B, H, S, D]."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    sides = {}
    for name, which in (("PyTorch flash", "FLASH_ATTENTION"), ("PyTorch cuDNN", "CUDNN_ATTENTION")):
        backend = getattr(SDPBackend, which, None)
        if backend is None:  # an old PyTorch
            continue

        def call(_turn, backend=backend):
            with sdpa_kernel(backend):
                return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        try:
            call(0)
            sides[name] = call
        except RuntimeError as error:
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
    return sides


def prefill(torch, attention, stream, table, s, causal, rounds):
    q, k, v = (torch.rand(1, s, HEADS, DIM, device="cuda", dtype=torch.bfloat16) * 2 - 1
               for _ in range(3))
    out = torch.full_like(q, float("nan"))
    addresses = [x.data_ptr() for x in (q, k, v, out)]
    calls = torch_sides(torch, q, k, v, causal)
    theirs = list(calls.items())
    calls["aiter_attn"] = lambda _turn: attention.flash(*addresses, (1, s, HEADS, HEADS, DIM), causal)
    calls["aiter_attn"](0)
    for name, call in theirs:
        difference = (call(0).transpose(1, 2).float() - out.float()).abs().max().item()
        if not difference < 0.02:
            sys.exit(f"prefill S {s}: {difference} from {name}")
    seconds = interleaved(torch, stream, calls, rounds)
    pairs = s * (s + 1) // 2 if causal else s * s
    work = dict.fromkeys(calls, 4.0 * DIM * HEADS * pairs)
    table.group(f"prefill bf16 D{DIM} H{HEADS} S{s} {'causal' if causal else 'full'}", list(calls),
                seconds, work, "TFLOP/s", 1e-12)


def check_decode(torch, q, k, v, out, blocks, keys):
    """The first sequence, in f32."""
    group = HEADS // HEADS_KV
    k, v = (x[blocks].reshape(keys, HEADS_KV, DIM).float().repeat_interleave(group, 1) for x in (k, v))
    weights = torch.einsum("hd,khd->hk", q[0].float(), k).div(math.sqrt(DIM)).softmax(-1)
    difference = (torch.einsum("hk,khd->hd", weights, v) - out[0].float()).abs().max().item()
    if not difference < 0.02:
        sys.exit(f"decode of {keys} keys: {difference} from f32")


def decode(torch, attention, stream, table, batch, keys, rounds):
    width, blocks = keys // PAGE, batch * keys // PAGE
    cache_bytes = 2.0 * blocks * PAGE * HEADS_KV * DIM * 2
    sets = max(2, math.ceil(COLD_BYTES / cache_bytes))
    caches = [[torch.rand(blocks, PAGE, HEADS_KV, DIM, device="cuda", dtype=torch.bfloat16) * 2 - 1
               for _ in "kv"] for _ in range(sets)]
    q = torch.rand(batch, HEADS, DIM, device="cuda", dtype=torch.bfloat16) * 2 - 1
    out = torch.full_like(q, float("nan"))
    pages = torch.randperm(blocks, device="cuda").to(torch.int32).reshape(batch, width)
    lengths = torch.full((batch,), keys, device="cuda", dtype=torch.int32)
    shape = (batch, HEADS, HEADS_KV, DIM, blocks, PAGE, width)
    source, target = (torch.ones(COLD_BYTES, device="cuda", dtype=torch.uint8) for _ in range(2))

    def ours(turn):
        k, v = caches[turn % sets]
        attention.decode(q.data_ptr(), k.data_ptr(), v.data_ptr(), out.data_ptr(), pages.data_ptr(),
                         lengths.data_ptr(), shape)

    ours(0)
    check_decode(torch, q, *caches[0], out, pages[0].long(), keys)
    sides = {"device copy": lambda _turn: target.copy_(source), "aiter_attn": ours}
    seconds = interleaved(torch, stream, sides, rounds)
    table.group(f"decode bf16 D{DIM} H{HEADS}/{HEADS_KV} {batch} x {keys} page {PAGE}", list(sides),
                seconds, {"device copy": 2.0 * COLD_BYTES, "aiter_attn": cache_bytes}, "GB/s", 1e-9)


def with_torch(options):
    import torch
    stream = torch.cuda.Stream()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {options.rounds} rounds\n")
    with torch.no_grad(), torch.cuda.stream(stream):
        attention = Attention(options, stream.cuda_stream)
        table = Table(options.csv)
        for s, causal in PREFILL:
            prefill(torch, attention, stream, table, s, causal, options.rounds)
        for batch, keys in DECODE:
            decode(torch, attention, stream, table, batch, keys, options.rounds)
            torch.cuda.empty_cache()
        stream.synchronize()


def self_check(options):
    """The library's side alone, small, against numpy: an emulator will do."""
    import numpy
    random = numpy.random.default_rng(123)
    attention = Attention(options, None)
    lib, ctx = attention.lib, attention.ctx

    def numbers(*shape):  # exact in bf16
        return numpy.round(random.uniform(-1, 1, shape) * 128) / 128

    def upload(x, kind=None):
        data = x.astype(kind or numpy.float32)
        if kind is None:
            data = (data.view(numpy.uint32) >> 16).astype(numpy.uint16)
        there = lib.flat_upload(ctx, ctypes.c_void_p(data.ctypes.data), ctypes.c_int64(data.nbytes))
        attention.must(there)
        return there

    def compare(name, at, expected):
        data = numpy.full(expected.shape, 0x7FC0, numpy.uint16)
        attention.must(lib.flat_download(ctx, ctypes.c_void_p(data.ctypes.data), ctypes.c_void_p(at),
                                         ctypes.c_int64(data.nbytes)) == 0)
        got = (data.astype(numpy.uint32) << 16).view(numpy.float32)
        difference = abs(got - expected).max()
        print(f"{name}: largest difference {difference:.1e}")
        return difference < 0.01

    def softmax(q, k, v, causal):  # [S, H, D]
        scores = numpy.einsum("ihd,jhd->hij", q, k) / math.sqrt(q.shape[-1])
        if causal:
            scores += numpy.triu(numpy.full(scores.shape[1:], -numpy.inf), 1 + k.shape[0] - q.shape[0])
        weights = numpy.exp(scores - scores.max(-1, keepdims=True))
        return numpy.einsum("hij,jhd->ihd", weights / weights.sum(-1, keepdims=True), v)

    good = True
    for causal in (False, True):
        q, k, v = numbers(150, 4, DIM), numbers(150, 2, DIM), numbers(150, 2, DIM)
        at = [upload(x) for x in (q, k, v, q * 0 + numpy.nan)]
        attention.flash(*at, (1, 150, 4, 2, DIM), causal)
        good &= compare(f"flash, causal {causal}", at[3], softmax(q, k.repeat(2, 1), v.repeat(2, 1), causal))
    keys, width, blocks = 40, 3, 6
    q, k, v = numbers(2, 8, DIM), numbers(blocks, PAGE, 2, DIM), numbers(blocks, PAGE, 2, DIM)
    pages = random.permutation(blocks).reshape(2, width)
    at = [upload(x) for x in (q, k, v, q * 0 + numpy.nan)]
    attention.decode(*at, upload(pages, numpy.int32), upload(numpy.full(2, keys), numpy.int32),
                     (2, 8, 2, DIM, blocks, PAGE, width))
    flat = [[x[row].reshape(-1, 2, DIM)[:keys].repeat(4, 1) for x in (k, v)] for row in pages]
    good &= compare("decode", at[3], numpy.stack([softmax(q[i:i + 1], *flat[i], False)[0] for i in range(2)]))
    sys.exit(not good)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("device", choices=("cuda", "hip"))
    parser.add_argument("kernels", help="the folder of the GPU code objects")
    parser.add_argument("--csv", help="also write the table there")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--library", help="flat_calls.c, compiled; otherwise --cc compiles it")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--self-check", action="store_true", help="small problems against numpy, no PyTorch")
    options = parser.parse_args()
    (self_check if options.self_check else with_torch)(options)


main()
