"""Trains the small model on one GPU: makes the documents, trains, writes checkpoint and GGUF."""

import argparse
import multiprocessing
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import make_data
from evaluate import evaluate
from export_gguf import write_gguf
from model import SHAPE, Model

PAD, ANSWER = -1, 8192  # a token of an answer is stored as its id plus ANSWER
BUCKETS = (256, 512, 768)
PROSE_WEIGHT = 0.04
_worker = {}


def _make_chunk(job):
    first, count, seed = job
    if "tokenizer" not in _worker:
        _worker["tokenizer"] = make_data.make_tokenizer()
    rows = {length: [] for length in BUCKETS}
    for index in range(first, first + count):
        ids, flags = make_data.training_tokens(_worker["tokenizer"], seed, index)
        for length in BUCKETS:
            if len(ids) <= length + 1:
                row = np.full(length + 1, PAD, np.int16)
                row[: len(ids)] = np.array(ids) + ANSWER * np.array(flags)
                rows[length].append(row)
                break
    return {length: np.array(r, np.int16).reshape(-1, length + 1) for length, r in rows.items()}


def make_documents(seed, count, workers):
    """The training set as one array of padded rows per bucket length."""
    size = 500
    jobs = [(first, size, seed) for first in range(0, count, size)]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        chunks = pool.map(_make_chunk, jobs, chunksize=4)
    return {length: np.concatenate([c[length] for c in chunks]) for length in BUCKETS}


def split_batch(rows):
    """Inputs, targets and weights of a batch of stored rows."""
    rows = rows.long()
    ids = torch.where(rows >= ANSWER, rows - ANSWER, rows)
    targets = ids[:, 1:]
    weights = torch.where(rows[:, 1:] >= ANSWER, 1.0, PROSE_WEIGHT)
    weights = torch.where(targets < 0, 0.0, weights)
    return ids[:, :-1].clamp_min(0), targets.clamp_min(0), weights


def rate(done):
    """Warm-up, plateau, then a straight line to zero over the last half."""
    return min(1, done / 0.02 + 0.01, (1 - done) / 0.5)


def bucket_shares(done):
    """Short documents first, all lengths from a quarter of the run on."""
    long_part = min(1.0, done / 0.25)
    return np.array([1 - 0.8 * long_part, 0.30 * long_part, 0.50 * long_part])


def orthogonal(batch):
    """The nearest orthogonal matrices, by five Newton-Schulz steps."""
    wide = batch.shape[1] <= batch.shape[2]
    x = (batch if wide else batch.transpose(1, 2)).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x if wide else x.transpose(1, 2)).float()


class Muon:
    """Momentum with orthogonal steps for the layers' matrices, equal shapes in one batch."""

    def __init__(self, params, lr, decay=0.1, momentum=0.95):
        self.lr, self.decay, self.momentum, self.groups = lr, decay, momentum, []
        for shape in sorted({tuple(p.shape) for p in params}):
            group = [p for p in params if tuple(p.shape) == shape]
            self.groups.append((group, torch.zeros(len(group), *shape, device=group[0].device)))

    @torch.no_grad()
    def step(self, factor):
        lr = self.lr * factor
        for group, buffer in self.groups:
            grads = torch.stack([p.grad for p in group])
            buffer.lerp_(grads, 1 - self.momentum)
            step = orthogonal(grads.lerp(buffer, self.momentum))
            tall = max(1.0, buffer.shape[1] / buffer.shape[2]) ** 0.5
            torch._foreach_mul_(group, 1 - lr * self.decay)
            torch._foreach_add_(group, list(step.unbind()), alpha=-lr * tall)


@torch.no_grad()
def answer_loss(model, batch, device):
    """Mean loss of the answers' tokens and the share of them predicted right."""
    ids, targets, weights = batch
    with torch.autocast(device, torch.bfloat16):
        logits = model.logits(model.hidden(ids)[weights == 1]).float()
    wanted = targets[weights == 1]
    right = (logits.argmax(-1) == wanted).float().mean()
    return f"answers {F.cross_entropy(logits, wanted):.4f} {100 * right:.2f} %"


def train(model, documents, options):
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blk")]
    rest = [p for n, p in model.named_parameters() if p.dim() != 2 or not n.startswith("blk")]
    on_gpu = options.device == "cuda"
    adam = torch.optim.AdamW(rest, lr=0, betas=(0.9, 0.98), weight_decay=0.0, fused=on_gpu)
    muon = Muon(matrices, options.matrix_lr)
    step_loss = torch.compile(model.weighted_loss, dynamic=False) if on_gpu else model.weighted_loss
    pick = np.random.default_rng(options.seed)
    order = {length: [] for length in BUCKETS}
    start, seen, step, done = time.time(), 0, 0, 0.0
    while done < 1:
        for group in adam.param_groups:
            group["lr"] = options.lr * rate(done)
        length = int(pick.choice(BUCKETS, p=bucket_shares(done)))
        rows = options.batch_tokens // length
        if len(order[length]) < rows:
            order[length] = pick.permutation(len(documents[length]))
        chosen, order[length] = order[length][:rows], order[length][rows:]
        index = torch.from_numpy(chosen).to(options.device)
        batch = split_batch(documents[length][index])
        with torch.autocast(options.device, torch.bfloat16):
            loss = step_loss(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        muon.step(rate(done))
        model.zero_grad(set_to_none=True)
        seen, step = seen + rows * length, step + 1
        spent = time.time() - start
        done = spent / options.seconds
        if step % options.report == 1 or done >= 1:
            print(
                f"step {step} bucket {length} loss {loss.item():.4f} "
                f"{answer_loss(model, batch, options.device)} "
                f"{spent:.0f} s {seen / spent / 1e6:.2f} Mtok/s",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="build/small_model", help="folder for what is written")
    parser.add_argument("--prompts", default="tests/data/recall_prompts.txt")
    parser.add_argument("--resume", help="start from this checkpoint")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--documents", type=int, default=400000)
    parser.add_argument("--data-seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=480, help="length of the training")
    parser.add_argument("--batch-tokens", type=int, default=98304)
    parser.add_argument("--lr", type=float, default=3e-3, help="of embeddings and norms")
    parser.add_argument("--matrix-lr", type=float, default=1e-2, help="of the layers' matrices")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=int, default=500)
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)

    start = time.time()
    tokenizer = make_data.make_tokenizer()
    arrays = make_documents(options.data_seed, options.documents, options.workers)
    documents = {n: torch.from_numpy(a).to(options.device) for n, a in arrays.items()}
    tokens = sum(int((a >= 0).sum()) for a in arrays.values())
    print({n: a.shape for n, a in arrays.items()}, f"{tokens} tokens", flush=True)
    print(f"documents made in {time.time() - start:.0f} s", flush=True)

    torch.manual_seed(options.seed)
    model = Model(SHAPE).to(options.device)
    if options.resume:
        model.load_state_dict(torch.load(options.resume, map_location=options.device))
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    train(model, documents, options)
    torch.save(model.state_dict(), options.out + "/small.pt")
    write_gguf(options.out + "/small.gguf", model.state_dict(), SHAPE, tokenizer)
    evaluate(options.out + "/small.gguf", options.prompts, options.device)


if __name__ == "__main__":
    main()
