#!/usr/bin/env python3
"""Codes and scales of aiter_quantize and aiter_dequantize beside those of public packages.

    tools/compare_formats.py [--header aiter_attn.h] [--compiler gcc]

Needs numpy and ml_dtypes, and takes gguf where it is installed; a virtual environment is enough.
Not in CI. The header is compiled to a shared library and called through ctypes. Each row says what
is compared under which options, and how many of how many codes differ."""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
F32, E4M3FN, E4M3FNUZ, E5M2, F4, E8M0 = 1, 4, 5, 6, 12, 13
FLOATS = {E4M3FN: ml_dtypes.float8_e4m3fn, E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
          E5M2: ml_dtypes.float8_e5m2, F4: ml_dtypes.float4_e2m1fn}


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int32), ("ndim", ctypes.c_int32),
                ("shape", ctypes.c_int64 * 5), ("stride", ctypes.c_int64 * 5)]


OPTIONS = ("to", "per", "scale_given", "group", "rounding", "scale_rounding", "overflow",
           "zero_block", "by_reciprocal")


class Args(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_uint32), ("x", Tensor), ("y", Tensor), ("scale", Tensor),
                ("global_scale", Tensor)] + [(name, ctypes.c_int32) for name in OPTIONS]


def tensor(array, dtype, shape):
    t = Tensor(array.ctypes.data, dtype, len(shape))
    t.shape[:len(shape)] = shape
    return t


class Library:
    def __init__(self, header, compiler, folder):
        source = os.path.join(folder, "library.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(f'#define AITER_ATTN_IMPLEMENTATION\n#include "{os.path.abspath(header)}"\n'
                       "unsigned long args_bytes(void) { return sizeof(aiter_quantize_args); }\n"
                       "int types_agree(void) { return AITER_F32 == 1 && AITER_F8_E4M3FN == 4 && "
                       "AITER_F4_E2M1 == 12 && AITER_F8_E8M0 == 13; }\n")
        path = os.path.join(folder, "library.so")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", path, "-lm", "-lpthread"],
                       check=True)
        self.calls = ctypes.CDLL(path)
        self.calls.aiter_last_error.restype = ctypes.c_char_p
        if self.calls.args_bytes() != ctypes.sizeof(Args) or not self.calls.types_agree():
            sys.exit("the structs here are not those of the header")

    def call(self, name, args):
        args.struct_bytes = ctypes.sizeof(Args)
        if getattr(self.calls, name)(ctypes.byref(args), None) != 0:
            sys.exit(self.calls.aiter_last_error().decode())

    def quantize(self, x, dtype, scale_dtype=F32, group=0, scale=None, **options):
        """Codes, one a byte, and scales of the last axis of x."""
        n, width = x.shape[-1], 2 if dtype == F4 else 1
        codes = np.zeros(x.size // width, np.uint8)
        groups = -(-n // group) if group else 1
        shape = x.shape[:-1] + ((groups,) if group else ())
        given = scale is not None
        if not given:
            scale = np.zeros(x.size // n * groups, np.float32 if scale_dtype == F32 else np.uint8)
        args = Args(x=tensor(x, F32, x.shape), y=tensor(codes, dtype, x.shape),
                    scale=tensor(scale, scale_dtype, (1,) if given else shape),
                    scale_given=int(given), group=group, **options)
        self.call("aiter_quantize", args)
        if width == 2:
            codes = np.stack([codes & 15, codes >> 4], -1).reshape(-1)
        return codes.reshape(x.shape), scale

    def dequantize(self, codes, dtype):
        """The value of each of 256 bytes, or of 16 codes of 4 bits."""
        count = 16 if dtype == F4 else 256
        y, one = np.zeros(count, np.float32), np.ones(1, np.float32)
        self.call("aiter_dequantize",
                  Args(x=tensor(codes, dtype, (count,)), y=tensor(y, F32, (count,)),
                       scale=tensor(one, F32, (1,))))
        return y


def numbers(dtype):
    """All of f16, both sides of each tie of the type, wide random numbers; infinities, no NaN."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    count = 16 if dtype == F4 else 256
    with np.errstate(all="ignore"):
        values = np.arange(count, dtype=np.uint8).view(FLOATS[dtype]).astype(np.float64)
        values = np.unique(values[np.isfinite(values)])
        ties = ((values[1:] + values[:-1]) / 2).astype(np.float32)
        edges = np.concatenate([np.nextafter(ties, np.float32(s)) for s in (-9e9, 9e9)] + [ties])
        random = np.random.default_rng(1).integers(0, 2**32, 200000, np.uint32).view(np.float32)
    x = np.concatenate([halves, edges, random])
    x = x[~np.isnan(x)]
    return x[:x.size // 2 * 2].copy()


def report(what, differ):
    print(f"| {what} | {np.count_nonzero(differ)} of {differ.size} |")
    return np.count_nonzero(differ)


def against_ml_dtypes(library):
    bad = 0
    for dtype, theirs in FLOATS.items():
        x, name = numbers(dtype), theirs.__name__
        with np.errstate(all="ignore"):
            expected = x.astype(theirs).view(np.uint8)
        options = {} if dtype == F4 else {"overflow": 1}
        codes, _ = library.quantize(x, dtype, scale=np.ones(1, np.float32), **options)
        is_nan = np.isnan(expected.view(theirs).astype(np.float32))  # of either sign there
        differ = codes != expected
        differ[is_nan] = ~np.isnan(codes[is_nan].view(theirs).astype(np.float32))
        bad += report(f"{name} of f32, ml_dtypes, {options or 'default'}", differ)
        every = np.arange(256, dtype=np.uint8)
        packed = np.array([2 * i | (2 * i + 1) << 4 for i in range(8)], np.uint8)
        ours = library.dequantize(packed if dtype == F4 else every, dtype)
        values = every[:ours.size].view(theirs).astype(np.float32)
        same = (ours.view(np.uint32) == values.view(np.uint32)) | (np.isnan(ours) & np.isnan(values))
        bad += report(f"{name} to f32, ml_dtypes", ~same)
    return bad


def against_gguf(library):
    try:
        from gguf import quants
        from gguf.constants import GGMLQuantizationType
    except ImportError:
        print("| gguf is not installed | - |")
        return 0
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4096, 32)).astype(np.float32) * np.exp2(rng.integers(-20, 20, (4096, 1)))
    grid = rng.integers(-24, 25, (4096, 32)).astype(np.float32) * 0.25
    x = np.concatenate([x.astype(np.float32), grid, np.zeros((4, 32), np.float32)])
    blocks = quants.quantize(x, GGMLQuantizationType.MXFP4).reshape(-1, 17)
    theirs = np.concatenate([blocks[:, 1:] & 15, blocks[:, 1:] >> 4], -1)
    codes, scale = library.quantize(x, F4, E8M0, 32, scale_rounding=1, rounding=1)
    minus_zero = (codes & 7) == 0  # they have +0 alone
    return (report("MXFP4 scales, gguf, FLOOR", scale != blocks[:, 0]) +
            report("MXFP4 codes, gguf, TIES_TOWARD_ZERO, zeros of either sign",
                   (codes != theirs) & ~(minus_zero & ((theirs & 7) == 0))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--header", default=os.path.join(ROOT, "aiter_attn.h"))
    parser.add_argument("--compiler", default="gcc")
    args = parser.parse_args()
    print(f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}\n")
    print("| what, whose, options | codes that differ |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        library = Library(args.header, args.compiler, folder)
        bad = against_ml_dtypes(library) + against_gguf(library)
    return int(bad != 0)


if __name__ == "__main__":
    sys.exit(main())
