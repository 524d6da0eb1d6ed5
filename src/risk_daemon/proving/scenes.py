"""Reference scenes: short scripts of what the protocol is for. A crash is tried at each effect.

A step is a time in ms and what happens then. Accounts 101 and 102 belong to the login north,
201 to south; prices stand still unless a step moves them.
"""

from __future__ import annotations

from typing import Final

#: What may stand in a step: the verb, and its arguments.
type Step = tuple[int, str, tuple[int | str, ...]]
type Scene = tuple[Step, ...]

BUY_TWO: Final[Step] = (600, "buy", (101, 2))
TOO_MANY: Final[Step] = (600, "buy", (101, 5))
LOSS: Final[Scene] = ((600, "buy", (101, 3)), (900, "jump", (-16,)), (1_100, "sell", (101, 1)))
STOP: Final[Step] = (800, "stop", (101, 6))
LIMIT: Final[Step] = (850, "limit", (101, 20))
LOCK: Final[Step] = (1_000, "lock", (101, "flatten-lock", 0))
GROUP: Final[Scene] = (
    (600, "buy", (101, 2)),
    (650, "sell", (102, 3)),
    (700, "buy", (201, 1)),
    (1_000, "lock", (0, "flatten-lock", 0)),
)
TO_V2: Final[Step] = (1_000, "move", ("v2",))
TO_V1: Final[Step] = (2_200, "move", ("v1",))

SCENES: Final[dict[str, Scene]] = {
    "start": (),
    "entry": (BUY_TWO,),
    "reduce": (TOO_MANY,),
    "reduce-short": ((600, "sell", (101, 5)),),
    "day-loss": LOSS,
    "day-loss-with-stop": (*LOSS[:1], (800, "stop", (101, 30)), *LOSS[1:]),
    "wild-quote": (
        (600, "buy", (102, 2)),
        (800, "jump", (1,)),
        (1_000, "strike", ("quote-wild", -60)),
        (1_040, "jump", (1,)),
    ),
    "wild-quote-that-stands": (
        (600, "buy", (102, 2)),
        (800, "jump", (1,)),
        (1_000, "strike", ("quote-wild", -60)),
        (2_500, "jump", (1,)),
    ),
    "quotes-withdrawn": (
        (600, "buy", (102, 2)),
        (800, "jump", (1,)),
        (1_000, "strike", ("quotes-withdrawn", 0)),
        (1_500, "sell", (102, 2)),
    ),
    "flatten": (BUY_TWO, LOCK),
    "bracket-flatten": (BUY_TWO, STOP, LIMIT, LOCK),
    "group-kill": GROUP,
    "group-kill-with-orders": (*GROUP[:3], STOP, LIMIT, *GROUP[3:]),
    "unlock": (BUY_TWO, LOCK, (2_500, "lock", (101, "unlock", 0))),
    "lock-that-ends": (BUY_TWO, (1_000, "lock", (101, "flatten-lock", 2))),
    "reduce-only": (BUY_TWO, (1_000, "lock", (101, "reduce-only", 0)), (1_400, "buy", (101, 1))),
    "reopened-in-a-lock": (BUY_TWO, LOCK, (1_600, "buy", (101, 2))),
    "no-stop": (BUY_TWO, (8_000, "jump", (1,))),
    "promote": (TO_V2,),
    "promote-while-held": (BUY_TWO, TO_V2),
    "promote-in-a-breach": (TOO_MANY, (620, "move", ("v2",))),
    "promote-in-a-loss": (*LOSS, (1_105, "move", ("v2",))),
    "rollback": (TO_V2, TO_V1),
    "rollback-at-once": (TO_V2, (1_004, "move", ("v1",))),
    "rollback-in-a-breach": (TO_V2, (2_190, "buy", (101, 5)), TO_V1),
    "migration": (
        BUY_TWO,
        TO_V2,
        (1_900, "restart", ("journal",)),
        (2_400, "restart", ("link-north",)),
    ),
    "worker-restart": (BUY_TWO, (1_000, "restart", ("worker-1@v1",)), (1_300, "buy", (101, 3))),
    "link-restart": (BUY_TWO, (1_000, "restart", ("link-north",))),
    "link-restart-in-a-close": (BUY_TWO, LOCK, (1_010, "restart", ("link-north",))),
    "journal-restart": (BUY_TWO, (1_000, "restart", ("journal",)), (1_020, "buy", (101, 3))),
    "journal-restart-in-a-close": (BUY_TWO, LOCK, (1_006, "restart", ("journal",))),
    "supervisor-restart": (BUY_TWO, (1_000, "restart", ("supervisor",)), (1_100, "buy", (101, 3))),
    "supervisor-restart-in-a-move": (BUY_TWO, TO_V2, (1_003, "restart", ("supervisor",))),
    "streams-broke": (BUY_TWO, (1_000, "drop", ("north",)), (1_050, "buy", (101, 3))),
    "restore": (BUY_TWO, (900, "copy", ()), LOCK, (1_600, "restore", ())),
    "restore-in-a-move": ((900, "copy", ()), TO_V2, (1_010, "restore", ())),
    "power-cut": (BUY_TWO, LOCK, (1_012, "power", ())),
    "config-change": (BUY_TWO, (1_000, "policy", (101, 1)), (1_600, "buy", (101, 1))),
    "config-change-for-all": (
        BUY_TWO,
        (1_000, "policy", (101, 2)),
        (1_001, "policy", (102, 2)),
        (1_002, "policy", (201, 2)),
        (1_500, "buy", (102, 3)),
    ),
}
