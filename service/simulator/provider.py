"""What a provider's file offers to the one way of a chat request: refusals, judgements, and written answers."""

from collections.abc import Sequence
from typing import Protocol

from service.simulator.accounts import Standing
from service.simulator.asked import Asked
from service.simulator.faults import Error
from service.simulator.shapes import Answer, Headers, Ids, Refused, Stamp, Usage
from service.simulator.signature import Seal
from service.simulator.text import Template, Work


class Provider(Protocol):
    """A provider as a module: pure functions from values to values. `kimi` and `glm` are the two."""

    NAME: str
    TEMPLATE: Template
    OUTPUT_TOKENS_DEFAULT: int

    def unauthorized(self, standing: Standing) -> Refused:
        """Refuse a key that is absent, unknown or revoked."""

    def no_balance(self) -> Refused:
        """Refuse a wallet with nothing left."""

    def bad_request(self, sentence: str) -> Refused:
        """Refuse a request that cannot be read."""

    def unknown_model(self, model: str) -> Refused:
        """Refuse a model that is not offered to this account."""

    def not_in_plan(self, model: str) -> Refused:
        """Refuse a model the plan does not hold."""

    def duplicate(self, client_id: str) -> Refused:
        """Refuse a request id that was used before."""

    def check(self, asked: Asked, prompt_tokens: int, body_bytes: int) -> Refused | None:
        """Find what the provider does not accept in a readable request for a known model."""

    def injected(self, fault: Error) -> Refused:
        """Turn an error switch into the provider's error."""

    def claims(self, asked: Asked) -> str | None:
        """Give the client's own request id, which must be new; None where there is no such thing."""

    def thinks(self, asked: Asked) -> bool:
        """Tell whether the model thinks first."""

    def stamp(self, ids: Ids, at_ns: int) -> Stamp:
        """Draw the ids of one answer."""

    def proof(self, seal: Seal, nonces: Sequence[str], stamped: Stamp, model: str) -> Headers:
        """Sign the accepted request, if the provider does and the client asked for it."""

    def report(self, usage: Usage) -> dict[str, object]:
        """Write usage as the provider does."""

    def plain(self, stamped: Stamp, status: int, body: object) -> Answer:
        """Give a JSON answer under the provider's headers."""

    def refuse(
        self, refusal: Refused, stamped: Stamp, *, stream: bool = False, client_id: str | None = None
    ) -> Answer:
        """Give an error answer."""

    def complete(self, asked: Asked, work: Work, told: Usage | None, stamped: Stamp, model: str) -> Answer:
        """Give the answer, streamed or whole, with the usage and the model's name that are to be told."""
