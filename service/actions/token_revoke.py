"""Revoke the tokens of a name: they let nobody in any more, and who came in with them is shown out."""

import asyncio

import msgspec

from service.actions._action import Action, Stand
from service.core.entries import ClientEntry
from service.core.token import tokens_after
from service.core.words import ClientEvent
from service.errors import ActionError


class TokenRevoke(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose tokens to revoke."""

    name: str


class TokenRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was revoked.

    Attributes:
        fingerprints: of the tokens; more than one if the earlier ones had expired.
        revoked_at: UTC text.
        connections_closed: how many of the client's connections were open; None if no service runs.
    """

    name: str
    fingerprints: tuple[str, ...]
    revoked_at: str
    connections_closed: int | None


async def _run(asked: TokenRevoke, stand: Stand, by: str) -> TokenRevoked:
    made = await asyncio.to_thread(lambda: tokens_after(stand.reading.of_ledger()))
    tokens = [token for token in made.values() if token.name == asked.name and token.revoked_at is None]
    if not tokens:
        known = any(token.name == asked.name for token in made.values())
        why = "is revoked already" if known else "was never made"
        raise ActionError(f"the token {asked.name[:60]!r} {why}", remedy="See exai token list.")
    closed = None if stand.connections is None else stand.connections(asked.name)
    entries = [
        ClientEntry(
            event=ClientEvent.REVOKED,
            name=token.name,
            scopes=token.scopes,
            token_sha256=token.token_sha256,
            expires_at=token.expires_at,
            by=by,
        )
        for token in tokens
    ]
    steps = await stand.ledger.append(*entries)
    stand.heard(steps)
    return TokenRevoked(
        name=asked.name,
        fingerprints=tuple(token.fingerprint for token in tokens),
        revoked_at=steps[-1].entry.at,
        connections_closed=closed,
    )


ACTION = Action(name="token-revoke", request=TokenRevoke, reply=TokenRevoked, run=_run)
