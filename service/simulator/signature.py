"""The request signature: what Kimi seals into an answer's headers, and how it recognises its own seal.

It proves that this nonce and model were accepted at that time, and nothing more: neither success, nor
content, nor tokens.
Source: platform.kimi.com, "Verify request signatures".
"""

import base64
import hashlib
import hmac

import msgspec

_PREFIX = "reqsigv1_"


class Claim(msgspec.Struct):
    """What a client asks to have verified; `timestamp` is unix milliseconds."""

    nonce: str
    timestamp: int
    model: str
    signature: str


class Seal:
    """A secret that signs requests. The server keeps no nonces, so a replay stays valid."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, nonce: str, timestamp_ms: int, model: str) -> str:
        """Sign one accepted request."""
        signed = msgspec.json.encode([nonce, timestamp_ms, model])
        mac = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return _PREFIX + base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def recognises(self, claim: Claim) -> bool:
        """Tell whether a claim bears this seal."""
        expected = self.sign(claim.nonce, claim.timestamp, claim.model)
        return hmac.compare_digest(expected.encode(), claim.signature.encode())
