"""How many files and sockets this process may have open. Knows nothing of what they are."""

from __future__ import annotations

import resource

#: far more than requests are let in at once, each with a socket and a file
WANTED = 65_536


def raise_descriptor_limit() -> int:
    """As far as the system lets us without asking, and to no more than is wanted; the new limit.

    The usual soft limit of 1,024 would be reached by 500 requests; it is there for programs that
    use `select`, which none of ours does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft
