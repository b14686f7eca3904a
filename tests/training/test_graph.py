"""A training step as one CUDA graph: its bookkeeping on the CPU (see test_graph_on_cuda.py)."""

import logging

import numpy as np
import pytest
import torch
from small_networks import CONFIG, one_thread, same, train, weights, windows  # noqa: F401
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from nowcastlib.networks import CONFIGS, build
from nowcastlib.training import default_config, step
from nowcastlib.training.graph import WARM_UP, GraphStep, set_capturable
from nowcastlib.training.step import EagerStep, criterion, loss_phase
from nowcastlib.units import RATES

LONG = CONFIG.changed(steps=6)  # enough to record the step of each length


class FakeRecorder:
    """Records on the CPU: a replay runs the work on its buffers, as a graph would."""

    def __init__(self, *_):
        self.warm_ups = 0
        self.recorded = 0
        self.replays = 0

    def warm_up(self, work):
        self.warm_ups += 1
        return work()

    def record(self, work):
        self.recorded += 1
        loss = torch.zeros(())

        def replay():
            self.replays += 1
            loss.copy_(work())

        return replay, loss


class BrokenRecorder(FakeRecorder):
    """A recorder whose GPU refuses the first recording."""

    def record(self, work):
        self.recorded += 1
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")


def use_recorder(monkeypatch, kind=FakeRecorder):
    """Let ``fit`` make its steps with a fake recorder; returns the list of those it has made."""
    made = []

    def make_step(config, state, network, accelerator, graph=False):
        eager = EagerStep(config, state, network, accelerator)
        if not graph:
            return eager
        made.append(kind())
        return GraphStep(eager, made[-1], lambda time: loss_phase(config, time))

    monkeypatch.setattr("nowcastlib.training.loop.make_step", make_step)
    return made


def trained(out, config, **options):
    model, history = train(out, config, **options)
    return weights(model), history[["train", "validation"]].to_numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"restart": True, "curriculum_in": True, "curriculum": (1, 2, 3)},
        {"loss": "ssim_mse", "curriculum": (3, 3)},
        {"precision": "bf16", "sampling": 0.5, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_recorded_steps_train_like_steps_without_a_graph(tmp_path, monkeypatch, options):
    made = use_recorder(monkeypatch)
    config = LONG.changed(**options)
    plain, expected = trained(tmp_path / "plain", config)
    recorded, losses = trained(tmp_path / "recorded", config, graph=True)
    assert made[0].replays > 0
    assert made[0].replays + made[0].warm_ups == config.run.epochs * config.run.steps
    assert same(recorded, plain)
    np.testing.assert_array_equal(losses, expected)


def fake_step(config=LONG, recorder=None):
    """A step that notes its inputs, the recorder, and the list of what the step has seen."""
    seen = []

    class Eager:
        rate = 0.0

        def set_learning_rate(self, time):
            self.rate = time

        def run(self, x, target, coins, time):
            seen.append((x, self.rate))
            return x.sum()

        def reset_gradients(self):
            seen.append("reset")

    recorder = recorder or FakeRecorder()
    return GraphStep(Eager(), recorder, lambda time: loss_phase(config, time)), recorder, seen


def batch(value=1.0, size=2, length=1, coins=None):
    return torch.full((size, 2, 1, 4, 4), value), torch.zeros(size, length, 1, 4, 4), coins


def test_each_shape_is_warmed_up_and_recorded_once():
    graph, recorder, _ = fake_step()
    coins = torch.zeros(2, 2, dtype=torch.bool)
    shapes = [{}, {"size": 3}, {"length": 2}, {"coins": coins}]
    for _ in range(WARM_UP + 4):
        for shape in shapes:
            graph(*batch(**shape), time=0.0)
    assert recorder.recorded == len(shapes)
    assert recorder.warm_ups == len(shapes) * WARM_UP
    assert recorder.replays == len(shapes) * 4


def test_another_loss_is_another_recording_although_the_shape_is_the_same():
    config = LONG.changed(loss="ssim_mse", curriculum=(3, 3))
    graph, recorder, _ = fake_step(config)
    for time in (0.0, 3.0):
        for _ in range(WARM_UP + 1):
            graph(*batch(), time=time)
    assert recorder.recorded == 2


def test_batches_are_copied_into_the_same_buffers_and_losses_are_copies():
    graph, _, seen = fake_step()
    losses = [graph(*batch(float(value)), time=value) for value in range(WARM_UP + 3)]
    assert [float(loss) for loss in losses] == [64.0 * value for value in range(WARM_UP + 3)]
    buffers = [x for x, _ in seen[WARM_UP:]]
    assert all(x is buffers[0] for x in buffers)
    assert [rate for _, rate in seen] == list(range(WARM_UP + 3))  # set before each replay


def test_failed_recording_falls_back_with_one_warning_and_trains_the_same(
    tmp_path, monkeypatch, caplog
):
    made = use_recorder(monkeypatch, BrokenRecorder)
    plain, _ = trained(tmp_path / "plain", LONG)
    fallen_back, _ = trained(tmp_path / "recorded", LONG, graph=True)
    assert same(fallen_back, plain)
    assert made[0].recorded == 1
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "(CUDA error: operation not permitted when stream is capturing)" in messages[0]


def test_gradients_of_a_failed_recording_are_dropped():
    graph, _, seen = fake_step(recorder=BrokenRecorder())
    for _ in range(WARM_UP + 2):
        graph(*batch(), time=0.0)
    assert seen.count("reset") == 1
    assert seen.index("reset") == WARM_UP


def test_graph_without_cuda_warns_and_trains_the_same(tmp_path, caplog):
    plain, _ = trained(tmp_path / "plain", CONFIG, device="cpu")
    caplog.clear()
    other, _ = trained(tmp_path / "graph", CONFIG, device="cpu", graph=True)
    assert same(other, plain)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no CUDA graph: the device is cpu" in caplog.text


@pytest.mark.parametrize(
    ("processes", "precision", "reason"),
    [(1, "bf16", ""), (2, "bf16", "several processes"), (1, "fp16", "use bf16")],
)
def test_graphs_are_for_one_process_without_a_loss_scale(processes, precision, reason):
    class OnGPU:
        device = torch.device("cuda")
        num_processes = processes

    why = step._why_no_graph(CONFIG.changed(precision=precision), OnGPU())
    assert reason in why
    assert bool(reason) == bool(why)


def test_optimiser_changes_between_runs_with_a_graph_and_without():
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.AdamW([weight], lr=0.25)
    weight.sum().backward()
    optimiser.step()
    set_capturable(optimiser, torch.device("meta"))  # stands for a GPU
    group = optimiser.param_groups[0]
    assert group["capturable"]
    assert group["lr"].device.type == "meta"
    assert optimiser.state[weight]["step"].device.type == "meta"

    optimiser.state[weight]["step"] = torch.tensor(1.0)
    group["lr"] = torch.tensor(0.25)  # as the last state of a run with a graph has it
    set_capturable(optimiser, None)
    assert repr(group["lr"]) == "0.25"  # a number, no tensor
    assert not group["capturable"]
    weight.sum().backward()
    optimiser.step()
    assert optimiser.state[weight]["step"] == 2


class RefuseInGraphs(TorchDispatchMode):
    """Raises where a CUDA graph cannot be captured: the CPU would have to wait for the GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        waits = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select")
        assert name not in waits, f"{name} reads from the GPU"
        result = function(*args, **kwargs or {})
        if isinstance(result, torch.Tensor) and name in ("aten::_to_copy", "aten::copy_"):
            devices = {t.device.type for t in (*args, result) if isinstance(t, torch.Tensor)}
            assert len(devices) == 1, f"{name} copies between {devices}"
        return result


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("last", [0, -1], ids=["first loss", "last loss"])
def test_forward_pass_and_loss_never_wait_for_the_gpu(kind, last, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    config = default_config(kind)
    config = config.changed(loss=config.model.losses[last])
    size = config.model.fixed_size or 32
    channels = len(RATES) if config.model.gives_probabilities else 1
    length = 1
    if not config.model.classifies:
        shape, length = (1, 1, channels, 16, 16), 2
        criterion(config)(torch.zeros(shape), torch.zeros(1, 1, 1, 16, 16))  # as the warm-up does

    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("cuda"):
            model = build(config.model)
            x, target = torch.empty(2, 3, 1, size, size), torch.empty(2, 2, 1, size, size)
            target = target[:, 0, 0, :1, 0] if config.model.classifies else target  # labels (2, 1)
            coins = torch.empty(2, 1, dtype=torch.bool) if config.model.feeds_back else None
        # PyTorch knows no shapes of cuDNN's sampler; its own does not wait either
        with RefuseInGraphs(), torch.backends.cudnn.flags(enabled=False):
            logits = model(x, length, torch.nan_to_num(target), coins)
            loss = criterion(config)(logits.float(), target)
    assert loss.device.type == "cuda"
