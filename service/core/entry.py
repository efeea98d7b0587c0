"""An entry: what every line of the ledger begins with, and the version of its encoding.

Written bytes are never changed, so a field may be added, never reused: each version added kinds and fields, and
what an earlier one wrote is read as it stands.
"""

import msgspec

VERSION = 3
READABLE = frozenset({1, 2, VERSION})


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every entry begins with.

    Attributes:
        v: version of the encoding.
        origin: the data folder's identity.
        epoch: number of the service's start, from 1.
        index: place in the log, from 0, without gaps.
        at: UTC, RFC 3339 with microseconds.
    """

    v: int = VERSION
    origin: str = ""
    epoch: int = 0
    index: int = -1
    at: str = ""
