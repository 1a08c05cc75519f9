"""Keep freed memory for the next training step instead of giving it back to the system.

A training step frees and asks again for gigabytes. By default glibc returns them to the kernel,
which hands back fresh pages that have to be faulted in and zeroed: on a CPU that costs about as
much as the arithmetic. What is fresh all the same is asked for in pages of 2 MB instead of 4 KB.
Set SQUEEZECT_KEEP_MEMORY=0 to leave the allocator alone.
"""

import ctypes
import os
import platform

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4

SWITCH = "SQUEEZECT_KEEP_MEMORY"
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""PyTorch asks for huge pages if this is 1; it looks once, at its first tensor."""


def ask_for_huge_pages() -> None:
    """Have PyTorch put large tensors on huge pages; to be called before the first tensor.

    Does nothing where Linux grants none, where the variable is set already, or where switched off.
    """
    if os.environ.get(SWITCH, "1") != "0":
        os.environ.setdefault(HUGE_PAGES, "1")


def keep_freed_memory() -> bool:
    """Tell glibc, for the rest of this process, to reuse large buffers.

    Returns:
        Whether the allocator was told; False on other systems or where switched off.
    """
    ask_for_huge_pages()
    if os.environ.get(SWITCH, "1") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 << 20}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
