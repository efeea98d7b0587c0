"""The form that begins a proof: who may, from where, and what comes of it."""

import gzip
from typing import TYPE_CHECKING

import pytest

from console.pages.prove import FORM_BYTES_MAX
from service.errors import OverCapacityError
from service.serving.auth import DEFAULT, LOCAL, Caller
from tests.console.conftest import Strict

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Asker, Books, Browser, Shows

ADMIN = Caller("anna", frozenset(("admin", "read")), sees_all=True)
READER = Caller("anna", frozenset(("read", "call")), sees_all=True)
EMPTY = {"wallet": ""}
FORM = "application/x-www-form-urlencoded"


def here(browser: "Browser") -> dict[str, str]:
    """Say that a page of this service asks."""
    return {"Origin": str(browser.make_url("")).rstrip("/")}


async def test_a_proof_begins(browser: "Browser", asker: "Asker") -> None:
    """The wish is handed on as it was said, and the answer leads to the receipt at once."""
    for form, expected in (
        ({"wallet": "kimi-main", "max_cost": "0.05"}, ("kimi-main", "0.05")),
        ({"wallet": "", "max_cost": " "}, (None, None)),
    ):
        answer = await browser.post("/console/prove", data=form, headers=here(browser), allow_redirects=False)
        assert 303 == answer.status
        assert f"/console/calls/{len(asker.begun):032x}" == answer.headers["Location"]
        assert expected == asker.begun[-1]
    assert LOCAL is asker.by[-1]


async def test_who_asks_is_who_begins(browser: "Browser", asker: "Asker") -> None:
    """The call is to stand in the ledger as the client's whose token asks, so the token goes with the wish."""
    asker.caller = ADMIN
    await browser.post("/console/prove", data=EMPTY, headers=here(browser), allow_redirects=False)
    assert [ADMIN] == asker.by


async def test_the_receipt_waits_for_the_ledger(
    books: "Books", browser: "Browser", shows: "Shows", asker: "Asker", made: "Made"
) -> None:
    """Until the call is in the ledger its address says so and loads itself again; so does its open receipt."""
    await browser.post("/console/prove", data=EMPTY, headers=here(browser))
    address = f"/calls/{1:032x}"
    assert "A proof is under way" in await shows(address)
    assert 404 == (await browser.get(f"/console{address}.json")).status
    assert 404 == (await browser.get(f"/console/calls/{2:032x}")).status
    asker.sees_only = "ci"  # the proof is somebody else's: of it not even that it was begun is told
    await shows(address, 404)
    asker.sees_only = None

    async def reloads() -> bool:
        seen = Strict(await (await browser.get(f"/console{address}")).text())
        return any(names.get("http-equiv") == "refresh" for tag, names in seen.tags if tag == "meta")

    assert await reloads()
    await books.write(made.tool_call(tool="prove"), made.intent(), made.settlement())
    assert "The proof is under way." in await shows(address)
    assert await reloads()
    await books.add(made.answer(tool_call_id=f"{1:032x}"))
    assert not await reloads()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "file://"},
        {"Referer": "http://127.0.0.1/console/reconcile"},
    ],
)
async def test_another_page_cannot_begin_one(browser: "Browser", asker: "Asker", headers: dict[str, str]) -> None:
    """A request that does not say, in so many words, that it comes from here spends nothing."""
    answer = await browser.post("/console/prove", data={"wallet": ""}, headers=headers)
    assert 403 == answer.status
    assert [] == asker.begun


@pytest.mark.parametrize("caller", [READER, DEFAULT, None])
async def test_reading_alone_is_not_enough(
    browser: "Browser", shows: "Shows", asker: "Asker", caller: Caller | None
) -> None:
    """Without the scope admin there is no form, and a request is refused with what it needs."""
    asker.caller = caller
    assert "Begin the proof" not in await shows("/reconcile")
    answer = await browser.post("/console/prove", data={"wallet": ""}, headers=here(browser))
    assert 403 == answer.status
    assert "scope admin" in await answer.text()
    assert [] == asker.begun


@pytest.mark.parametrize("local_may_prove", [False])
async def test_where_a_token_is_configured_reading_without_one_spends_nothing(
    browser: "Browser", shows: "Shows", asker: "Asker"
) -> None:
    """Whoever is on this machine may read; to spend, a token with the scope admin is needed."""
    assert "Begin the proof" not in await shows("/reconcile")
    answer = await browser.post("/console/prove", data=EMPTY, headers=here(browser))
    assert 403 == answer.status
    assert [] == asker.begun
    asker.caller = ADMIN
    answer = await browser.post("/console/prove", data=EMPTY, headers=here(browser), allow_redirects=False)
    assert 303 == answer.status


@pytest.mark.parametrize("wallet", ["kimi-main", ""])
async def test_more_than_ten_times_the_usual_cap_is_refused(
    browser: "Browser", asker: "Asker", wallet: str
) -> None:
    """The page says how much it may be; the very most is allowed."""
    form = {"wallet": wallet, "max_cost": "0.500001"}
    answer = await browser.post("/console/prove", data=form, headers=here(browser))
    assert 400 == answer.status
    assert "may come to 0.5 USD at most for kimi-main; 0.500001 is more" in Strict(await answer.text()).text
    assert [] == asker.begun
    form["max_cost"] = "0.5"
    answer = await browser.post("/console/prove", data=form, headers=here(browser), allow_redirects=False)
    assert 303 == answer.status


async def test_an_admin_has_the_form(shows: "Shows", browser: "Browser", asker: "Asker") -> None:
    """It names the wallets and says that it spends; only its page tells where its request comes from."""
    asker.caller = ADMIN
    page = await shows("/reconcile")
    assert "Begin the proof" in page
    assert "spends money" in page
    assert "same-origin" == (await browser.get("/console/reconcile")).headers["Referrer-Policy"]
    assert "no-referrer" == (await browser.get("/console/")).headers["Referrer-Policy"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"wallet": "nobody"}, 404),
        ({"max_cost": "free"}, 400),
        ({"max_cost": "0"}, 400),
        ({"max_cost": "-1"}, 400),
        ({"max_cost": "1e9"}, 400),
        ({"model": "x"}, 400),
        ({"wallet": "x" * FORM_BYTES_MAX}, 400),
    ],
)
async def test_a_bad_form_begins_nothing(
    browser: "Browser", asker: "Asker", form: dict[str, str], status: int
) -> None:
    """An unknown wallet, a bad amount, another field or too long a form is refused with a sentence."""
    answer = await browser.post("/console/prove", data=form, headers=here(browser))
    assert status == answer.status
    assert [] == asker.begun


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"wallet": "kimi-main", "max_cost": "0.000001"}'),
        ("text/plain", b"wallet=kimi-main"),
        (None, b"wallet=kimi-main"),
        (f"{FORM}; charset=foo", b"wallet=kimi-main"),
        (FORM, b"wallet=\xff"),
        (FORM, b"max_cost=0.05&max_cost=0.06"),
        (FORM, b"wallet=&wallet=kimi-main"),
        ("multipart/form-data", b"wallet=kimi-main"),
        ("multipart/form-data; boundary=x", b"garbage"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="wallet"\r\n\r\n\r\n--x--',
        ),
    ],
)
async def test_what_is_no_form_begins_nothing(
    browser: "Browser", asker: "Asker", content_type: str | None, body: bytes
) -> None:
    """What could not be read, or could be read in two ways, never becomes a proof with another wallet or cap."""
    headers = here(browser) | ({} if content_type is None else {"Content-Type": content_type})
    answer = await browser.post("/console/prove", data=body, headers=headers)
    assert 400 == answer.status
    assert "max_cost" in await answer.text()
    assert [] == asker.begun


async def test_a_packed_form_begins_nothing(browser: "Browser", asker: "Asker") -> None:
    """Its length says nothing of what it becomes, and no browser packs one."""
    headers = {**here(browser), "Content-Type": FORM, "Content-Encoding": "gzip"}
    body = gzip.compress(b"wallet=kimi-main")
    assert 400 == (await browser.post("/console/prove", data=body, headers=headers)).status
    assert [] == asker.begun


async def test_a_refusal_is_told_with_its_remedy(browser: "Browser", asker: "Asker") -> None:
    """What the service says against it stands on the page."""
    asker.refusal = OverCapacityError("too many calls are under way", remedy="Try again in a moment.")
    answer = await browser.post("/console/prove", data=EMPTY, headers=here(browser))
    assert 409 == answer.status
    page = Strict(await answer.text()).text
    assert "too many calls are under way" in page
    assert "Try again in a moment." in page


async def test_it_answers_to_a_post_alone(browser: "Browser") -> None:
    """An address that is only opened begins nothing."""
    assert 405 == (await browser.get("/console/prove")).status
