"""The usage object of a chat completion: true whole numbers in disjoint classes, or no usage at all."""

from msgspec import Raw

from service.core.usage import Reported, UnreadableUsageError, Usage, UsageFlag, disjoint
from service.providers._json import Fields, count, fields, is_null

USAGE_BYTES_MAX = 8192  # the recorded ones have about 200


def read_usage(source: Raw) -> tuple[Usage | None, tuple[UsageFlag, ...]]:
    """Read a usage object; (None, ()) when it is no set of counts.

    Cached tokens stand flat (`cached_tokens`), nested (`prompt_tokens_details.cached_tokens`), in both places
    or, on a cache miss, in neither. Absent is 0: then all input counts in the dearer class, never in a cheaper.
    """
    stated = fields(source) if len(bytes(source)) <= USAGE_BYTES_MAX else None
    if stated is None:
        return None, ()
    try:
        return _read(stated)
    except UnreadableUsageError:
        return None, ()


def _read(stated: Fields) -> tuple[Usage, tuple[UsageFlag, ...]]:
    prompt_details = _details(stated, "prompt_tokens_details")
    completion_details = _details(stated, "completion_tokens_details")
    flat = _optional(stated, "cached_tokens")
    nested = _optional(prompt_details, "cached_tokens")
    usage, flags = disjoint(
        Reported(
            prompt=_required(stated, "prompt_tokens"),
            completion=_required(stated, "completion_tokens"),
            total=_optional(stated, "total_tokens"),
            cached=(nested or 0) if flat is None else flat,
            cache_write=_optional(prompt_details, "cache_write_tokens") or 0,
            reasoning=_optional(completion_details, "reasoning_tokens") or 0,
        )
    )
    if flat is not None and nested is not None and flat != nested:
        flags = (*flags, UsageFlag.CACHED_COUNTS_DIFFER)
    return usage, flags


def _optional(stated: Fields, name: str) -> int | None:
    source = stated.get(name)
    if source is None or is_null(source):
        return None
    number = count(source)
    if number is None:
        raise UnreadableUsageError(f"{name} is no whole number")
    return number


def _required(stated: Fields, name: str) -> int:
    number = _optional(stated, name)
    if number is None:
        raise UnreadableUsageError(f"{name} is missing")
    return number


def _details(stated: Fields, name: str) -> Fields:
    source = stated.get(name)
    if is_null(source):
        return {}
    found = fields(source)
    if found is None:
        raise UnreadableUsageError(f"{name} is no object")
    return found
