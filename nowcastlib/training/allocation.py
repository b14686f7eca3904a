"""What the GNU C library does with memory that is freed: keep it, or return it to the system.

On other systems, and without effect on a GPU's memory, these functions do nothing.
"""

import ctypes
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # options of mallopt, see malloc.h
LARGE_BLOCK = 12 * 2**20  # bytes; returning smaller ones costs more time than it saves memory


def keep_memory() -> None:
    """Let this process keep the memory that is freed between batches, which saves time.

    For training on a CPU.
    """
    if not torch.cuda.is_available():
        _set_option(M_MMAP_MAX, 0)
        _set_option(M_TRIM_THRESHOLD, 2**31 - 1)


def return_memory() -> None:
    """Let this process return large blocks to the system as soon as they are freed.

    For forecasts of large grids on a CPU, whose maps of different sizes would scatter the memory:
    it needs a tenth to a third less then. Without effect after ``keep_memory``.
    """
    _set_option(M_MMAP_THRESHOLD, LARGE_BLOCK)


def _set_option(option: int, value: int) -> None:
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: None)
        mallopt(option, value)
