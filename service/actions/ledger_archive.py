"""Write down that an archive was made. Whoever reads has made it: the writer goes on meanwhile."""

from service.actions._action import Action, Stand
from service.actions._copying import Copied, Noted, note

ARCHIVE = "archive"


class LedgerArchive(Copied, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The archive, as it was read again."""


async def _run(asked: LedgerArchive, stand: Stand, by: str) -> Noted:
    return await note(ARCHIVE, asked, stand, by)


ACTION = Action(name="ledger-archive", request=LedgerArchive, reply=Noted, run=_run)
