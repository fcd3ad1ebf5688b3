"""Answers the held-out prompts with a GGUF file in PyTorch and prints the exact share."""

import argparse
from collections import defaultdict

import torch

from bpe import END, Tokenizer
from export_gguf import read_gguf
from model import Model

LONGEST_ANSWER = 24


def load_model(path, device):
    """Model and tokenizer from the file, weights as the file rounds them."""
    fields, tensors = read_gguf(path)
    shape = {
        "vocab": fields["llama.vocab_size"],
        "layers": fields["llama.block_count"],
        "width": fields["llama.embedding_length"],
        "heads": fields["llama.attention.head_count"],
        "kv_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "ffn": fields["llama.feed_forward_length"],
        "context": fields["llama.context_length"],
        "eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_base": fields["llama.rope.freq_base"],
    }
    model = Model(shape)
    named = {name: torch.tensor(tensors[_stored(name, tensors)]) for name in model.state_dict()}
    model.load_state_dict(named)
    return model.to(device).eval(), Tokenizer.from_merge_names(fields["tokenizer.ggml.merges"])


def _stored(name, tensors):
    return name if name in tensors else name + ".weight"


def read_prompts(path):
    """(kind, distance, answer, prompt) of each record."""
    with open(path, encoding="ascii") as file:
        for line in file:
            if not line.startswith("#"):
                kind, distance, answer, prompt = line.rstrip("\n").split("\t")
                yield kind, int(distance), answer, prompt.replace("\\n", "\n")


@torch.no_grad()
def generate(model, prompts, device, int8_cache=False, batch=64):
    """Greedy continuations of token lists, without the end token."""
    answers = []
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        lengths = torch.tensor([len(p) for p in part], device=device)
        width = max(len(p) for p in part) + LONGEST_ANSWER
        ids = torch.zeros(len(part), width, dtype=torch.long, device=device)
        for row, prompt in enumerate(part):
            ids[row, : len(prompt)] = torch.tensor(prompt, device=device)
        rows = torch.arange(len(part), device=device)
        for step in range(LONGEST_ANSWER):
            states = model.hidden(ids[:, : width - LONGEST_ANSWER + step], int8_cache)
            ids[rows, lengths + step] = model.logits(states[rows, lengths + step - 1]).argmax(-1)
        for row, prompt in enumerate(part):
            text = ids[row, len(prompt) : len(prompt) + LONGEST_ANSWER].tolist()
            answers.append(text[: text.index(END)] if END in text else text + [END])
    return answers


def evaluate(gguf, prompt_file, device):
    torch.backends.cuda.matmul.allow_tf32 = False
    model, tokenizer = load_model(gguf, device)
    records = list(read_prompts(prompt_file))
    prompts = [tokenizer.encode(prompt) for _, _, _, prompt in records]
    runs = (("f32 cache", False, None), ("int8 cache", True, None), ("last 64 tokens", False, 64))
    for title, int8_cache, window in runs:
        seen = [p[-window:] if window else p for p in prompts]
        right, count = defaultdict(int), defaultdict(int)
        for record, ids in zip(records, generate(model, seen, device, int8_cache)):
            kind, _, answer, prompt = record
            text = tokenizer.decode(ids).removeprefix(" ")
            for key in (kind, "all"):
                count[key] += 1
                right[key] += END not in ids and text == answer
            if not window and not int8_cache and text != answer:
                print(f"  {prompt[-80:]!r} wants {answer!r}, got {text!r}")
        shares = (f"{k} {right[k]}/{n} {100 * right[k] / n:.2f} %" for k, n in count.items())
        print(f"{title}: {', '.join(shares)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf")
    parser.add_argument("prompts")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    evaluate(options.gguf, options.prompts, options.device)


if __name__ == "__main__":
    main()
