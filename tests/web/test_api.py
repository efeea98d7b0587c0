"""The API's fixed part: the schema is a schema, and the index leads to it."""

import jsonschema_rs

from tests.web.conftest import GuardedApp


async def test_schema(guarded: GuardedApp) -> None:
    """The index names the receipt's schema, which is a valid JSON Schema under its own address."""
    async with guarded() as behind:
        async with behind.http.get(behind.url("/api/v1/")) as answer:
            path = (await answer.json())["receipt_schema"]
        async with behind.http.get(behind.url(path)) as answer:
            assert "application/schema+json" == answer.content_type
            described = await answer.json(content_type=None)
    jsonschema_rs.Draft202012Validator(described)
    assert path == described["$id"]
