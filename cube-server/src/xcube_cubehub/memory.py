"""What malloc keeps and gives back; glibc only, elsewhere nothing is done."""

import ctypes

_M_ARENA_MAX = -8


def save_memory() -> None:
    """Two malloc arenas instead of eight per core: threads that compute tiles otherwise keep what they once used."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Have malloc return to the system what is free: after something large, of which nothing is kept."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
