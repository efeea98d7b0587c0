"""Accounts: what an export says and what the judge's books say, read by JSON and by nothing of the product."""

import hashlib
import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

ENDS = ("settlement", "refusal", "unsent", "doubt")
OUTCOME_OF = {"settlement": "settled", "refusal": "refused", "unsent": "unsent", "doubt": "in_doubt"}
_HEAD = b'{"entry":'
Sums = dict[tuple[str, str], Decimal]
Said = dict[str, Any]


class Export:
    """A ledger, from the bytes of its export.

    Attributes:
        entries: in order.
        leaves: the leaf hash (hex) of each, as exported.
        checkpoint: the signed note that the export ends with, and the public key beside it.
    """

    def __init__(self, exported: bytes) -> None:
        self.entries: list[Said] = []
        self.leaves: list[str] = []
        *lines, last = exported.splitlines()
        self.checkpoint: Said = json.loads(last)
        assert self.checkpoint["checkpoint"].splitlines()[1] == str(len(lines))
        for line in lines:
            said = json.loads(line)
            entry = line[len(_HEAD) : line.rindex(b',"leaf_hash":')]
            assert line.startswith(_HEAD)
            assert said["leaf_hash"] == hashlib.sha256(b"\0" + entry).hexdigest()  # source: RFC 6962, 2.1
            self.entries.append(said["entry"])
            self.leaves.append(said["leaf_hash"])
        assert list(range(len(self.entries))) == [entry["index"] for entry in self.entries]
        self.intents = {entry["attempt_id"]: entry for entry in self.of("intent")}
        self.ends = {entry["attempt_id"]: entry for entry in self.of(*ENDS)}
        self.answers = {entry["tool_call_id"]: entry for entry in self.of("answer")}

    def of(self, *kinds: str) -> list[Said]:
        """List the entries of some kinds."""
        return [entry for entry in self.entries if entry["kind"] in kinds]

    def outcomes(self) -> Counter[str]:
        """Count attempts by their end."""
        return Counter(OUTCOME_OF[entry["kind"]] for entry in self.of(*ENDS))

    def settled(self) -> Sums:
        """Add up what settled attempts cost, by wallet and currency."""
        sums: Sums = defaultdict(Decimal)
        for entry in self.of("settlement"):
            cost = entry["cost"]
            if cost["amount"] is not None:
                sums[self.intents[entry["attempt_id"]]["wallet"], cost["currency"]] += Decimal(cost["amount"])
        return dict(sums)

    def by_unique(self) -> dict[str, Said]:
        """Give the end of each attempt by the id that its request carried."""
        return {unique(self.intents[attempt_id]): entry for attempt_id, entry in self.ends.items()}

    def sent(self) -> list[str]:
        """List the ids that requests carried, of all attempts of which a byte may have left."""
        unsent = {entry["attempt_id"] for entry in self.of("unsent")}
        return sorted(unique(intent) for name, intent in self.intents.items() if name not in unsent)


def unique(carried: Said) -> str:
    """Name a request, in an intent or in the books, by the id that it carried."""
    found: str = carried["nonce"] or carried["client_request_id"]
    return found


def billed(requests: list[Said]) -> Sums:
    """Add up the bills by wallet and currency; requests of nobody's key are nobody's."""
    sums: Sums = defaultdict(Decimal)
    for request in requests:
        if request["wallet"] is not None:
            sums[request["wallet"], request["billed"]["currency"]] += Decimal(request["billed"]["amount"])
    return dict(sums)


def without_zeros(sums: Sums) -> Sums:
    """Leave out what comes to nothing."""
    return {key: amount for key, amount in sums.items() if amount}


def agree(export: Export, requests: list[Said]) -> None:
    """Hold a finished ledger against the books: the same requests, and every settlement its bill."""
    assert export.sent() == sorted(unique(request) for request in requests)
    ends = export.by_unique()
    for request in requests:
        entry, bill = ends[unique(request)], request["billed"]
        match entry["kind"]:
            case "settlement" if entry["cost"]["amount"] is not None:
                assert Decimal(bill["amount"]) == Decimal(entry["cost"]["amount"]), request
                assert bill["currency"] == entry["cost"]["currency"]
            case "refusal":
                assert Decimal(bill["amount"]) == 0, request
    in_doubt = {unique(export.intents[entry["attempt_id"]]) for entry in export.of("doubt")}
    known = [request for request in requests if unique(request) not in in_doubt]
    assert without_zeros(export.settled()) == without_zeros(billed(known))
