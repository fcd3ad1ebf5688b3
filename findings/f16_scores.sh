#!/usr/bin/env bash
# Where CPU attention over f16 tensors keeps its scores in f16.
#
# Expected: f16 is a storage type on a CPU; q, k and v are widened and q.k is an f32 number, as in FlashAttention,
# torch and jax, so q = 200 against k = 400 and 399 gives the scores 80000 and 79800 and the output v_0 = 1.
# Seen, onnx 1.23.2, onnxruntime 1.32.0, mlx 0.32.4 (its CPU back-end), x86-64: the operator Attention of ONNX (opsets 23
# and 24) and mlx.core.fast.scaled_dot_product_attention round the scores to f16: 80000 becomes infinity and the row NaN,
# although every input is finite and the answer is 1. At scale 0.001 (scores 80 and 79.8) both give 0.547, the rounded
# score's 1 / (1 + e^-0.1875), where 0.550 is right. onnxruntime's own GroupQueryAttention gives 1 and 0.550 for the same
# tensors: two attention operators of one library differ, and a graph exporter's choice between them decides.
# What follows: compare f16 attention with these two only where |q.k| stays far below 65504 and allow them 2^-11 of a score.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 mlx==0.32.4 mlx-cpu==0.32.4
"$dir/venv/bin/python" - <<'PYTHON'
import math
import sys

import mlx.core as mx
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

WIDTH = 8  # one column in use; GroupQueryAttention wants a multiple of 8


def run(node, inputs, outputs, domain):
    kinds = {np.dtype(np.float16): TensorProto.FLOAT16, np.dtype(np.int32): TensorProto.INT32}
    values = [helper.make_tensor_value_info(n, kinds[x.dtype], None) for n, x in inputs.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)
    opsets = [helper.make_opsetid("", domain)] + [helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node], "g", values, [y]), opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(outputs, inputs)[0].ravel()[0])


def rows(*first):
    x = np.zeros((1, 1, len(first), WIDTH), np.float16)
    x[0, 0, :, 0] = first
    return x


q, k, v = rows(200), rows(400, 399), rows(1, 0)


def onnx_attention(scale, opset):
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], scale=scale)
    return run(node, {"q": q, "k": k, "v": v}, ["y"], opset)


def grouped_query_attention(scale):
    names = ["q", "k", "v", "past_k", "past_v", "last", "total"]
    node = helper.make_node("GroupQueryAttention", names, ["y", "present_k", "present_v"], domain="com.microsoft",
                            num_heads=1, kv_num_heads=1, scale=scale)
    inputs = {"q": q[0], "k": k[0, :, 1:], "v": v[0, :, 1:], "past_k": k[:, :, :1], "past_v": v[:, :, :1],
              "last": np.array([[1]], np.int32), "total": np.array([2], np.int32)}
    return run(node, inputs, ["y"], 21)


def mlx_attention(scale):
    tensors = [mx.array(x) for x in (q, k, v)]
    return float(np.array(mx.fast.scaled_dot_product_attention(*tensors, scale=scale, mask=None)).ravel()[0])


bad = 0
for scale in (1.0, 0.001):
    right = 1 / (1 + math.exp(scale * 200 * (399 - 400)))
    seen = {"Attention-23": onnx_attention(scale, 23), "Attention-24": onnx_attention(scale, 24),
            "mlx": mlx_attention(scale), "GroupQueryAttention": grouped_query_attention(scale)}
    for name, got in seen.items():
        exact = name == "GroupQueryAttention"
        want = right if exact else math.nan if scale == 1.0 else 0.547
        same = math.isnan(got) if math.isnan(want) else abs(got - want) < 5e-4
        print(f"scale {scale}: {name} gives {got:.4f}, f32 scores give {right:.4f}" + ("" if same else "  CHANGED"))
        bad += not same
sys.exit(bad)
PYTHON
