"""Prove that calls use credit: a few paid calls, made by the running service as by any client of it."""

from service.actions._action import Action, Stand
from service.core.proving import ProofAsked
from service.errors import ActionError
from service.serving.operator import Proved


class Prove(ProofAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be proved, and at what price."""


async def _run(asked: Prove, stand: Stand, by: str) -> Proved:
    if stand.prove is None:
        raise ActionError(
            "nothing can be proved where no service runs", remedy="Ask the running service: exai prove."
        )
    return await stand.prove(asked, by)


ACTION = Action(name="prove", request=Prove, reply=Proved, run=_run, is_long=True)
