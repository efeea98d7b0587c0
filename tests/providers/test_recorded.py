"""Real answers, read to the token."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.usage import Usage
from service.core.words import RefusalReason
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI

Reads = Callable[..., Any]  # the fixture `reading`


def _usage(uncached: int, cached: int, output: int, reasoning: int) -> Usage:
    return Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=0,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def _read(recording: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(recording["body"], separators=(",", ":")).encode()
    return body, {name.lower(): value for name, value in recording["headers"].items()}


def test_kimi_miss_and_limit(kimi_recordings: list[dict[str, Any]], reading: Reads) -> None:
    """A cache miss has no cached keys: 0 cached. The limit cut the reasoning: no text, and paid."""
    body, headers = _read(kimi_recordings[0])
    answer = reading(KIMI, body, stream=False).answer
    assert (_usage(93, 0, 16, 13), (), "length", "") == (
        answer.usage,
        answer.usage_flags,
        answer.finish_reason,
        answer.text,
    )
    assert json.loads(answer.usage_raw) == kimi_recordings[0]["body"]["usage"]
    assert answer.provider_ids == {"id": "chatcmpl-6a96d2dd476982652f98bcc8"}
    assert (
        KIMI.cached_tokens(headers),
        KIMI.ids(headers)["msh-request-id"],
    ) == (None, "f1f0641d-a608-11f1-88e1-eaf9ba74c120")


def test_kimi_hit(kimi_recordings: list[dict[str, Any]], reading: Reads) -> None:
    """On a cache hit body, details and header agree."""
    body, headers = _read(kimi_recordings[1])
    answer = reading(KIMI, body, stream=False).answer
    assert (_usage(0, 93, 54, 38), ()) == (answer.usage, answer.usage_flags)
    assert (answer.text, answer.model_reported, answer.finish_reason) == ("hello", "kimi-k3", "stop")
    assert KIMI.cached_tokens(headers) == 93


def test_kimi_pinned_temperature(kimi_recordings: list[dict[str, Any]]) -> None:
    """A temperature the model does not take is the provider's own refusal."""
    body, headers = _read(kimi_recordings[2])
    refusal = KIMI.refusal(kimi_recordings[2]["status"], headers, body)
    assert refusal is not None
    assert (
        refusal.reason,
        refusal.retryable,
        refusal.retry_after_ms,
    ) == (RefusalReason.INVALID_REQUEST, False, None)


def test_glm_whole(glm_recorded_body: bytes, reading: Reads) -> None:
    """A whole answer with reasoning."""
    answer = reading(GLM, glm_recorded_body, stream=False).answer
    assert (_usage(13, 0, 437, 427), (), True) == (answer.usage, answer.usage_flags, answer.complete)
    assert (answer.text, answer.model_reported, answer.finish_reason) == ("2 + 2 is 4.", "glm-4.7", "stop")
    assert dict.fromkeys(("id", "request_id"), "20260701073925df703dd30a854c37") == answer.provider_ids


def test_glm_stream(glm_recorded_stream: bytes, reading: Reads) -> None:
    """A stream with reasoning: one visible character, 564 tokens."""
    read = reading(GLM, glm_recorded_stream)
    answer = read.answer
    assert (_usage(13, 0, 564, 561), (), True) == (answer.usage, answer.usage_flags, answer.complete)
    assert (read.pieces, answer.text, answer.finish_reason) == (["4"], "4", "stop")
    assert answer.reasoning.startswith("\n1.  **Analyze the User's Request:**")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_mutated_recordings_are_read_alike_in_any_pieces(
    glm_recorded_stream: bytes, reading: Reads, data: st.DataObject
) -> None:
    """A real stream with bytes changed is read without an exception, the same however it is cut."""
    body = bytearray(glm_recorded_stream)
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    size = data.draw(st.integers(1, 5000))
    pieces = [bytes(body[at : at + size]) for at in range(0, len(body), size)]
    for provider in (KIMI, GLM):
        assert reading(provider, bytes(body)).answer == reading(provider, *pieces).answer
