"""Make a named token. Its text leaves in the answer and stands nowhere else."""

import asyncio

import msgspec

from service.actions._action import Action, Stand
from service.core.entries import ClientEntry
from service.core.token import (
    RANDOM_BYTES,
    NamedToken,
    TokenState,
    checked_name,
    checked_scopes,
    digest,
    expiry,
    token_text,
    tokens_after,
)
from service.core.words import ClientEvent
from service.errors import ActionError

ACTIVE_MAX = 1000  # each wrong token is compared with all of them


class TokenCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What token to make.

    Attributes:
        expires: a length from now (`45m`, `12h`, `30d`) or a time with its zone; None for never.
    """

    name: str
    scopes: tuple[str, ...]
    expires: str | None = None


class TokenCreated(msgspec.Struct, frozen=True, kw_only=True):
    """The new token, shown this once.

    Attributes:
        created_at, expires_at: UTC texts; None for never.
    """

    name: str
    scopes: tuple[str, ...]
    token: str
    fingerprint: str
    created_at: str
    expires_at: str | None

    def __repr__(self) -> str:
        return f"TokenCreated({self.name!r}, …)"


async def _run(asked: TokenCreate, stand: Stand, by: str) -> TokenCreated:
    now_ns = stand.clock.now_ns()
    try:
        name, scopes = checked_name(asked.name), checked_scopes(asked.scopes)
        expires_at = None if asked.expires is None else expiry(asked.expires, now_ns)
    except ValueError as error:
        raise ActionError(str(error), remedy="See exai token create --help.") from error
    made = await asyncio.to_thread(lambda: tokens_after(stand.reading.of_ledger()))
    _refuse_more([token for token in made.values() if token.state(now_ns) is TokenState.ACTIVE], name)
    text = token_text(stand.entropy(RANDOM_BYTES))
    entry = ClientEntry(
        event=ClientEvent.CREATED,
        name=name,
        scopes=scopes,
        token_sha256=digest(text),
        expires_at=expires_at,
        by=by,
    )
    steps = await stand.ledger.append(entry)
    stand.heard(steps)
    (token,) = tokens_after(step.entry for step in steps).values()
    return TokenCreated(
        name=name,
        scopes=scopes,
        token=text,
        fingerprint=token.fingerprint,
        created_at=token.created_at,
        expires_at=expires_at,
    )


def _refuse_more(active: list[NamedToken], name: str) -> None:
    """Refuse a second token of a name, and one too many.

    Raises:
        ActionError: either.
    """
    for token in active:
        if token.name == name:
            until = "" if token.expires_at is None else f" until {token.expires_at}"
            raise ActionError(
                f"{name!r} has a token already, {token.fingerprint}…, valid{until}",
                remedy=f"Revoke it first: exai token revoke {name}. Or choose another name.",
            )
    if len(active) >= ACTIVE_MAX:
        raise ActionError(
            f"there are {len(active)} tokens; that is the limit",
            remedy="Revoke those that nobody uses: exai token list tells.",
        )


ACTION = Action(name="token-create", request=TokenCreate, reply=TokenCreated, run=_run)
