"""How this process deals with memory that it has freed. Knows nothing of what it was for."""

from __future__ import annotations

import ctypes
import gc

#: names of <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
#: freed memory at the heap's end that is kept
_KEPT_BYTES = 64 * 2**20
#: blocks from this size on go back to the system at once
_LARGE_BYTES = 4 * 2**20


#: new objects before the youngest are looked at, as Python has it (a request's own then stay in the
#: processor's cache), and rounds before the older ones are
_COLLECT_AFTER = (700, 50, 50)


def collect_rarely() -> None:
    """Look for cycles less often than Python does, and never among what is there by now.

    Of a long answer (ten hours of words) every object would be looked at a dozen times, and the
    event loop would stand still for a tenth of a second while the oldest are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def keep_freed_memory() -> bool:
    """Use it again rather than give it back; False where the C library knows no such wish.

    An upload passes through blocks of some 100 KB, which the GNU C library would give back and ask
    for anew for each: a tenth of what the request costs goes into clearing those pages.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wishes = ((_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES))
    return all(mallopt(name, value) == 1 for name, value in wishes)
