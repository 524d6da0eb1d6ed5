"""Signatures: whose they are, in the format that the minisign tool writes and reads."""

import pytest
from minisign import SecretKey

from risk_daemon.depot import signing
from risk_daemon.errors import Refused, UsageError
from tests.depot.build import KEY, STRANGER

TEXT = b"a manifest\n"
#: Made once by the minisign tool (0.11, `-G -W`, `-S -H`): a public key, and its signature of TEXT.
TOOLS_KEY = "RWT9KJYQ5AUlD6QzmF5JrLioy+T1m9pKVLO/I7YT87IteYxkwwwEGnVT"
TOOLS_NAME = "F2505E4109628FD"
TOOLS_SIGNATURE = b"""\
untrusted comment: signature from minisign secret key
RUT9KJYQ5AUlDwMFYvUuKhfSe21/76yPsdq/up/f0mRg/4PeGMkNAOusRzdhzfugAfpkENO/K+XMjJEtqkgyun+tlGya0dEfPwQ=
trusted comment: made by the tool
8fSBDnKdcirXzywhmVX1n4B18diA795RQoHmSOT5lXPJkWpcSq5aSNQHM5gHlBfqZejFGXe/JtaaxD4q1t91AQ==
"""


def test_a_signature_says_whose_it_is_and_is_the_same_every_time() -> None:
    signature = signing.sign(TEXT, KEY.secret, "words")

    assert signing.verify(TEXT, signature, [STRANGER.trusted, KEY.trusted]) == KEY.trusted
    assert signing.sign(TEXT, KEY.secret, "words") == signature


def test_another_text_another_key_and_no_key_are_refused() -> None:
    signature = signing.sign(TEXT, KEY.secret, "words")

    with pytest.raises(Refused, match="is not what key"):
        signing.verify(TEXT + b" ", signature, [KEY.trusted])
    with pytest.raises(Refused, match="does not trust"):
        signing.verify(TEXT, signature, [STRANGER.trusted])
    with pytest.raises(Refused, match="it has none"):
        signing.verify(TEXT, signature, [])


def test_the_comment_is_signed_too() -> None:
    signature = signing.sign(TEXT, KEY.secret, "v1.0.0")

    with pytest.raises(Refused, match="is not what key"):
        signing.verify(TEXT, signature.replace(b"v1.0.0", b"v1.0.1"), [KEY.trusted])


def test_what_is_no_signature_is_refused_in_words() -> None:
    for nonsense in (b"", b"\xff\n" * 4, b"a\nb\nc\nd\n"):
        with pytest.raises(Refused, match="can't be read"):
            signing.verify(TEXT, nonsense, [KEY.trusted])


def test_a_signature_of_the_old_kind_is_refused() -> None:
    old = SecretKey.from_bytes(KEY.secret).sign(TEXT, prehash=False)

    with pytest.raises(Refused, match="old kind"):
        signing.verify(TEXT, bytes(old), [KEY.trusted])


def test_a_key_with_a_password_is_refused_with_the_way_out() -> None:
    key = SecretKey.from_bytes(KEY.secret)
    key.encrypt("a password", opslimit=1, memlimit=1_024)

    with pytest.raises(UsageError, match="has a password"):
        signing.sign(TEXT, bytes(key), "words")


def test_keys_are_read_from_files_of_either_comment_and_each_once() -> None:
    text = f"# ours\n{KEY.public.decode()}\n{KEY.trusted.text}  # again\n{STRANGER.public.decode()}"

    assert signing.read_publics(text) == (KEY.trusted, STRANGER.trusted)
    assert signing.read_publics("# none\n\n") == ()


@pytest.mark.parametrize("text", ["", "RWQ", "not a key at all", "ö" * 56])
def test_what_is_no_key_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="is not a public key"):
        signing.read_public(text)
    with pytest.raises(UsageError, match="is not a secret key"):
        signing.sign(TEXT, text.encode(), "words")


def test_a_signature_made_by_the_minisign_tool_is_verified_and_its_key_named_alike() -> None:
    key = signing.read_public(TOOLS_KEY)

    assert key.name == TOOLS_NAME
    assert signing.verify(TEXT, TOOLS_SIGNATURE, [key]) == key
    with pytest.raises(Refused, match="is not what key"):
        signing.verify(TEXT + b"x", TOOLS_SIGNATURE, [key])
