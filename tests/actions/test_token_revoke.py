"""Revoking: the name's tokens count no more before the answer leaves, and it says whom that meets."""

from dataclasses import replace

import pytest

from service.actions import token_create
from service.actions.token_create import TokenCreate
from service.actions.token_revoke import ACTION, TokenRevoke
from service.errors import ActionError, UnauthorizedError
from tests.acting import BY, Acting


async def test_a_token_is_revoked(lab: Acting) -> None:
    """It lets nobody in from now on; the entry repeats which one it was."""
    made = await token_create.ACTION.run(TokenCreate(name="ci", scopes=("call",)), lab.stand, BY)
    lab.connections["ci"] = 3
    gone = await ACTION.run(TokenRevoke(name="ci"), lab.stand, "another")
    assert (3, (made.fingerprint,)) == (gone.connections_closed, gone.fingerprints)
    created, revoked = lab.entries
    assert ("revoked", "another", gone.revoked_at) == (revoked.event, revoked.by, revoked.at)
    assert (created.name, created.scopes, created.token_sha256) == (
        revoked.name,
        revoked.scopes,
        revoked.token_sha256,
    )
    with pytest.raises(UnauthorizedError):
        lab.tokens.caller(made.token)


async def test_where_no_service_runs(lab: Acting) -> None:
    """Nobody is connected, and nothing is said of it."""
    await token_create.ACTION.run(TokenCreate(name="ci", scopes=("call",)), lab.stand, BY)
    gone = await ACTION.run(TokenRevoke(name="ci"), replace(lab.stand, connections=None), BY)
    assert gone.connections_closed is None


async def test_expired_ones_go_too(lab: Acting) -> None:
    """A clock that is set back must not let an old one in again."""
    for _ in range(2):
        await token_create.ACTION.run(TokenCreate(name="ci", scopes=("call",), expires="1h"), lab.stand, BY)
        lab.day.at_ns += 3600 * 10**9
    gone = await ACTION.run(TokenRevoke(name="ci"), lab.stand, BY)
    assert 2 == len(set(gone.fingerprints))
    assert all(token.revoked_at for token in lab.named)


async def test_what_is_not_there(lab: Acting) -> None:
    """A name that never was, and one that is revoked already, are told apart."""
    with pytest.raises(ActionError, match="'nobody' was never made") as caught:
        await ACTION.run(TokenRevoke(name="nobody"), lab.stand, BY)
    assert "exai token list" in caught.value.remedy
    await token_create.ACTION.run(TokenCreate(name="ci", scopes=("call",)), lab.stand, BY)
    await ACTION.run(TokenRevoke(name="ci"), lab.stand, BY)
    with pytest.raises(ActionError, match="'ci' is revoked already"):
        await ACTION.run(TokenRevoke(name="ci"), lab.stand, BY)
    assert 2 == len(lab.entries)
