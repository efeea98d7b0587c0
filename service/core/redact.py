"""Redaction: a stranger's text made fit to keep and show; no key, account or cookie passes."""

import re
from collections.abc import Iterable

TEXT_CHARS_MAX = 500
MASK = "[redacted]"
_SECRET_CHARS_MIN = 8  # a shorter needle would blank ordinary words

# Forms of our own tokens, and of keys and account ids that the providers' own messages and headers are known to
# carry. A key that is configured is masked by its value too: these lengths are not documented.
_FORMS = re.compile(
    r"""
      \b[0-9a-f]{32}\.[A-Za-z0-9]{8,}     # Zhipu id.secret
    | \b(?:sk|ak|sim)-[A-Za-z0-9_-]{6,}   # Moonshot, plan and simulator keys
    | exai_[0-9A-Za-z]{36}                # named tokens of ours, whatever they are stuck to
    | \borg-[0-9a-f]{8,}                  # Moonshot organisation ids
    | \beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}  # JSON Web Tokens
    | (?i:\bbearer)\s+[^\s"']+
    """,
    re.VERBOSE,
)
# A terminal's colour codes go whole: what is left of one would end in a letter and hide the key behind it.
_CONTROL = re.compile(
    r"(?:\x1b\[[0-9;]*[A-Za-z]"
    r"|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff])+"
)


def redacted(text: str, secrets: Iterable[str] = (), *, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Mask secrets, flatten control and direction characters to spaces, cut to `chars_max`."""
    # Flattened first: a flattened character may complete a secret that holds a space. Longest first: a
    # secret that begins with another would keep its tail. Cut last: a cut through a key would spare its head.
    clean = text if text.isascii() and text.isprintable() else _CONTROL.sub(" ", text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARS_MIN:
            clean = clean.replace(secret, MASK)
    clean = _FORMS.sub(MASK, clean).strip()
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"
