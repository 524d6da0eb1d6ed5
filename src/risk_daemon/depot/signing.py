"""Signatures in minisign's format: Ed25519 over a BLAKE2b-512 of the manifest.

The `minisign` tool verifies what is signed here, and keys it makes without a
password (`minisign -G -W`) sign here.

Source: https://jedisct1.github.io/minisign/ (signature and key formats).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minisign import Error, KeyPair, PublicKey, SecretKey, Signature, VerifyError

from risk_daemon.errors import Refused, UsageError

_COMMENT = "untrusted comment:"


@dataclass(frozen=True, slots=True)
class Trusted:
    """A public key as a home keeps it. `text` is minisign's base64, `name` its key id."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A fresh key: both files' contents, and the public half in one word."""

    secret: bytes
    public: bytes
    trusted: Trusted


def fresh_pair() -> Pair:
    """Make a key without a password: its file is protected by its mode."""
    pair = KeyPair.generate()
    trusted = read_public(pair.public_key.to_base64().decode())
    pair.secret_key.untrusted_comment = f"risk daemon release key {trusted.name}, SECRET"
    pair.public_key.untrusted_comment = f"risk daemon release key {trusted.name}"
    return Pair(bytes(pair.secret_key) + b"\n", bytes(pair.public_key) + b"\n", trusted)


def sign(manifest: bytes, secret: bytes, comment: str) -> bytes:
    """Sign; the same manifest, key and comment give the same bytes. Raises UsageError."""
    try:
        with SecretKey.from_bytes(secret) as key:
            if key.is_encrypted():
                raise UsageError(
                    "the key has a password, which nothing here asks for: take it off with "
                    "`minisign -C -W`, or make a key with `risk-daemon-admin release keygen`."
                )
            return bytes(key.sign(manifest, trusted_comment=comment)) + b"\n"
    except Error as error:
        raise UsageError(f"that is not a secret key of minisign: {error}.") from None


def verify(manifest: bytes, signature: bytes, trusted: Sequence[Trusted]) -> Trusted:
    """Return whose signature it is. Raises Refused unless a trusted key made it."""
    try:
        given = Signature.from_bytes(signature)
    except Error as error:
        raise Refused(f"its signature can't be read: {error}") from None
    if not given.is_prehashed():
        raise Refused("its signature is of minisign's old kind (Ed): sign it anew, prehashed (ED)")
    name = _name(given._key_id)  # noqa: SLF001  the library has no other way to say it
    signer = next((one for one in trusted if one.name == name), None)
    if signer is None:
        known = ", ".join(one.name for one in trusted) or "none"
        raise Refused(f"it is signed by key {name}, which the home does not trust (it has {known})")
    try:
        PublicKey.from_base64(signer.text).verify(manifest, given)
    except VerifyError:
        raise Refused(f"its manifest is not what key {name} signed") from None
    return signer


def read_public(text: str) -> Trusted:
    """Read one public key in base64. Raises UsageError."""
    word = text.strip()
    try:
        key = PublicKey.from_base64(word)
    except (Error, UnicodeEncodeError) as error:
        raise UsageError(
            f"{word[:80]!r} is not a public key of minisign ({error}): 56 characters that begin "
            "with RW, the second line of a .pub file."
        ) from None
    return Trusted(_name(key._keynum_pk.key_id), word)  # noqa: SLF001


def read_publics(text: str) -> tuple[Trusted, ...]:
    """Read a file of public keys: one per line, comments of both kinds left out."""
    lines = [line.strip() for line in text.splitlines()]
    words = [
        line.partition("#")[0] for line in lines if line and not line.startswith(("#", _COMMENT))
    ]
    return tuple({one.text: one for one in map(read_public, words)}.values())


def _name(key_id: bytes) -> str:
    """A key's id as the minisign tool prints it: a number, the last byte first, unpadded."""
    return f"{int.from_bytes(key_id, 'little'):X}"
