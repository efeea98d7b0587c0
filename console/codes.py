"""The codes of verdicts, for readers: what each means, in a word and in a sentence, and what can be done about it.

One table, for lists, receipts, the overview and the page that explains them.
"""

import msgspec

from service.core.verdict import UNDECIDED


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """One reason.

    Attributes:
        short: why a verdict is what it is, where room is short.
        means: the same in a sentence, for all calls.
        calls: what follows a number of calls.
        step: what a reader can do; empty if nothing need be done.
        real: whether the step only helps where a real provider was asked.
    """

    short: str
    means: str
    calls: str
    step: str = ""
    real: bool = False


DECIDED_WITHIN_S = 48 * 3600
"""Calls older than this are not reconciled any more."""
TOO_OLD = "No reading decides it any more: it is more than 48 hours old."
_LOOK_UP = "To check it yourself, look the ids below up in the provider's console."
_TO_SETTLE = (
    "To settle it, look for the ids or the time below in the provider's console; then `exai ledger resolve`."
)
_ASK = "Ask the provider, naming the ids below and both numbers"

CODES: dict[str, Code] = {
    "P1": Code(
        short="the counter moved by as much",
        means="The provider's money counter moved by what the calls of a window should have cost.",
        calls="confirmed by the provider's money counter",
    ),
    "P2": Code(
        short="the plan's quota moved by as much",
        means="A plan's own quota counter moved by what the calls of a window should have drawn from it.",
        calls="confirmed by a plan's quota counter",
    ),
    "P3": Code(
        short="the token package moved by as much",
        means="A token package, which is drawn before money, lost what the calls of a window metered.",
        calls="confirmed by a token package",
    ),
    "U1": Code(
        short="no window decides it",
        means="The provider answered and metered it; no window between two readings decides it.",
        calls="that no reading has decided so far",
        step="Where readings are taken, one soon after the call decides it as a rule. Load this page again then.",
    ),
    "U2": Code(
        short="the provider's bill is not final",
        means="The provider shows less than the calls come to, or other tokens; its books are not final.",
        calls="waiting for the provider's final bill",
        step="Nothing is to be done: it is looked at again when the provider's books are final.",
    ),
    "U3": Code(
        short="more moved than our calls explain",
        means="More moved than the calls explain: somebody else spends from this account, we are overcharged, or"
        " bills of earlier calls came late.",
        calls="in windows where more moved than our calls explain",
        step="Use a key of an account of its own for this service; then every movement is its own.",
    ),
    "U4": Code(
        short="no reading can be had",
        means="The provider's counter could not be read, so nothing outside this service confirms the charge.",
        calls="whose wallet cannot be read",
        step=f"{_LOOK_UP} Why the counter cannot be read stands under Reconcile, with what helps.",
        real=True,
    ),
    "U5": Code(
        short="timed out, may be billed",
        means="We timed out after sending. The provider may have done and billed the work; no usage came back.",
        calls="timed out after sending",
        step=_TO_SETTLE,
        real=True,
    ),
    "U6": Code(
        short="answer lost, may be billed",
        means="The request left and its answer was lost or could not be read, so its usage is unknown.",
        calls="whose answer was lost",
        step=_TO_SETTLE,
        real=True,
    ),
    "U7": Code(
        short="no price known",
        means="The provider metered it, and no price is known for this model at that time. Unknown is not zero.",
        calls="without a known price",
        step="A dated price row for this model makes the next call's cost known; this one's tokens are below.",
    ),
    "U8": Code(
        short="the plan's counter is too coarse",
        means="The plan shows its quota in steps so large that these calls cannot be seen in it, or it stands at"
        " its cap and moves no further.",
        calls="too small for a plan's counter to show",
        step="`exai prove` makes enough calls for the counter to show them, if you allow their cost; at its cap,"
        " once the plan's window begins anew.",
    ),
    "U9": Code(
        short="not finished",
        means="The call or one of its attempts is still under way.",
        calls="still open",
        step="Load this page again in a moment.",
    ),
    "U10": Code(
        short="cost stated by hand",
        means="It was in doubt, and an operator stated what it cost. Nothing here confirms that.",
        calls="whose cost was stated by hand",
        step="Who stated it, and why, stands below; the ids let you check it in the provider's console.",
        real=True,
    ),
    "U11": Code(
        short="written off",
        means="It was in doubt, and an operator wrote it off: whether it was billed was not found out.",
        calls="written off",
        step="Who wrote it off, and why, stands below.",
    ),
    "U12": Code(
        short="too small to tell",
        means="Too little moved, or too much was under way at the window's edges, for its counter to prove it.",
        calls="in windows too small to tell",
        step="`exai prove` makes calls that its counter must show; a quieter hour makes the next window clearer.",
    ),
    "U13": Code(
        short="a payment may hide the movement",
        means="A payment between the two readings, shown or only possible, hides how much was taken.",
        calls="in windows where a payment may hide the movement",
        step="If nothing was paid in or given then, compare both readings with the provider's bill of that day.",
    ),
    "U14": Code(
        short="not the provider's own host",
        means="The request went to a host that is not known to be the provider's own, such as a relay or a stub.",
        calls="sent to a host that is not the provider's own",
        step="Set the provider's own address as the base URL; what a relay answers proves nothing.",
        real=True,
    ),
    "U15": Code(
        short="a token package may have paid",
        means="The account holds a token package, which may have paid before its money did.",
        calls="that a token package may have paid",
        step="Look at the package in the provider's console; money moves again when it is used up.",
        real=True,
    ),
    "U16": Code(
        short="in doubt, resolved by readings",
        means="It was in doubt; exactly one assignment fits the provider's readings: it cost about so much.",
        calls="in doubt, and resolved by readings",
        step="The window that resolved it, with both readings, stands below.",
    ),
    "U17": Code(
        short="the answer does not say whose it is",
        means="The answer names no model, or bears no id of the provider's, as its answers do.",
        calls="whose answers name no model or bear no id",
        step="Check the base URL of this wallet: something between here and the provider may leave them out.",
        real=True,
    ),
    "M1": Code(
        short="tokens implausible for the text",
        means="The provider counted far more or fewer tokens than the text can hold, or contradicts itself.",
        calls="whose token count does not fit the text",
        step=f"{_ASK}, how the tokens were counted.",
        real=True,
    ),
    "M2": Code(
        short="less moved than was billed",
        means="The provider's books are final, and moved by less than its own answers say they would.",
        calls="in windows where less moved than was billed",
        step="Compare the window's two readings with the provider's bill of that day; it may have refunded some.",
        real=True,
    ),
    "M3": Code(
        short="another model answered",
        means="The answer names a model that is none of the names of the one that was asked for.",
        calls="answered by another model",
        step="Ask the provider, naming the ids below, why another model answered.",
        real=True,
    ),
    "M4": Code(
        short="one provider id, two attempts",
        means="The same id of the provider stands on several attempts: one charge may be counted twice.",
        calls="that share a provider's id",
        step=f"{_ASK} of attempts, whether it billed one request or more.",
        real=True,
    ),
    "M5": Code(
        short="an answer without a request",
        means="A tool that needs a model answered well, and no request left this machine.",
        calls="answered without a request",
        step="Do not rely on this answer. Look at the tool that gave it, and at what runs on this machine.",
    ),
    "M7": Code(
        short="token counts differ",
        means="The provider's own token counters of a window are not what its answers said.",
        calls="in windows where token counts differ",
        step=f"{_ASK} of tokens, which of them it bills.",
        real=True,
    ),
    "M8": Code(
        short="signature not the provider's",
        means="The provider does not know the signature as its own, or its time is not the attempt's.",
        calls="whose signature is not the provider's",
        step="Check the base URL of this wallet: something between here and the provider may be answering.",
        real=True,
    ),
    "M9": Code(
        short="same tokens, more money",
        means="The provider counts the same tokens as we do, and took more money for them.",
        calls="in windows where the same tokens cost more",
        step=f"{_ASK} of money, which price was in force; then compare it with the price rows of this service.",
        real=True,
    ),
    "N1": Code(
        short="from the cache",
        means="It was answered from the local cache; nothing was sent.",
        calls="answered from the cache",
    ),
    "N2": Code(
        short="stopped by a budget",
        means="A budget stopped it before anything was sent.",
        calls="stopped by a budget before sending",
    ),
    "N3": Code(
        short="refused by the provider",
        means="The provider refused the request and metered nothing.",
        calls="refused by the provider, which metered nothing",
    ),
    "N4": Code(
        short="priced at zero",
        means="The provider metered it, and this model was priced at zero at that time.",
        calls="of a model that is priced at zero",
    ),
    "N6": Code(
        short="never left",
        means="No connection was made; not one byte of the request left this machine.",
        calls="that never left this machine",
    ),
    "N7": Code(
        short="asked no model",
        means="The tool asked no model: it works without one, or had no call to make. No provider was asked.",
        calls="whose tool asked no model",
    ),
    "N8": Code(
        short="model step declined",
        means="The caller declined the model step; no provider was asked.",
        calls="whose model step the caller declined",
    ),
    "N9": Code(
        short="no wallet serves it",
        means="No configured wallet serves the request; no provider was asked.",
        calls="that no wallet serves",
    ),
    "N10": Code(
        short="arguments refused",
        means="The tool's arguments were refused before any provider was asked.",
        calls="whose arguments were refused",
    ),
    "N11": Code(
        short="cancelled before sending",
        means="The client cancelled before anything was sent.",
        calls="cancelled before sending",
    ),
    "N12": Code(
        short="a stored answer",
        means="The stored answer of an earlier, identical request was returned; nothing was sent.",
        calls="answered with a stored answer",
    ),
    "N13": Code(
        short="not carried out",
        means="The service could not carry the call out; nothing was sent.",
        calls="that the service could not carry out",
    ),
    "N14": Code(
        short="in doubt, not billed",
        means="It was in doubt; the provider's readings leave only one explanation: it was not billed.",
        calls="in doubt once, and not billed, as readings show",
    ),
}

REASONS: dict[str, str] = {code: one.short for code, one in CODES.items() if code[0] != "N"}
"""Of verdicts that no column beside them explains."""


def next_step(code: str, *, simulated: bool, age_s: float = 0) -> str | None:
    """Say what a reader can do about a verdict; None where nothing need be done, or a simulator stands in.

    Args:
        code: of its reason.
        simulated: whether a simulator stands in.
        age_s: seconds since the call was opened.
    """
    if code == UNDECIDED and age_s > DECIDED_WITHIN_S:
        return TOO_OLD if simulated else f"{TOO_OLD} {_LOOK_UP}"
    one = CODES.get(code)
    return None if one is None or not one.step or (simulated and one.real) else one.step
