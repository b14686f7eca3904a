"""Clips of two moving digits, and whether the digits will touch: labels that are known exactly."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch.utils.data import Dataset

from nowcastlib.data.moving_mnist import DIGIT, DigitScene, MovingMNIST
from nowcastlib.errors import NowcastError

INK = 64  # brightness of 0 … 255 from which a pixel belongs to a digit
TRIES = 50  # films that are looked at for one clip


@dataclass(frozen=True)
class TouchOptions:
    """Which clips of two digits are taken, and what their label means.

    Two digits touch if a pixel of one overlaps or borders on a pixel of the other. The label is 1
    if they touch in one of the ``within`` frames after the clip.

    Raises
    ------
    NowcastError
        For settings outside their range.
    """

    n_in: int = 6  # frames of a clip
    within: int = 6  # frames after the clip
    # px between the centres of the digits, in the mean of the frames of a clip: at equal distances
    # only the motion tells which digits will touch
    apart: tuple[float, float] = (28.0, 36.0)
    # px by which digits that do not touch stay apart: closer misses are left out
    margin: int = 4
    turned: bool = False  # turn and mirror the clips at random, which keeps their labels

    def __post_init__(self):
        if self.margin < 0:
            raise NowcastError(f"margin is {self.margin}: it must not be below 0 px")
        if min(self.n_in, self.within) < 1:
            raise NowcastError("n_in and within are numbers of frames: 1 or more")
        if not 0 <= self.apart[0] < self.apart[1]:
            raise NowcastError(f"apart is {self.apart}: give a smallest and a larger distance, px")


class DigitClips(Dataset):
    """Clips of Moving MNIST with the label "will the two digits touch?".

    In no frame of a clip do the digits touch. The labels come from the exact positions and the
    pixels of the digits. Clip i of a seed is always the same.

    Parameters
    ----------
    split : str
        "train", "validation" or "test", with different handwritten digits.
    n_samples : int
        Number of clips.
    options : TouchOptions
    seed : int
        Another seed gives other clips.
    scene : DigitScene
        Size of the box, speeds, and the source of the digits; the digits must be two.

    Attributes
    ----------
    labels : array (clip,)
        1 if the digits touch, else 0.
    epoch : int
        Set it before each epoch: a turned clip is another one in each epoch.

    Raises
    ------
    NowcastError
        If the scene has not two digits, or too few films have digits at the distance asked for.

    Examples
    --------
    >>> clips = DigitClips("test", 8)
    >>> clip, label = clips[0]
    >>> clip.shape, clips.labels.shape
    (torch.Size([6, 1, 64, 64]), (8,))
    """

    def __init__(
        self,
        split: str = "train",
        n_samples: int = 1000,
        options: TouchOptions = TouchOptions(),
        seed: int = 0,
        scene: DigitScene = DigitScene(),  # noqa: B008 (frozen)
    ):
        if scene.n_digits != 2:
            raise NowcastError(f"a film of {scene.n_digits} digits: the question is about two")
        n_frames = options.n_in + options.within
        self.options = options
        self.epoch = 0
        self.films = MovingMNIST(split, TRIES * n_samples, n_frames, seed, scene)
        self.numbers, self.labels = self._choose(n_samples)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        clip = self.films[int(self.numbers[i])][: self.options.n_in]  # (T, 1, H, W)
        if self.options.turned:
            rng = np.random.default_rng([*self.films.seed, self.epoch, i])
            clip = torch.rot90(clip, int(rng.integers(4)), (2, 3))
            clip = clip.flip(3) if rng.random() < 0.5 else clip
        return clip, torch.tensor(self.labels[i])

    def corners(self, i: int) -> np.ndarray:
        """Upper left corners of the digits, also after the clip: (T, digit, 2), row first, px."""
        return self.films.corners(int(self.numbers[i]))

    def gaps(self, i: int) -> np.ndarray:
        """Pixels between the bounding boxes of the digits in each frame, (T,); 0: they overlap."""
        which, corners = self.films.draw(int(self.numbers[i]))
        boxes = [_box(self.films.digits[k]) for k in which]
        low = corners + np.array([low for low, _ in boxes])  # (T, digit, 2)
        high = corners + np.array([high for _, high in boxes])
        between = np.maximum(low[:, 0] - high[:, 1], low[:, 1] - high[:, 0])  # (T, 2)
        return np.linalg.norm(np.maximum(between, 0), axis=-1)

    def _choose(self, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the films with digits at the right distance, and their labels."""
        numbers: list[int] = []
        labels: list[float] = []
        for i in range(len(self.films)):
            if len(numbers) == n_samples:
                break
            label = self._label(i)
            if label is not None:
                numbers.append(i)
                labels.append(label)
        if len(numbers) < n_samples:
            raise NowcastError(
                f"only {len(numbers)} of {len(self.films)} films have digits that are "
                f"{self.options.apart} px apart: widen apart"
            )
        return np.array(numbers), np.array(labels, "f4")

    def _label(self, i: int) -> float | None:
        """1 if the digits of a film touch after the clip, 0 if not; None: not a clip to take."""
        n_in, (nearest, farthest) = self.options.n_in, self.options.apart
        which, corners = self.films.draw(i)
        distance = np.linalg.norm(corners[:n_in, 0] - corners[:n_in, 1], axis=-1).mean()
        if not nearest <= distance <= farthest:
            return None
        masks = [self.films.digits[k] >= INK for k in which]
        offsets = np.diff(np.rint(corners).astype(int), axis=1)[:, 0].tolist()  # (T, 2)
        if _any_touch(masks, offsets[:n_in], 1):
            return None
        if _any_touch(masks, offsets[n_in:], 1):
            return 1.0
        return None if _any_touch(masks, offsets[n_in:], 1 + self.options.margin) else 0.0


def _any_touch(masks: list[np.ndarray], offsets: list[list[int]], px: int) -> bool:
    """Whether two masks (28, 28) come within some px of each other; 1 px: they border.

    ``offsets`` are the places of the second mask seen from the first: rows and columns, px.
    """
    side = DIGIT + 2 * px
    grown = binary_dilation(np.pad(masks[0], px), np.ones((3, 3)), iterations=px)
    for dy, dx in offsets:
        # rows and columns that both see, counted in ``grown``, which begins ``px`` earlier
        top, left = max(dy + px, 0), max(dx + px, 0)
        bottom, right = min(dy + px + DIGIT, side), min(dx + px + DIGIT, side)
        if top >= bottom or left >= right:
            continue
        other = masks[1][top - dy - px : bottom - dy - px, left - dx - px : right - dx - px]
        if (grown[top:bottom, left:right] & other).any():
            return True
    return False


def _box(digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last row and column of a digit's pixels: ((2,), (2,))."""
    pixels = np.argwhere(digit >= INK)
    return pixels.min(0), pixels.max(0)
