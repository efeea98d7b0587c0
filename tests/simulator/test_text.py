"""Text and tokens follow from the request alone."""

import json

import pytest

from service.simulator.asked import Asked, read_asked
from service.simulator.text import Template, Work, answer_to, count_prompt, perform

TEMPLATE = Template(prompt=80, completion=3)


def ask(text: str, **more: object) -> Asked:
    """Make a request with one user message."""
    return read_asked(json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode())


def work(text: str, limit: int = 10_000, *, thinks: bool = True, **more: object) -> Work:
    """Perform a request."""
    return perform(ask(text, **more), TEMPLATE, prompt=90, cached=0, thinks=thinks, limit=limit)


@pytest.mark.parametrize("text", ["", "a", "hello there", "水は冷たい", "x" * 9999, "😀" * 7])
def test_a_prompt_has_never_more_tokens_than_bytes_and_an_allowance(text: str) -> None:
    """The upper bound a careful client may hold against the bill holds."""
    assert count_prompt(ask(text).messages, TEMPLATE) <= len(text.encode()) + 200


def test_the_answer_repeats_the_last_user_message() -> None:
    """Everybody can compute the answer beforehand."""
    done = work("  what   is 2 + 2?  ")

    assert "Simulated answer to: what is 2 + 2?" == "".join(done.content) == answer_to("what is 2 + 2?")


def test_words_are_counted_out() -> None:
    """`sim:words=200` streams 200 pieces of one token each."""
    done = work("please sim:words=200", thinks=False)

    assert len(done.content) == 200
    assert done.usage.completion == 203


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 16, 17, 20, 60, 10_000])
@pytest.mark.parametrize("text", ["hello", "水は冷たい", "sim:words=500"])
def test_output_never_exceeds_the_limit(text: str, limit: int) -> None:
    """`length` is said exactly when something was cut, and then the whole limit is used."""
    done = work(text, limit)
    whole = "".join(done.content) == answer_to(text)

    assert done.usage.completion <= limit
    assert ("stop" if whole else "length") == done.finish
    assert done.usage.reasoning <= done.usage.completion
    assert done.usage.total == done.usage.prompt + done.usage.completion


def test_sixteen_tokens_are_spent_on_thinking_as_recorded() -> None:
    """A small limit is eaten by thought: 16 tokens, 13 of reasoning, no content, finish `length`."""
    done = work("Reply with exactly one word: hello.", 16)

    assert (done.usage.completion, done.usage.reasoning, done.content, done.finish) == (16, 13, (), "length")


def test_json_is_answered_with_json() -> None:
    """With a JSON response format the answer is an object."""
    done = work("hi", response_format={"type": "json_object"})

    assert json.loads("".join(done.content)) == {"answer": "Simulated answer to: hi"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"model":"m","messages":[]}', b'{"model":"m"}', b"\xff", b'{"model":1,"messages":[]}']
)
def test_what_is_no_chat_request_is_refused(body: bytes) -> None:
    """Unreadable requests raise a sentence."""
    with pytest.raises(ValueError, match=r"."):
        read_asked(body)


def test_parts_of_a_content_are_joined() -> None:
    """A content of parts weighs its text and its references."""
    asked = read_asked(
        json.dumps(
            {
                "model": "m",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "look"},
                            {"type": "image_url", "image_url": {"url": "http://x"}},
                        ],
                    }
                ],
            }
        ).encode()
    )

    assert asked.last_user_text() == "look"
    assert asked.messages[0].content_bytes() > 4
