"""The lines people type on the day of a deployment, what each must end with, and within what time.

In the order in which they are typed. They are run by a shell exactly as they stand here.
"""

from __future__ import annotations

from typing import Final

import msgspec

INCUMBENT: Final = "v1.2.0"
CANDIDATE: Final = "v1.3.0"
TEST_ACCOUNT: Final = "test_trader_1"
KEY: Final = "your_staging_key"
COMMIT: Final = "abc123"
PORT: Final = 8080


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `judge` names what is held against the gateway or the journal afterwards."""

    text: str
    means: str
    within_s: float
    judge: str
    argument: int = 0
    exit: int = 0


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that are typed one after the other. `is_timed`: their sum is the rollback's."""

    name: str
    lines: tuple[Line, ...]
    is_timed: bool = False


def smoke() -> tuple[Line, ...]:
    """The five lines after each phase."""
    return (
        Line(
            text=f"curl http://localhost:{PORT}/health",
            means="the daemon is running: each account enforced and connected",
            within_s=2.0,
            judge="healthy",
        ),
        Line(
            text="risk-daemon-admin test-connection",
            means="REST, login and both hubs answer",
            within_s=10.0,
            judge="nothing sent",
        ),
        Line(
            text="risk-daemon-admin status --show-events",
            means="the stream advances",
            within_s=3.0,
            judge="advances",
        ),
        Line(
            text="risk-daemon-admin test-rule max-contracts",
            means="the rule trips on a breach and not on a near miss, in the release that holds",
            within_s=10.0,
            judge="nothing sent",
        ),
        Line(
            text="risk-daemon-admin test-persistence",
            means="a promise is written and read again by somebody else",
            within_s=5.0,
            judge="advances",
        ),
    )


def switch(percent: int, accounts: int) -> Line:
    """Enter the phase of a percentage."""
    return Line(
        text=f"./scripts/deploy_percentage.sh --percent {percent}",
        means=f"{accounts} accounts are the new release's, each looked at",
        within_s=120.0 + 0.05 * accounts,
        judge="moved",
        argument=accounts,
    )


#: Typed in an installed home that has a staging folder beside it.
BEFORE: Final = (
    Chapter(
        name="the day before: staging",
        lines=(
            Line(
                text="cp -r /prod/config /staging/config",
                means="staging starts from a copy",
                within_s=10.0,
                judge="copied",
            ),
            Line(
                text=f"export PROJECT_X_API_KEY={KEY}",
                means="a key by the SDK's own name: for the lines that follow, and written nowhere",
                within_s=1.0,
                judge="exported",
            ),
            Line(
                text="export PROJECT_X_USERNAME=test_trader",
                means="the user it belongs to; where production has it, staging is simulated",
                within_s=1.0,
                judge="exported",
            ),
            Line(
                text="./scripts/deploy_staging.sh",
                means="the newest release runs in staging, on its own port, beside what it was"
                " compared with",
                within_s=600.0,
                judge="rehearsed",
            ),
        ),
    ),
)

DEPLOYMENT: Final = (
    Chapter(
        name="phase 1: one test account",
        lines=(
            Line(
                text=f"./scripts/deploy_canary.sh --account {TEST_ACCOUNT}",
                means="decided in shadow on all accounts, then this one is switched",
                within_s=120.0,
                judge="moved",
                argument=1,
            ),
            *smoke(),
        ),
    ),
    Chapter(name="phase 2: 10 %", lines=(switch(10, 2), *smoke())),
    Chapter(name="phase 3: 50 %", lines=(switch(50, 10), *smoke())),
    Chapter(name="phase 4: all", lines=(switch(100, 20), *smoke())),
)

#: From one to all at once, looked at once.
SHORT: Final = (
    DEPLOYMENT[0],
    Chapter(name="phase 4: all", lines=(switch(100, 20),)),
)

ROLLBACK: Final = (
    Chapter(
        name="rollback 1: stop",
        is_timed=True,
        lines=(
            Line(
                text="./scripts/stop_deployment.sh",
                means="nothing more is switched, nobody is moved",
                within_s=30.0,
                judge="moved",
                argument=20,
            ),
        ),
    ),
    Chapter(
        name="rollback 2: revert",
        is_timed=True,
        lines=(
            Line(
                text=f"./scripts/rollback_daemon.sh --to-version {INCUMBENT}",
                means="every account is the old release's, by its worker's own word",
                within_s=60.0,
                judge="moved",
            ),
            Line(
                text=f"./scripts/rollback_config.sh --to-commit {COMMIT}",
                means="that commit is policy",
                within_s=15.0,
                judge="policy",
            ),
            Line(
                text="./scripts/restart_daemon.sh",
                means="each process anew, one at a time, protected throughout",
                within_s=45.0,
                judge="answers",
            ),
        ),
    ),
    Chapter(
        name="rollback 3: verify",
        is_timed=True,
        lines=(
            Line(
                text="risk-daemon-admin --version",
                means=f"{INCUMBENT}, attested by all processes",
                within_s=0.4,
                judge="version",
            ),
            Line(
                text="risk-daemon-admin test-connection",
                means="REST, login and both hubs answer",
                within_s=10.0,
                judge="nothing sent",
            ),
            Line(
                text="risk-daemon-admin test-rule max-contracts",
                means="the rule trips in the release that holds",
                within_s=10.0,
                judge="nothing sent",
            ),
        ),
    ),
    Chapter(
        name="rollback 4: reconcile",
        is_timed=True,
        lines=(
            Line(
                text="risk-daemon-admin reconcile-state",
                means="positions, orders and trades of each account read and compared",
                within_s=30.0,
                judge="as the broker",
            ),
            Line(
                text="risk-daemon-admin verify-state",
                means="rebuilt from the journal it equals the holder's",
                within_s=30.0,
                judge="nothing sent",
            ),
        ),
    ),
    Chapter(
        name="rollback 5: notify",
        is_timed=True,
        lines=(
            Line(
                text=f'./scripts/send_alert.sh "Deployment rolled back to {INCUMBENT}"',
                means="stored for every audience",
                within_s=30.0,
                judge="told",
            ),
        ),
    ),
    Chapter(
        name="if the schema changed",
        lines=(
            Line(
                text="./scripts/db_rollback.sh --to-version 5",
                means="not needed: every release here reads the state file as it is",
                within_s=300.0,
                judge="nothing sent",
            ),
            Line(
                text="risk-daemon-admin verify-db",
                means="version, chain, structure, invariants",
                within_s=60.0,
                judge="nothing sent",
            ),
        ),
    ),
)

EMERGENCY: Final = (
    Chapter(
        name="emergency",
        lines=(
            Line(
                text='risk-daemon-admin emergency flatten-all --reason "System emergency"',
                means="every account flat, proven by query, and locked",
                within_s=10.0,
                judge="flat",
            ),
            Line(
                text='risk-daemon-admin emergency shutdown --reason "Manual intervention required"',
                means="protection off on purpose, said by every command",
                within_s=10.0,
                judge="off",
            ),
        ),
    ),
)
