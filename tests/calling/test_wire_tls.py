"""The wire and TLS: who is believed to be the provider, and what everybody else gets."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.calling.wire import Deadlines, UnsentError, Wire
from service.core.wallet import Wallet
from service.core.words import UnsentReason
from tests.calling.conftest import PREPARED, Seen, ServerMaker
from tests.rig import WAIT_S


async def answered(_reader: StreamReader, writer: StreamWriter, _request: bytes) -> None:
    """Script: answer well."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    await writer.drain()


class Authority:
    """A certificate authority of this test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._signed(self._name, self._key, is_authority=True)

    def serving(self, host: str) -> tuple[ssl.SSLContext, bytes]:
        """Give a server's context for a host, and its certificate's SHA-256."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(name, key, host=host)
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context, certificate.fingerprint(hashes.SHA256())

    def trust(self) -> ssl.SSLContext:
        """Give a client's context that trusts this authority and nobody else."""
        return ssl.create_default_context(
            cadata=self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        )

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, host: str = "", is_authority: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        names: list[x509.GeneralName] = [x509.DNSName(host or "authority")]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(_usage(is_authority=is_authority), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """State what a key is for; newer Pythons refuse an authority that does not."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


async def _over_tls(wallet: Wallet, trust: ssl.SSLContext | None) -> Seen:
    seen = Seen()
    wire = Wire(Deadlines(), tls=trust)
    try:
        await asyncio.wait_for(wire.exchange(wallet, PREPARED, seen), WAIT_S)
    finally:
        await wire.close()
    return seen


async def test_tls_peer(server: ServerMaker, tmp_path: Path) -> None:
    """A verified TLS peer is noted: version, cipher, names and the certificate's SHA-256."""
    authority = Authority(tmp_path)
    context, fingerprint = authority.serving("localhost")
    async with server(answered, tls=context) as scripted:
        seen = await _over_tls(scripted.wallet("https", "localhost"), authority.trust())
    assert seen.head is not None
    assert seen.head.tls is not None
    assert ("TLSv1.3", "localhost", fingerprint.hex()) == (
        seen.head.tls.version,
        seen.head.tls.subject,
        seen.head.tls.fingerprint,
    )


@pytest.mark.parametrize("host", ["localhost", "another.example"])
async def test_tls_refused(server: ServerMaker, tmp_path: Path, host: str) -> None:
    """A peer of an unknown authority, or of another name, gets nothing: no request, no key."""
    authority = Authority(tmp_path)
    context, _ = authority.serving(host)
    trust = None if host == "localhost" else authority.trust()
    async with server(answered, tls=context) as scripted:
        with pytest.raises(UnsentError) as caught:
            await _over_tls(scripted.wallet("https", "localhost"), trust)
    assert UnsentReason.TLS_FAILED == caught.value.reason
    assert [] == scripted.requests
