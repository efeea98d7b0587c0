"""Kimi's own books: the balance of an account, its limits, and whether a signature is the provider's.

Sources: platform.kimi.ai/docs/api/balance, platform.kimi.com (verify request signatures); `users/me` is read as
other clients read it.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from service.core.evidence import Signature
from service.core.shapes import Counters, Inquiry, Prepared, Stated
from service.core.usage import Usage
from service.core.words import ReadingOutcome
from service.providers._counting import OK, Refusing, figure, get, not_read, stated, told, unreadable
from service.providers._json import Fields, fields, string
from service.providers._naming import word

BALANCE = "balance"
ACCOUNT = "account"
SIGNATURE = "signature"
RESOLUTION = "0.00001"
SETTLING_S = 600.0  # "a few minutes" until a call is deducted (source: forum.moonshot.ai, billing behaviour)

_FIGURES = (
    ("available", "available_balance"),
    ("voucher", "voucher_balance"),
    ("cash", "cash_balance"),
)
_LIMITS = ("max_concurrency", "max_request_per_minute", "max_token_per_minute", "max_token_quota")
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_encode = msgspec.json.Encoder(order="deterministic").encode


class KimiCounters:
    """What Kimi's account services say of a key's account.

    Args:
        refusing: names the provider's errors.
    """

    names: tuple[str, ...] = (BALANCE, ACCOUNT)
    settling_s = SETTLING_S
    packages: str | None = None
    still: tuple[str, ...] = (ACCOUNT,)

    def __init__(self, refusing: Refusing) -> None:
        self._refusing = refusing

    def inquiries(self, *, plan: str | None, at_ns: int) -> tuple[Inquiry, ...]:  # noqa: ARG002 - nothing here has a period
        """Ask for balance and limits; of a plan's key nothing can be asked here."""
        if plan is not None:
            return ()
        return (
            Inquiry(counter=BALANCE, prepared=get("/users/me/balance")),
            Inquiry(counter=ACCOUNT, prepared=get("/users/me")),
        )

    def stated(
        self,
        counter: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        currency: str | None,
        at_ns: int,  # noqa: ARG002 - nothing here has a period
    ) -> Stated:
        """Read an answer; see the contract of `Counters`."""
        refusal = not_read(status, headers, body, self._refusing)
        if refusal is not None:
            return refusal
        found = fields(body) or {}
        said = fields(found.get("data"))
        if said is None:
            return unreadable("the answer holds no data")
        return _balance(said, currency) if counter == BALANCE else _account(said)

    def drawn_pico(self, *, plan: str, model: str, usage: Usage, at_ns: int) -> int | None:  # noqa: ARG002 - the shape of every provider's
        """Nothing is known of a plan's measure."""
        return None

    def verification(self, signature: Signature) -> Inquiry | None:
        """Ask whether a signature is the provider's own; None where its timestamp is no number."""
        if not _MILLISECONDS.fullmatch(signature.timestamp):
            return None
        asked = {
            "nonce": signature.nonce,
            "timestamp": int(signature.timestamp),
            "model": signature.model,
            "signature": signature.signature,
        }
        try:
            body = _encode(asked)
        except UnicodeEncodeError:  # half a character, which no honest signature holds
            return None
        kind = (("Content-Type", "application/json"), ("Accept", "application/json"))
        return Inquiry(counter=SIGNATURE, prepared=Prepared(path="/signatures/verify", headers=kind, body=body))

    def verified(self, status: int, body: bytes) -> bool | None:
        """Read the answer to that; None where it is no answer."""
        source = (fields(body) or {}).get("valid") if status == OK else None
        return {b"true": True, b"false": False}.get(bytes(source)) if source is not None else None


def _balance(said: Fields, currency: str | None) -> Stated:
    if currency is None:
        return unreadable("a balance names no currency, and what this host bills in is not known")
    figures = [figure(name, said.get(field), currency, RESOLUTION) for name, field in _FIGURES]
    read = tuple(each for each in figures if each is not None)
    if len(read) < len(_FIGURES):
        return unreadable("the answer lacks a number of the balance")
    return stated(read)


def _account(said: Fields) -> Stated:
    organisation = fields(said.get("organization")) or {}
    tells: dict[str, str] = {}
    for name in _LIMITS:
        tells |= told(name, organisation.get(name))
    tells |= told("tier", said.get("user_group_id"))
    tells |= told("user_state", (fields(said.get("user")) or {}).get("user_state"))
    named = word(string(organisation.get("id")))
    if named is None and not tells:
        return unreadable("the answer says nothing of the account")
    return Stated(outcome=ReadingOutcome.READ, organisation=named, tells=tells)


if TYPE_CHECKING:
    _: type[Counters] = KimiCounters
