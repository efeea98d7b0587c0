"""A backup or archive is written down if it is one of this log, and of no other."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.actions import ledger_archive, ledger_backup
from service.actions._copying import Copied
from service.core.entries import ActionEntry, decode
from service.errors import ActionError
from tests.acting import BY, Acting
from tests.custody import lived

if TYPE_CHECKING:
    from tests.conftest import Made

ACTIONS = (ledger_backup.ACTION, ledger_archive.ACTION)


def taken(lab: Acting, **changed: Any) -> Copied:  # noqa: ANN401 - any field
    """Say that the whole log was copied."""
    tree = lab.stand.reading.tree()
    copied = Copied(entries=tree.size, root=tree.root.hex(), size_bytes=12345, where="monday")
    return msgspec.structs.replace(copied, **changed)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.name))
async def test_a_copy_is_written_down(lab: Acting, made: "Made", action: Any) -> None:  # noqa: ANN401 - either
    """How many entries, their root, the size, the end of its path, and by whom; the log may be longer by now."""
    for number in range(3):
        await lab.stand.ledger.append(*lived(made, number))
    asked = action.request(**msgspec.structs.asdict(taken(lab)))
    await lab.stand.ledger.append(*lived(made, 3))
    noted = await action.run(asked, lab.stand, BY)
    line = lab.stand.reading.line(noted.index)
    assert line is not None
    entry = decode(line.entry)
    assert isinstance(entry, ActionEntry)
    detail = {"entries": str(asked.entries), "root": asked.root, "size_bytes": "12345", "where": "monday"}
    assert (action.name, BY, detail) == (f"ledger-{entry.action}", entry.by, entry.detail)


@pytest.mark.parametrize(
    "changed",
    [{"root": "0" * 64}, {"root": "xyz"}, {"root": "é" * 64}, {"entries": 0}, {"entries": -1}, {"entries": 999}],
    ids=str,
)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.name))
async def test_a_copy_of_another_log_is_not(
    lab: Acting,
    action: Any,  # noqa: ANN401 - either
    changed: dict[str, Any],
) -> None:
    """The ledger says only what it can see itself."""
    before = lab.stand.reading.head()
    with pytest.raises(ActionError, match="not of the log that this service writes"):
        await action.run(taken(lab, **changed), lab.stand, BY)
    assert before == lab.stand.reading.head()
