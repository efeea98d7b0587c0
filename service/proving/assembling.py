"""Assembling: what compares the providers' books with ours, put together for a service."""

from collections.abc import Mapping, Sequence

from service.core.pricing import PriceTable
from service.core.shapes import Clock, Provider
from service.core.wallet import Wallet
from service.ledger.reading import Reading
from service.proving.activity import Activity
from service.proving.holdings import Holdings
from service.proving.pieces import measure
from service.proving.proving import Proving, settling_of
from service.proving.readings import Appends, Inquires, Readers
from service.proving.reconciler import Reconciler
from service.proving.scales import Scales
from service.proving.signatures import Verifier
from service.settings import Settings


def assembled(
    settings: Settings,
    inquirer: Inquires,
    ledger: Appends,
    reading: Reading,
    clock: Clock,
    activity: Activity,
    wallets: Sequence[Wallet],
    providers: Mapping[str, Provider],
    prices: PriceTable,
) -> Proving:
    """Put readers, reconciler and verifier together; nothing is asked until they run."""
    settlings = {one.name: settling_of(one, providers[one.provider], settings.settling_s) for one in wallets}
    measures = {one.name: measure(one, providers, prices) for one in wallets}
    verifier = Verifier(inquirer, ledger, reading, clock, wallets, providers)
    return Proving(
        wallets=tuple(wallets),
        providers=providers,
        prices=prices,
        settlings=settlings,
        measures=measures,
        readers=Readers(inquirer, ledger, reading, clock, providers),
        reconciler=Reconciler(ledger, Scales(Holdings(reading, clock, wallets, measures, settlings))),
        verifier=verifier if settings.verify_signatures else None,
        activity=activity,
        reading=reading,
        clock=clock,
        interval_s=settings.reading_interval_s,
        idle_s=settings.reading_idle_s,
        is_reading=settings.readings,
    )
