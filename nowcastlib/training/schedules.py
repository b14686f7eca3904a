"""Schedules of a training run: functions of a configuration and the epoch. Imports no torch.

Epochs are counted from 0 and may be fractions: 1.5 is the middle of the second epoch.
"""

from math import cos, exp, pi, tanh

from nowcastlib.training.config import TrainConfig

# Scheduled sampling: elapsed share of the schedule → probability of a true frame. Each falls from 1
# to exactly 0: a network that still sees true frames at the end is not trained for its use.
DECAYS = {
    "linear": lambda done: 1 - done,
    "exponential": lambda done: (exp(-5 * done) - exp(-5)) / (1 - exp(-5)),
    "inverse-sigmoid": lambda done: (1 / (1 + exp(10 * done - 5)) - 1 / (1 + exp(5))) / tanh(2.5),
}


def phase(config: TrainConfig, epoch: float) -> int:
    """Index of the curriculum's length in an epoch, from 0."""
    return int(epoch) * max(len(config.rollout.curriculum), 1) // config.run.epochs


def last_phase(config: TrainConfig) -> int:
    """Index of the curriculum's last length."""
    return phase(config, config.run.epochs - 1)


def forecast_length(config: TrainConfig, epoch: float) -> int:
    """Number of frames to forecast in an epoch."""
    if not config.rollout.curriculum:
        return config.windows.n_out
    return config.rollout.curriculum[phase(config, epoch)]


def input_length(config: TrainConfig, epoch: float) -> int:
    """Number of input frames in an epoch."""
    if not config.rollout.curriculum_in:
        return config.windows.n_in
    return min(forecast_length(config, epoch), config.windows.n_in)


def lengths(config: TrainConfig, epoch: float) -> tuple[int, int]:
    """Number of input frames, and of frames to forecast, in an epoch."""
    return input_length(config, epoch), forecast_length(config, epoch)


def starts_new_length(config: TrainConfig, epoch: int) -> bool:
    """Whether an epoch is the first one with its length, the run's first epoch apart."""
    return epoch > 0 and phase(config, epoch) != phase(config, epoch - 1)


def truth_probability(config: TrainConfig, epoch: float) -> float:
    """Probability that a true frame is fed back (scheduled sampling).

    References
    ----------
    Bengio et al. 2015, arXiv 1506.03099.
    """
    if not config.rollout.sampling:
        return 0.0
    done = epoch / (config.rollout.sampling * config.run.epochs)
    return float(DECAYS[config.rollout.decay](done)) if done < 1 else 0.0


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """Learning rate, with warm-up, along the whole run or along each length of the curriculum."""
    options = config.optimisation
    epochs = list(range(config.run.epochs))
    if config.rollout.restart:
        epochs = [e for e in epochs if phase(config, e) == phase(config, epoch)]
    done = (epoch - epochs[0]) / len(epochs)

    factor = 1.0
    if options.schedule == "cosine":
        factor = (1 + cos(pi * done)) / 2
    elif options.schedule == "step":
        factor = options.gamma ** int(epoch - epochs[0])

    rise = 1.0
    if options.warmup:
        one_step = 1 / (len(epochs) * config.run.steps)
        rise = min(1.0, (done + one_step) / options.warmup)
    return options.lr * rise * factor


def out_of_patience(config: TrainConfig, history: list[dict]) -> bool:
    """Whether ``patience`` epochs at the last length have passed since the best one.

    Parameters
    ----------
    config : TrainConfig
    history : list of dict
        For each epoch so far, its number ``epoch`` and its ``validation`` loss.
    """
    if not config.run.patience or not history:
        return False
    best = min(history, key=lambda row: row["validation"])["epoch"]
    epochs = range(config.run.epochs)
    first_of_last_length = next(e for e in epochs if phase(config, e) == last_phase(config))
    return history[-1]["epoch"] - max(best, first_of_last_length - 1) >= config.run.patience
