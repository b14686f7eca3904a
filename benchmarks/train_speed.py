"""How fast a Conv-ED-LSTM trains, beside a plain reference and beside its convolutions alone.

The reference is the network of Zampar (2025) as it is described there: frame by frame, float32, one
step too many, layer normalisation after each convolution, max pooling on 4·hidden channels at full
size, a peephole weight for each pixel, BCE on probabilities. Ours has the same layers and sizes:
hidden [64, 32, 32, 16], kernel 5, 64 × 64 px, batch 16, 5 frames in and 5 out. Every measurement is
the best of several steps in a process of its own. Nothing else should run meanwhile (5 minutes;
the longest films need 12 GB of memory):

    python benchmarks/train_speed.py [--json] [--write docs/results/train_speed.json]

With --json the last line is one JSON object: ``speedup`` (frames per second, ours over the
reference's), ``conv_fraction`` (time of our convolutions alone, forward and backward, over the time
of our steps), ``peak_memory_ratio`` (peak of a step, ours over the reference's), ``seconds`` of a
step of each part, and ``device``. --write keeps it in a file.

The losses of both along the same training on Moving MNIST are written by

    python benchmarks/train_speed.py --losses docs/results/train_losses.csv
                                     [--steps 300 --seeds 3 --loss-batch 4]

This takes hours; other programs may run beside it.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from nowcastlib.data.moving_mnist import MovingMNIST
from nowcastlib.networks import ConvEDLSTMConfig, NetworkConfig, build
from nowcastlib.training import FitOptions, TrainConfig, fastest_precision, fit, keep_memory

HIDDEN, KERNEL, SIZE, BATCH, FRAMES = (64, 32, 32, 16), 5, 64, 16, 5
MODEL = ConvEDLSTMConfig(
    HIDDEN, (KERNEL,) * 4, patch=1, stride=2, max_pool=True, norm="layer", skip=False
)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class ReferenceCell(nn.Module):
    """A cell of the reference; ``size`` is that of its input."""

    def __init__(self, channels: int, hidden: int, size: int, down: bool):
        super().__init__()
        self.hidden, self.out = hidden, size // 2 if down else size * 2
        if down:
            self.from_x = nn.Conv2d(channels, 4 * hidden, KERNEL, padding=KERNEL // 2)
            self.norm_x, self.pool = nn.LayerNorm([4 * hidden, size, size]), nn.MaxPool2d(2)
        else:
            self.from_x = nn.ConvTranspose2d(
                channels, 4 * hidden, KERNEL, 2, KERNEL // 2, output_padding=1
            )
            self.norm_x, self.pool = nn.LayerNorm([4 * hidden, self.out, self.out]), nn.Identity()
        self.from_h = nn.Conv2d(hidden, 4 * hidden, KERNEL, padding=KERNEL // 2)
        self.norm_h = nn.LayerNorm([4 * hidden, self.out, self.out])
        self.w_ci, self.w_cf, self.w_co = (
            nn.Parameter(torch.zeros(hidden, self.out, self.out)) for _ in range(3)
        )

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        if state is None:
            state = (x.new_zeros(len(x), self.hidden, self.out, self.out),) * 2
        h, c = state
        gates = self.pool(self.norm_x(self.from_x(x))) + self.norm_h(self.from_h(h))
        i, f, g, o = torch.split(gates, self.hidden, dim=1)
        i = torch.sigmoid(i + self.w_ci * c)
        f = torch.sigmoid(f + self.w_cf * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + self.w_co * c)
        return o * torch.tanh(c), c


class Reference(nn.Module):
    """Probabilities of the frames after ``x``: (B, T, 1, H, W) → (B, n_out, 1, H, W)."""

    def __init__(self):
        super().__init__()
        self.cells, channels, size = nn.ModuleList(), 1, SIZE
        for k, hidden in enumerate(HIDDEN):
            self.cells.append(ReferenceCell(channels, hidden, size, down=k < 2))
            channels, size = hidden, self.cells[-1].out
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor, n_out: int) -> Tensor:
        states, outputs, frame = [None] * len(self.cells), [], None
        for t in range(x.shape[1] + n_out):  # the last step is thrown away
            up = x[:, t] if t < x.shape[1] else frame
            for k, cell in enumerate(self.cells):
                states[k] = cell(up, states[k])
                up = states[k][0]
            frame = torch.sigmoid(self.head(up))
            outputs.append(frame)
        return torch.stack(outputs[x.shape[1] - 1 : -1], 1)


def trainer(
    config: NetworkConfig | None, lr: float = 1e-3, seed: int = 0
) -> Callable[[Tensor, int], Tensor]:
    """A training step: films (B, T, 1, H, W) and the number of input frames → the loss.

    It trains our network of that configuration or, without one, the reference. With the same seed
    both start from the same convolutions, because chance in these makes more of a difference after
    some hundred steps than the way they are run.
    """
    torch.manual_seed(seed)
    reference = Reference()
    if config:
        keep_memory()
        model = build(config)
        pairs = [(model.head, reference.head)]
        for cell, theirs in zip(model.cells, reference.cells, strict=True):
            pairs += [(cell.from_x, theirs.from_x), (cell.from_h, theirs.from_h)]
        for ours, theirs in pairs:
            ours.load_state_dict(theirs.state_dict(), strict=False)
        model = model.to(DEVICE, memory_format=torch.channels_last)
        fast = fastest_precision(DEVICE) == "bf16"
    else:
        model = reference.to(DEVICE)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)

    def step(films: Tensor, n: int) -> Tensor:
        x, y = films[:, :n], films[:, n:]
        if config:
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=fast):
                logits = model(x, y.shape[1])
            loss = F.binary_cross_entropy_with_logits(logits.float(), y)
        else:
            loss = F.binary_cross_entropy(model(x, y.shape[1]), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach()

    return step


class Convolutions(TorchDispatchMode):
    """Remembers the arguments of every convolution."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            self.calls.append(args)
        return function(*args, **kwargs or {})


def convolutions() -> Callable[[Tensor, int], None]:
    """The convolutions of one training step of ours, forward and backward, and nothing else."""
    keep_memory()
    model, calls = build(MODEL).to(DEVICE, memory_format=torch.channels_last), []
    fast = fastest_precision(DEVICE) == "bf16"

    @torch.no_grad()
    def step(films: Tensor, n: int) -> None:
        if not calls:
            with Convolutions() as seen, torch.autocast(DEVICE.type, torch.bfloat16, enabled=fast):
                model(films[:, :n], films.shape[1] - n)
            calls.extend(seen.calls)
        for k, (x, weight, bias, *options) in enumerate(calls):
            gradient = torch.ops.aten.convolution(x, weight, bias, *options)
            wanted = (k > 0, True, bias is not None)  # frames that were observed need no gradient
            sizes = None if bias is None else bias.shape
            torch.ops.aten.convolution_backward(gradient, x, weight, sizes, *options, wanted)

    return step


PARTS = {
    "reference": lambda: trainer(None),
    "ours": lambda: trainer(MODEL),
    "ours with stride": lambda: trainer(
        replace(MODEL, max_pool=False)
    ),  # not the same layers: half as many products
    "ours with norm pixel": lambda: trainer(replace(MODEL, norm="pixel", size=SIZE)),
    "convolutions": convolutions,
}


def measure(part: str, frames: int, rounds: int) -> dict[str, float]:
    """Best time of a step (s) with ``frames`` in and out, and its peak memory (MB)."""
    films = torch.stack([MovingMNIST(n_frames=2 * frames)[i] for i in range(BATCH)]).to(DEVICE)
    step, best = PARTS[part](), float("inf")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(rounds):
        began = time.perf_counter()
        step(films, frames)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    if DEVICE.type == "cuda":
        return {"seconds": best, "memory": torch.cuda.max_memory_allocated() / 1e6}
    return {
        "seconds": best,
        "memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
    }


def apart(*options: str) -> dict[str, float]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--part", *options]
    return json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )


def start_up() -> dict[str, float]:
    """Seconds from calling ``fit`` until a network of no size has taken one step and is saved."""
    config = TrainConfig().changed(
        model=ConvEDLSTMConfig((1,), (1,), stride=1),
        n_in=1,
        n_out=1,
        epochs=1,
        steps=1,
        batch=1,
        crop=0,
    )
    data = MovingMNIST(n_samples=1, n_frames=2)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fit(config, data, data, Path(folder) / "run", FitOptions(progress=False))
    return {"seconds": time.perf_counter() - began}


def losses(out: Path, steps: int, seeds: int, batch: int, lr: float) -> None:
    """Train both in the same way and write the losses of each step; a rerun continues."""
    done = pd.read_csv(out) if out.exists() else pd.DataFrame()
    for seed in range(seeds):
        for part in ("ours", "reference"):
            if len(done) and ((done.seed == seed) & (done.part == part)).any():
                continue
            data, step, rows = (
                MovingMNIST(n_frames=2 * FRAMES, seed=seed),
                trainer(MODEL if part == "ours" else None, lr, seed),
                [],
            )
            for k in range(steps):
                films = torch.stack([data[(k * batch + b) % len(data)] for b in range(batch)]).to(
                    DEVICE
                )
                rows.append(
                    {
                        "part": part,
                        "seed": seed,
                        "step": k,
                        "batch": batch,
                        "loss": float(step(films, FRAMES)),
                    }
                )
            done = pd.concat([done, pd.DataFrame(rows).round(5)])
            done.to_csv(out, index=False)
            print(
                part,
                seed,
                f"mean of the last 50 losses {done.loss.tail(50).mean():.4f}",
                flush=True,
            )


def summary(costs: dict[str, dict[str, float]]) -> dict:
    """What the measurements of all parts say, see above."""
    seconds, memory = (
        {part: cost[key] for part, cost in costs.items()} for key in ("seconds", "memory")
    )
    cpu = f"{platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "speedup": round(seconds["reference"] / seconds["ours"], 2),
        "conv_fraction": round(seconds["convolutions"] / seconds["ours"], 3),
        "peak_memory_ratio": round(memory["ours"] / memory["reference"], 3),
        "seconds": {part: round(value, 3) for part, value in seconds.items()},
        "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="JSON", help="write the report to a file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", nargs=2, metavar=("PART", "FRAMES"), help="one measurement only")
    parser.add_argument("--losses", type=Path, metavar="CSV")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--loss-batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    if options.losses:
        return losses(options.losses, options.steps, options.seeds, options.loss_batch, options.lr)
    if options.part:
        part, frames = options.part
        print(
            json.dumps(
                start_up() if part == "start_up" else measure(part, int(frames), options.rounds)
            )
        )
        return None
    costs = {part: apart(part, str(FRAMES)) for part in PARTS}
    for part, cost in costs.items():
        seconds, memory = cost["seconds"], cost["memory"]
        speed = BATCH * 2 * FRAMES / seconds
        print(f"{part}: {seconds:.3f} s/step, {speed:.0f} frames/s, peak {memory:.0f} MB")
    report = json.dumps(summary(costs))
    if options.write:
        options.write.write_text(report + "\n")
    for frames in (5, 10, 20):
        seconds = apart("ours", str(frames))["seconds"]
        per_frame = 1e3 * seconds / frames
        print(f"ours, {frames} frames in and out: {seconds:.3f} s/step, {per_frame:.0f} ms/frame")
    print(f"start-up of fit: {apart('start_up', '0')['seconds']:.2f} s")
    if options.json:
        print(report)
    return None


if __name__ == "__main__":
    main()
