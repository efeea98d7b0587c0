"""Write down that a backup was made. Whoever reads has made it: the writer goes on meanwhile."""

from service.actions._action import Action, Stand
from service.actions._copying import Copied, Noted, note

BACKUP = "backup"


class LedgerBackup(Copied, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backup, as it was read again."""


async def _run(asked: LedgerBackup, stand: Stand, by: str) -> Noted:
    return await note(BACKUP, asked, stand, by)


ACTION = Action(name="ledger-backup", request=LedgerBackup, reply=Noted, run=_run)
