"""How the C library treats memory that is no longer needed; light to import (no torch)."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Have the C library keep the memory of freed tensors for the next ones; for a process that is Foveate's own.

    glibc gives every large block back to the kernel, which must then clear and map it page by page for the next
    tensor: on some machines half of a training step (docs/log.md). The process keeps what it once needed.

    Returns:
        Whether there is something to set: glibc has it, other C libraries need none or offer none.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # No blocks of their own for large tensors, nothing trimmed, and one heap for autograd's threads and the main one.
    return all(mallopt(*setting) for setting in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_ARENA_MAX, 1)))
