"""The implicit cache: which beginnings of conversations an account has sent lately."""

import hashlib
from collections import OrderedDict

import msgspec

from service.simulator.asked import Asked
from service.simulator.text import Template, count_prompt

PREFIXES_MAX = 10_000
CACHED_TOKENS_MIN = 64
LIFETIME_NS = 300 * 10**9


class PrefixCache:
    """One account's remembered beginnings, the oldest forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def hit(self, asked: Asked, template: Template, now_ns: int) -> int:
        """Give the tokens of the longest known beginning (0 below the minimum), and remember this request."""
        longest = 0
        for count, key in enumerate(_keys(asked), start=1):
            known = self._seen.get(key)
            if known is not None and now_ns - known[1] <= LIFETIME_NS:
                longest = known[0]
            tokens = known[0] if known is not None else count_prompt(asked.messages[:count], template)
            self._seen[key] = (tokens, now_ns)
            self._seen.move_to_end(key)
        while len(self._seen) > PREFIXES_MAX:
            self._seen.popitem(last=False)
        return longest if longest >= CACHED_TOKENS_MIN else 0


def _keys(asked: Asked) -> list[bytes]:
    """Hash each beginning of the conversation: its model with the first one, two, three messages, and so on."""
    running = hashlib.sha256(asked.model.encode())
    keys = []
    for message in asked.messages:
        running.update(msgspec.json.encode(message))
        keys.append(running.digest())
    return keys
