"""Which seeds are run: EXAI_SEEDS says how many, EXAI_SEED names the only one."""

import os

SEEDS_MAX = int(os.environ.get("EXAI_SEEDS") or 200)
_ONLY = os.environ.get("EXAI_SEED")
SEEDS: tuple[int, ...] = (int(_ONLY),) if _ONLY else tuple(range(SEEDS_MAX))
