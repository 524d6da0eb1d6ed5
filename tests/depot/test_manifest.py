"""What a manifest may say, and that it can be said in one way only."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.depot.manifest import (
    MANIFEST_MAX,
    Manifest,
    Part,
    Schemas,
    decode,
    digest_of,
    encode,
    is_version,
    misfits,
    tree_digest,
)
from risk_daemon.errors import Malformed

DIGEST = "0" * 64
LOCK = Part("requirements.lock", DIGEST, 10)
WHEEL = Part("wheels/risk_daemon-1.0.0-py3-none-any.whl", DIGEST, 20)
GOOD = Manifest(
    version="v1.0.0",
    commit="a" * 40,
    made_at=1,
    python="cp312",
    platform="linux-x86_64",
    wheel=WHEEL.path,
    code=DIGEST,
    schemas=Schemas((1, 2), (3, 3), (1, 1)),
    parts=(LOCK, WHEEL),
)


def refusal(**more: Any) -> str:
    with pytest.raises(Malformed) as refused:
        decode(encode(msgspec.structs.replace(GOOD, **more)))
    return str(refused.value)


def test_what_is_written_is_read_again() -> None:
    assert decode(encode(GOOD)) == GOOD
    assert GOOD.size == 30
    assert GOOD.wheels == (WHEEL,)
    assert GOOD.part(LOCK.path) == LOCK


def test_the_text_is_canonical_and_any_other_of_the_same_meaning_is_refused() -> None:
    text = encode(GOOD)

    assert text.endswith(b"}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))
    for other in (text[:-1], text + b"\n", json.dumps(json.loads(text)).encode()):
        with pytest.raises(Malformed, match="canonical"):
            decode(other)
    assert digest_of(text) != digest_of(text + b"\n")


TEXT = b"""{
  "code": "0000000000000000000000000000000000000000000000000000000000000000",
  "commit": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "format": 1,
  "made_at": 1,
  "parts": [
    {
      "path": "requirements.lock",
      "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
      "size": 10
    },
    {
      "path": "wheels/risk_daemon-1.0.0-py3-none-any.whl",
      "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
      "size": 20
    }
  ],
  "platform": "a \\u00f6 platform",
  "python": "cp312",
  "schemas": {
    "records": [
      1,
      2
    ],
    "snapshots": [
      3,
      3
    ],
    "state_file": [
      1,
      1
    ]
  },
  "version": "v1.0.0",
  "wheel": "wheels/risk_daemon-1.0.0-py3-none-any.whl"
}
"""


def test_the_canonical_text_is_this_one_for_ever() -> None:
    manifest = msgspec.structs.replace(GOOD, platform="a ö platform")

    assert encode(manifest) == TEXT
    assert decode(TEXT) == manifest
    assert MANIFEST_MAX == 1_048_576


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"\xff", b"[" * 5_000, b'{"format": 2}', encode(GOOD)[:-30]]
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match="can't be read"):
        decode(text)


def test_a_field_of_a_later_format_is_refused_and_not_passed_over() -> None:
    plain = json.loads(encode(GOOD)) | {"more": 1}

    with pytest.raises(Malformed, match="can't be read"):
        decode(json.dumps(plain).encode())


@pytest.mark.parametrize(
    ("version", "is_one"),
    [
        ("v1.2.3", True),
        ("v0.1.0", True),
        ("v1.2.3rc1", True),
        ("1.2.3", False),
        ("v1.2", False),
        ("v1.2.3/..", False),
        ("v1.2.3 ", False),
        ("..", False),
        ("v1.2.3" + "a" * 41, False),
    ],
)
def test_a_version_is_a_name_that_no_folder_can_misread(version: str, is_one: bool) -> None:
    assert is_version(version) is is_one


def test_evidence_is_a_part_and_no_wheel() -> None:
    tests = Part("evidence/tests.json", DIGEST, 5)
    with_evidence = msgspec.structs.replace(GOOD, parts=(tests, LOCK, WHEEL))

    assert decode(encode(with_evidence)) == with_evidence
    assert with_evidence.evidence == (tests,)
    assert with_evidence.wheels == (WHEEL,)
    assert GOOD.evidence == ()


@pytest.mark.parametrize(
    "path",
    ["evidence/../x.json", "evidence/a/b.json", "evidence/.json", "evidence/x.py", "evidence/X.md"],
)
def test_evidence_has_a_plain_name_in_its_place(path: str) -> None:
    assert "evidence" in refusal(parts=(Part(path, DIGEST, 5), LOCK, WHEEL))


def test_evidence_is_not_the_program() -> None:
    tests = Part("evidence/tests.json", DIGEST, 5)

    assert "own wheel" in refusal(parts=(tests, LOCK, WHEEL), wheel=tests.path)


def test_each_wrong_claim_is_named() -> None:
    assert "version" in refusal(version="1.0")
    assert "commit" in refusal(commit="HEAD")
    assert "before 1970" in refusal(made_at=-1)
    assert "code" in refusal(code="x")
    assert "its own wheel" in refusal(wheel="wheels/another.whl")
    assert "its own wheel" in refusal(wheel="requirements.lock")
    assert "no requirements.lock" in refusal(parts=(WHEEL,))
    assert "order" in refusal(parts=(WHEEL, LOCK))
    assert "order" in refusal(parts=(LOCK, WHEEL, WHEEL))
    assert "digest and size" in refusal(parts=(LOCK, Part(WHEEL.path, "short", 1)))
    assert "digest and size" in refusal(parts=(LOCK, Part(WHEEL.path, DIGEST, -1)))
    assert "records is 2 to 1" in refusal(schemas=Schemas((2, 1), (1, 1), (1, 1)))
    assert "state file is 0 to 1" in refusal(schemas=Schemas((1, 1), (1, 1), (0, 1)))


def test_times_and_sizes_may_be_nothing() -> None:
    least = msgspec.structs.replace(GOOD, made_at=0, parts=(Part(LOCK.path, DIGEST, 0), WHEEL))

    assert decode(encode(least)) == least


@pytest.mark.parametrize(
    "path", ["../x.whl", "wheels/../x.whl", "/x.whl", "wheels/.x.whl", "wheels/a/b.whl", "x.whl"]
)
def test_no_part_lies_outside_of_its_place(path: str) -> None:
    parts = tuple(sorted((LOCK, WHEEL, Part(path, DIGEST, 1)), key=lambda one: one.path))

    assert "neither" in refusal(parts=parts)


def test_a_home_fits_up_to_both_ends_of_a_range_and_not_beyond() -> None:
    schemas = Schemas((1, 2), (3, 3), (2, 4))

    assert misfits(schemas, {"records": (1, 1), "snapshots": (3, 3), "state file": (4, 4)}) == []
    assert misfits(schemas, {"records": (2, 2), "state file": (2, 2)}) == []
    assert misfits(schemas, {"state file": (5, 5)}) == [
        "the home has state file 5, the release can live with 2 to 4"
    ]
    assert len(misfits(schemas, {"records": (3, 3), "state file": (1, 1)})) == 2


def test_a_newer_home_that_was_only_expanded_fits_an_older_release() -> None:
    schemas = Schemas((1, 1), (3, 3), (2, 4))

    assert misfits(schemas, {"state file": (4, 6)}) == []
    assert len(misfits(schemas, {"state file": (5, 6)})) == 1


def test_a_shape_nobody_has_heard_of_does_not_fit() -> None:
    said = misfits(GOOD.schemas, {"dreams": (1, 1)})

    assert said == ["the home has dreams 1, the release can live with none"]


@given(
    st.dictionaries(st.text("abc/", min_size=1), st.text("0123", min_size=4, max_size=4)),
    st.text("abc/", min_size=1),
    st.text("4567", min_size=4, max_size=4),
)
def test_any_change_of_a_file_changes_the_digest_of_the_tree(
    files: dict[str, str], path: str, digest: str
) -> None:
    assert tree_digest(files) == tree_digest(dict(reversed(files.items())))
    assert tree_digest(files | {path: digest}) != tree_digest(files)
