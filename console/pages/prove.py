"""Beginning a proof: the one form here that makes something happen. It spends money, up to what is said."""

from aiohttp import web

from console.asking import BadQuestionError
from console.page import PREFIX, STATE, NotAllowedError, NotHereError, Page, show
from console.proofs import is_ours
from service.core.money import pico
from service.errors import ExaiError
from service.serving.keys import CALLER

FORM_BYTES_MAX = 4096
FORM_TYPE = "application/x-www-form-urlencoded"
NAMES = {
    "wallet": "whose books are to be proved; empty for the first that can be",
    "max_cost": "what the calls may come to at most, for example 0.05; empty for a small amount",
}
_CHARS_MAX = 200


async def _begin(request: web.Request) -> web.Response:
    state = request.config_dict[STATE]
    if not is_ours(request):
        raise NotAllowedError("A proof is begun from the page Reconcile of this service alone, and from no other.")
    if state.owner(request) is not None or not state.proofs.offered(request):
        raise NotAllowedError("To begin a proof spends money, so it needs a token with the scope admin.")
    wallet, max_cost = await _form(request)
    if wallet is not None and wallet not in state.wallets:
        raise NotHereError(f"This service pays from no wallet named {wallet[:_CHARS_MAX]!r}.")
    too_much = None if max_cost is None else state.proofs.too_much(wallet, max_cost)
    if too_much is not None:
        raise BadQuestionError(too_much, NAMES)
    try:
        tool_call_id = await state.proofs.begin(request[CALLER], wallet, max_cost)
    except ExaiError as error:
        ways = [error.remedy] if error.remedy else []
        return show(
            request, "error.html", status=409, title="The proof did not begin", said=error.message, ways=ways
        )
    return web.Response(status=303, headers={"Location": f"{PREFIX}/calls/{tool_call_id}"})


async def _form(request: web.Request) -> tuple[str | None, str | None]:
    """Read wallet and cap. What is not read would be left to the service's own choice, so nothing is passed over.

    Raises:
        BadQuestionError: it is no form, is too long or cannot be read, or a value is none or there twice.
    """
    if request.content_type != FORM_TYPE or "Content-Encoding" in request.headers:
        raise BadQuestionError(f"A proof is asked for by a form, sent as {FORM_TYPE} and not packed.", NAMES)
    if request.content_length is None or request.content_length > FORM_BYTES_MAX:
        raise BadQuestionError("The form is longer than it can be, or does not say how long it is.", NAMES)
    try:
        form = await request.post()
    except (LookupError, ValueError) as error:
        raise BadQuestionError("The form is not in a character set that can be read here.", NAMES) from error
    if set(form) - set(NAMES):
        raise BadQuestionError("The form has a field that is not known here.", NAMES)
    if len(form) > len(set(form)):
        raise BadQuestionError("The form has a field twice, so it does not say what is meant.", NAMES)
    wallet, max_cost = (str(form.get(name, "")).strip() for name in NAMES)
    if max_cost:
        _check_amount(max_cost)
    return wallet or None, max_cost or None


def _check_amount(text: str) -> None:
    try:
        positive = pico(text) > 0
    except ValueError:
        positive = False
    if not positive:
        raise BadQuestionError(f"max_cost must be an amount such as 0.05; it is {text[:_CHARS_MAX]!r}.", NAMES)


PAGE = Page("prove", (web.post("/prove", _begin),))
