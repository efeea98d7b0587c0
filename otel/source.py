"""Who speaks: the resource and the scope that every span names."""

import dataclasses

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

SERVICE_NAME = "exai"
SCOPE_NAME = "exai.otel"


@dataclasses.dataclass(frozen=True)
class Source:
    """The service that a span comes from, and the code that made the span."""

    resource: Resource
    scope: InstrumentationScope


def source(*, version: str, instance_id: str) -> Source:
    """Describe this service once, at start.

    `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` win over everything stated here, as their
    specification asks; `Resource.create` alone would let our defaults win over them.

    Args:
        version: of the program.
        instance_id: tells this instance of the service from its siblings.
    """
    own = Resource.create(
        {"service.name": SERVICE_NAME, "service.version": version, "service.instance.id": instance_id}
    )
    return Source(
        resource=own.merge(OTELResourceDetector().detect()),
        scope=InstrumentationScope(SCOPE_NAME, version),
    )
