"""The formats two releases must agree on: records and their chain, frames, views."""

import asyncio
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core import events
from risk_daemon.errors import Denied, Malformed
from risk_daemon.wire import channel, control, heart, record, view
from risk_daemon.wire.channel import Hello, decoder_of, pack
from risk_daemon.wire.record import (
    FACT,
    KINDS,
    NAMES,
    PROMISE,
    PROMISES,
    NewRecord,
    Record,
    chain,
    decode,
    encode,
    holds,
    new_record,
)
from risk_daemon.wire.view import VIEW_VERSION, AccountView, decode_view, encode_view
from tests.build import loud_defaults

numbers = st.integers(0, (1 << 63) - 1)
new_records = st.builds(
    NewRecord,
    kind=st.text(min_size=1, max_size=20),
    account=numbers,
    payload=st.binary(max_size=40),
    version=st.integers(0, (1 << 16) - 1),
)


def placed(new: NewRecord, before: int, seq: int, at: int) -> Record:
    crc = chain(before, seq, at, new)
    return Record(seq, at, new.version, new.kind, new.account, new.payload, crc)


# --- records ------------------------------------------------------------------


@given(new_records, st.integers(0, (1 << 32) - 1), numbers, numbers)
def test_a_record_follows_the_one_it_was_chained_to_and_no_other(
    new: NewRecord, before: int, seq: int, at: int
) -> None:
    record = placed(new, before, seq, at)

    assert holds(before, record)
    assert not holds(before ^ 1, record)


@given(new_records, st.data())
def test_no_field_of_a_record_can_change_unnoticed(new: NewRecord, data: st.DataObject) -> None:
    record = placed(new, 77, 5, 1_000)
    field = data.draw(st.sampled_from(["seq", "at", "version", "account", "payload", "crc"]))
    value = getattr(record, field)
    changed = value + b"x" if isinstance(value, bytes) else (value + 1) % (1 << 16)

    assert not holds(77, msgspec.structs.replace(record, **{field: changed}))


def test_every_fact_has_one_kind_and_comes_back_as_it_went() -> None:
    assert set(NAMES.values()) == set(KINDS)
    assert set(KINDS) >= PROMISES
    for fact in (
        events.Pulse(),
        events.LockEnded(account=7, lock="l", why="over"),
        events.MarkChanged(contract="CON.F.US.EP.Z25", bid=1),
    ):
        new = new_record(fact, once="o")
        kind = NAMES[type(fact)]
        assert (new.kind, new.once) == (kind, "o")
        assert new.durability == (PROMISE if kind in PROMISES else FACT)
        assert new.account == getattr(fact, "account", 0)
        assert encode(fact) == new.payload
        assert decode(placed(new, 0, 3, 9)) == events.Entry(3, 9, new.account, fact)


def test_a_kind_of_a_newer_release_is_kept_as_unknown() -> None:
    record = placed(NewRecord("from-the-future", 7, b"\xc1"), 0, 1, 1)

    assert decode(record).fact == events.Unknown(kind="from-the-future")


DEEP = b"\x91" * 100_000


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("pulse", b""),
        ("pulse", b"\xc1"),
        ("lock-ended", msgspec.msgpack.encode({"account": 7})),
        ("lock-ended", msgspec.msgpack.encode({"account": "7", "lock": "l", "why": "w"})),
        ("lock-ended", b"\x83\xa7account\x07\xa4lock\xa1\xff\xa3why\xa1w"),
        ("policy-adopted", b"\x81\xa3new" + DEEP),
    ],
)
def test_a_payload_that_is_not_of_its_kind_is_named_by_kind_and_seq(
    kind: str, payload: bytes
) -> None:
    record = placed(NewRecord(kind, 7, payload), 0, 42, 1)

    with pytest.raises(Malformed, match=f"record 42 is no {kind}: "):
        decode(record)


def test_what_a_record_leaves_out_is_a_fact_of_the_first_format() -> None:
    assert loud_defaults(record) == {"NewRecord.durability": "fact", "NewRecord.version": 1}
    assert loud_defaults(view) == {}


# --- frames -------------------------------------------------------------------


def test_what_a_frame_leaves_out_is_nothing_but_that_it_is_the_last_and_proves_nothing() -> None:
    assert loud_defaults(control) == {
        "LeasesHeld.last": True,
        "Subscribe.crc": -1,
        "Tail.limit": 100,
    }
    assert loud_defaults(channel) == {"Hello.protocol": 1}
    assert loud_defaults(heart) == {}
    assert control.NOW == -1


def test_what_waits_and_what_is_quoted_is_bounded() -> None:
    assert (channel.WAITING_MAX, channel.REASON_MAX) == (1_000, 500)


def test_a_frame_is_a_length_and_at_most_a_mebibyte() -> None:
    most = (1 << 20) - len(pack(control.Publish("t", 0, b"x" * 70_000))) + 4 + 70_000
    packed = pack(control.Publish("t", 0, b"x" * most))

    assert packed[:4] == (1 << 20).to_bytes(4, "big")
    assert len(packed) == (1 << 20) + 4
    with pytest.raises(Malformed, match="Publish of 1048577 bytes, at most 1048576"):
        pack(control.Publish("t", 0, b"x" * (most + 1)))


@pytest.mark.parametrize(
    ("number", "fits"),
    [
        ((1 << 63) - 1, True),
        (1 << 63, False),
        (-(1 << 63), True),
        (-(1 << 63) - 1, False),
    ],
)
def test_a_number_is_one_the_state_file_can_hold(number: int, *, fits: bool) -> None:
    try:
        converted = msgspec.convert(["wake-at", number], control.WakeAt)
    except msgspec.ValidationError:
        assert not fits
    else:
        assert (converted.at, fits) == (number, True)


@pytest.mark.parametrize(("length", "fits"), [(100, True), (101, False)])
def test_a_name_has_a_hundred_characters_at_most(length: int, *, fits: bool) -> None:
    raw = msgspec.msgpack.encode(["hello", "role", "n" * length])
    try:
        hello = msgspec.msgpack.decode(raw, type=Hello)
    except msgspec.ValidationError:
        assert not fits
    else:
        assert (len(hello.name), fits) == (length, True)


@pytest.mark.parametrize(("count", "fits"), [(64, True), (65, False)])
def test_a_subscription_names_sixty_four_kinds_at_most(count: int, *, fits: bool) -> None:
    raw = msgspec.msgpack.encode(["subscribe", 1, ["pulse"] * count])
    try:
        asked = decoder_of(control.AnyFrame).decode(raw)
    except msgspec.ValidationError:
        assert not fits
    else:
        assert (len(asked.kinds), fits) == (count, True)


def frames() -> list[type[msgspec.Struct]]:
    return list(typing.get_args(control.AnyFrame.__value__))


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: frame.__name__)
def test_a_frame_reads_what_an_older_and_a_newer_release_write(
    frame: type[msgspec.Struct],
) -> None:
    fields = msgspec.structs.fields(frame)
    required = [_example(field.type) for field in fields if field.required]
    optional = [_example(field.type) for field in fields if not field.required]
    tag = frame.__struct_config__.tag
    decode_any = decoder_of(control.AnyFrame).decode

    older = decode_any(msgspec.msgpack.encode([tag, *required]))
    newer = decode_any(msgspec.msgpack.encode([tag, *required, *optional, "new field"]))
    assert type(older) is type(newer) is frame
    assert decode_any(pack(newer)[4:]) == newer


def _example(kind: Any) -> Any:
    kind = getattr(kind, "__value__", kind)
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [_example(field.type) for field in msgspec.structs.fields(kind)]
    plain = {int: 3, str: "text", bytes: b"raw", bool: True}
    return plain.get(kind, {} if typing.get_origin(kind) is dict else [])


def test_a_number_that_the_file_cannot_hold_is_not_read() -> None:
    for number in (1 << 63, -(1 << 63) - 1):
        with pytest.raises((msgspec.MsgspecError, OverflowError)):
            decoder_of(control.AnyFrame).decode(msgspec.msgpack.encode(["wake-at", number]))


def test_a_heartbeat_says_what_is_enforced() -> None:
    beat = heart.Heartbeat("worker-a", "v1", 12, 99, True, ((7, 3),))

    assert decoder_of(heart.Heard).decode(pack(beat)[4:]) == beat


def test_an_operation_answers_with_what_it_did_or_what_a_person_can_mend() -> None:
    async def greet(args: dict[str, Any]) -> dict[str, Any]:
        if args.get("who") is None:
            raise Denied("greet whom?")
        return {"said": f"hello {args['who']}"}

    def ask(op: str, **args: Any) -> control.Answer:
        return asyncio.run(control.answer(control.Ask(5, op, args), {"greet": greet}))

    assert ask("greet", who="ann") == control.Answer(5, True, {"said": "hello ann"})
    assert ask("greet") == control.Answer(5, False, error="greet whom?", exit=4)
    unknown = ask("dance")
    assert (unknown.ok, unknown.error, unknown.exit) == (
        False,
        "unknown operation 'dance': greet",
        2,
    )


# --- views ---------------------------------------------------------------------


def test_a_view_comes_back_as_it_went() -> None:
    view = AccountView(
        **{
            field.name: _example_of_view(field)
            for field in msgspec.structs.fields(AccountView)
            if field.required
        }
    )

    assert decode_view(encode_view(view)) == view
    assert view.version == VIEW_VERSION


def _example_of_view(field: Any) -> Any:
    if field.name == "version":
        return VIEW_VERSION
    if typing.get_origin(field.type) is tuple:
        return ()
    return {int: 3, str: "text", bool: True}.get(field.type)


@pytest.mark.parametrize(
    ("field", "changed"),
    [("version", ""), ("at", None), ("account", b"7"), ("kind", b"pulse"), ("payload", "text")],
)
def test_a_damaged_row_of_other_types_does_not_hold(field: str, changed: object) -> None:
    record = Record(1, 5, 1, "pulse", 0, b"\x80", 0)

    assert not holds(0, msgspec.structs.replace(record, **{field: changed}))
