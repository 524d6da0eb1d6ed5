"""What stands for what on the host of a test, and what a line ends with where it is not 0.

Only names of things differ from what is printed: an address, a path, a version, a backup's file.
What a document says is refused, or still open, ends with the exit code of that here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from risk_daemon.stage.waiting import until
from tests.depot.build import commit_all
from tests.documents.blocks import ROOT, Block
from tests.documents.scene import CANDIDATE, GUARDED, INCUMBENT, Host

#: So long a line is typed again whose answer is that the time was over, or not yet come.
WITHIN_S: Final = 120.0

NEW_KEY: Final = "a-newer-key-of-alpha"

type Step = Callable[[Host], None]
type Place = tuple[str, int]


@dataclass(frozen=True)
class Way:
    """How a line is typed: what it ends with, what is answered, whether it goes on.

    What is asked is answered as by somebody who means it.

    `is_secret`: nothing is shown of what is answered. `again`: it is refused until something has
    been seen, and is typed until it is not. `first` and `then` are what others do just before and
    after.
    """

    code: int = 0
    keys: str = "y\n"
    is_secret: bool = False
    goes_on: bool = False
    again: bool = False
    first: Step | None = None
    then: Step | None = None


PLAIN: Final = Way()
LOOKED_AT: Final = Way(goes_on=True)
AGAIN: Final = Way(again=True)

STRATEGY = "docs/deployment/deployment_strategy.md"
ROLLBACK = "docs/deployment/rollback_procedure.md"
CHECKLIST = "docs/deployment/deployment_checklist.md"
RECOVERY = "docs/deployment/disaster_recovery.md"
FOUR: Final = (STRATEGY, ROLLBACK, CHECKLIST, RECOVERY)
SUMMARY = "docs/deployment/README.md"
ADMIN = "docs/guides/admin.md"
INSTALL = "docs/guides/install.md"
TRADER = "docs/guides/trader.md"
SIMULATOR = "docs/architecture/simulator.md"
README = "README.md"
#: What somebody types who has never seen this.
FIVE: Final = (README, 3)

#: So little is typed of these, and so little changes by it, that they share a host, in this order.
TOGETHER: Final = (
    "docs/guides/troubleshooting.md",
    "docs/guides/logs.md",
    TRADER,
    SUMMARY,
)
#: At most five, none of them in the four documents.
LEFT_OUT: Final[dict[Place, str]] = {
    (README, 1): "`./dev test` is what runs this, `./dev demo` has tests of its own",
    (INSTALL, 1): "adds a user to the machine: root's, and for the whole machine",
    (INSTALL, 3): "systemd: tests/cli/test_service.py has a stand-in do what the units say",
    (SIMULATOR, 1): "minutes of two cores; tests/proving plays each of its modes",
    (INSTALL, 5): "systemd, as above: it would take units away from this machine",
}


# --- what stands for what ---------------------------------------------------------------


def as_typed(line: str, host: Host, block: Block) -> str:
    """Write a line with this host's own names."""
    for printed, own in names(host, block.document).items():
        line = line.replace(printed, own)
    return line


def names(host: Host, document: str) -> dict[str, str]:
    """What is printed, and what it is here; the longest names first."""
    folder = host.folder
    common = {
        "localhost:8080": f"localhost:{host.port}",
        "/prod/": f"{folder}/prod/",
        "/staging/": f"{folder}/staging/",
        "/media/v1.3.0.tar": str(host.made.file("v1.3.0")),
        "--backup-file FILE": f"--backup-file {host.remembered.get('backup', '')}",
        "./dev ": f"{ROOT}/dev ",
        "sudo ": "",
        "deploy_staging.sh": f"deploy_staging.sh --gateway {host.outside}",
        "/var/lib/risk-daemon": str(folder / "var"),
    }
    return common | OWN.get(document, _nothing)(host)


def _nothing(host: Host) -> dict[str, str]:
    del host
    return {}


def _readme(host: Host) -> dict[str, str]:
    return {
        "--environment production": "--environment staging",  # which alone is not ProjectX's
        "me:MY_USER:env:1234567": f"me:MY_USER:env:1234567 --gateway {host.outside}",
        "me:MY_USER:env:ACCOUNT_ID": f"me:MY_USER:env:1234567 --gateway {host.outside}",
        "PROJECT_X_API_KEY=…": "PROJECT_X_API_KEY=a-key-of-mine",
        "~/practice": f"{host.folder}/practice",
        "~/guarded": f"{host.folder}/mine",
        "v1.0.0": "v1.2.0",
        "v1.1.0": "v1.4.0",
        "HOME/bin": f"{host.daemon.home}/bin",
        "deploy_staging.sh": "deploy_staging.sh",
        "--backup-file FILE": f"--backup-file {host.remembered.get('backup', '')}",
    }


def _install(host: Host) -> dict[str, str]:
    trust = host.made.key.with_name(f"{host.made.key.name}.pub")
    return {
        "--environment production": "--environment staging",  # which alone is not ProjectX's
        ":1234567 --trust release.pub": f":1234567 --trust {trust} --gateway {host.outside}",
        "release add FILE": f"release add {host.made.file(INCUMBENT)}",
    }


OWN: Final[dict[str, Callable[[Host], dict[str, str]]]] = {
    README: _readme,
    INSTALL: _install,
}

# --- what a document finds --------------------------------------------------------------------


def as_it_is(host: Host) -> None:
    """Go on where the block before has ended."""
    del host


def staged(host: Host) -> None:
    """The release that is talked of has come to this home."""
    host.daemon.run("release", "stage", CANDIDATE).ok()


def beside_production(host: Host) -> None:
    """Somebody works on a host where production has its home, and staging none yet."""
    host.has_production()
    (host.folder / "staging").mkdir()
    host.environment["RISK_DAEMON_HOME"] = str(host.folder / "prod")


def in_the_home_again(host: Host) -> None:
    """On the day: in the home that guards, where the release was staged."""
    del host.environment["RISK_DAEMON_HOME"]
    staged(host)
    agreed(host)


def has_a_key(host: Host) -> None:
    """The user's key lies where the home will look for it."""
    host.has_test_broker()
    secret = host.folder / "var" / "credentials" / "me.key"
    secret.parent.mkdir(parents=True, mode=0o700)
    secret.write_text("a-key-of-mine\n")
    secret.chmod(0o600)


def nothing_is_planned(host: Host) -> None:
    """What was planned is given up: one rollout at a time."""
    host.daemon.run("rollout", "abort", "--reason", "something else comes first").ok()


def only_limits_change(host: Host) -> None:
    """A configuration alone is asked for a backup; no second release decides beside it."""
    nothing_is_planned(host)
    plan = host.daemon.home / "config" / "rollout.yaml"
    plan.write_text(plan.read_text().replace("gates: [decisions]", "gates: []"))
    host.daemon.run("backup", "create").ok()


def nothing_is_begun(host: Host) -> None:
    """What was planned is given up: an emergency is planned as one from its beginning."""
    nothing_is_planned(host)
    plan = host.daemon.home / "config" / "rollout.yaml"
    # Phases that a home writes down are an emergency's too: it has none of percentages.
    lines = plan.read_text().splitlines()
    kept = [line for line in lines if "name: 10," not in line and "name: 50," not in line]
    plan.write_text("\n".join(kept) + "\n")


def with_a_broker(host: Host) -> None:
    """Somebody who has an account there begins."""
    host.has_test_broker()


def has_a_port(host: Host) -> None:
    """Another program may have the usual one on this machine."""
    settings = Path(host.environment["RISK_DAEMON_HOME"]) / "config" / "daemon.yaml"
    settings.write_text(settings.read_text().replace("port: 8080", "port: 0"))


def knows_the_new_one(host: Host) -> None:
    """It is staged; a rollout of it is planned, and a second person has agreed."""
    host.environment.pop("RISK_DAEMON_HOME")
    host.daemon.run("deploy", "plan", "v1.4.0", "--account", "1001").ok()
    host.daemon.run("rollout", "approve", "start", "--by", "berta").ok()


def in_a_checkout(host: Host) -> None:
    """Back in the home that runs, and in a checkout that may be written into."""
    for name in ("RISK_DAEMON_HOME", "PROJECT_X_API_KEY", "PROJECT_X_USERNAME"):
        host.environment.pop(name, None)
    host.stands_in_checkout("v1.4.0")


def trusts(host: Host) -> None:
    """The new key's public half goes to the home."""
    public = host.folder / "person" / "keys" / "release.key.pub"
    with (host.daemon.home / "trusted.keys").open("a") as trusted:
        trusted.write(public.read_text())


def is_committed(host: Host) -> None:
    """Somebody has read what was written, and committed it."""
    commit_all(host.checkout)


def planned_anew(host: Host) -> None:
    """Everybody is back on the older release, and the newer one is planned."""
    host.daemon.run("rollback", "--all", "--to-version", INCUMBENT).ok()
    plan = host.daemon.home / "config" / "rollout.yaml"
    plan.write_text(plan.read_text().replace("gates: []\nphases", "phases"))
    host.daemon.run("deploy", "plan", CANDIDATE, "--account", "test_trader_1").ok()


def agreed(host: Host) -> None:
    """It is planned, and a second person has agreed to its start."""
    host.daemon.run("deploy", "plan", CANDIDATE, "--account", "test_trader_1").ok()
    host.daemon.run("rollout", "approve", "start", "--by", "berta").ok()


def in_its_canary(host: Host) -> None:
    """The rollout has begun."""
    agreed(host)
    host.daemon.run("deploy", "canary", "--account", "test_trader_1").ok()


def with_all_accounts(host: Host) -> None:
    """The rollout has reached all accounts."""
    percents = [("deploy", "percentage", "--percent", one) for one in ("10", "50", "100")]
    for words in (*percents, ("rollout", "promote", "soak")):
        until(lambda: host.daemon.run(*words).code == 0, WITHIN_S, " ".join(words), 1.0)  # noqa: B023


def lost(host: Host) -> None:
    """Nothing runs, and there is a backup."""
    knows_a_backup(host)
    host.daemon.run("stop", "--yes", "--reason", "the state is lost").ok()


def knows_a_backup(host: Host) -> None:
    """The newest of `backup list` is the one that is typed."""
    found = host.daemon.run("backup", "list", "--json").ok().data["data"]["backups"]
    if not found:
        host.daemon.run("backup", "create").ok()
        return knows_a_backup(host)
    host.remembered["backup"] = str(found[-1]["file"])
    return None


def is_agreed_to(host: Host) -> None:
    """The rollout is planned, and another person agrees to its start."""
    host.daemon.run("deploy", "plan", "v1.3.0", "--account", "test_trader_1").ok()
    host.daemon.run("rollout", "approve", "start", "--by", "anna").ok()


def nobody_is_locked(host: Host) -> None:
    """What the lines before have locked is open again."""
    for account in GUARDED:
        host.daemon.run("lockout", "clear", "--account", str(account), "--reason", "the next page")


# --- what a line ends with -------------------------------------------------------------

WAYS: Final[dict[str, Way]] = {
    "risk-daemon-admin rollout watch": LOOKED_AT,
    "./dev run status --watch": LOOKED_AT,
    "./scripts/deploy_percentage.sh --percent 10": AGAIN,
    "./scripts/deploy_percentage.sh --percent 50": AGAIN,
    "./scripts/deploy_percentage.sh --percent 100": AGAIN,
    "risk-daemon-admin rollout promote soak": AGAIN,
    "risk-daemon-admin rollout complete": AGAIN,
}
INIT: Final = (
    "./dev run init --environment production --login me:MY_USER:env:1234567 "
    "--start-balance 50000.00 --drawdown 2000.00"
)
#: Planned, and waits for two people.
EMERGENCY: Final = (
    "./scripts/deploy_canary.sh --account test_trader_1 --emergency "
    '--reason "v1.3.0 closes too late"'
)
#: In one document only.
SPECIAL: Final[dict[tuple[str, str], Way]] = {
    # So few accounts: a second person agrees to the start.
    (ADMIN, "./scripts/deploy_canary.sh --account test_trader_1"): Way(first=is_agreed_to),
    # The last but one line of "a new version": it says what is missing, and the release goes on.
    (ADMIN, "risk-daemon-admin checklist pre --version v1.3.0"): Way(code=3),
    (SUMMARY, "risk-daemon-admin checklist pre --version v1.3.0"): Way(code=3),
    (CHECKLIST, "risk-daemon-admin checklist pre --version v1.3.0"): Way(code=3),
    (CHECKLIST, "risk-daemon-admin checklist during"): Way(code=3),
    # It is written, and asks people for what only they know.
    (CHECKLIST, "risk-daemon-admin rollout report v1.3.0"): Way(code=1),
    (CHECKLIST, "risk-daemon-admin checklist post"): Way(code=3),
    (STRATEGY, EMERGENCY): Way(code=3),
    (STRATEGY, "risk-daemon-admin deploy gates v1.3.0"): Way(code=3),
    (README, INIT): Way(then=has_a_port),
    (README, "./dev run init --environment staging --login me:MY_USER:env:ACCOUNT_ID"): Way(
        then=has_a_port
    ),
    (README, "scripts/deploy_staging.sh"): Way(first=beside_production, then=knows_the_new_one),
    (README, "./dev run deploy gates v1.1.0"): Way(code=3),
    (README, "./dev run checklist pre"): Way(code=3),
    # It is the block after `complete`: nothing is judged any more of a rollout that is done.
    (STRATEGY, "risk-daemon-admin rollout explain errors"): Way(code=3),
    (README, "scripts/deploy_percentage.sh --percent 10"): AGAIN,
    (README, "./dev run release keygen --out ~/keys/release.key"): Way(then=trusts),
    (README, "./dev run release notes v1.1.0 --write"): Way(then=is_committed),
    (ADMIN, "risk-daemon-admin credentials rotate alpha"): Way(
        keys=f"{NEW_KEY}\n",
        is_secret=True,
        first=lambda host: host.has_key("alpha", NEW_KEY),
    ),
}


def way_of(line: str, block: Block) -> Way:
    """How a line is typed."""
    plain = line.partition(" # ")[0]
    return SPECIAL.get((block.document, plain), WAYS.get(plain, PLAIN))


#: What the text below a block says that shows what came of it.
SHOWN: Final[dict[Place, str]] = {FIVE: "./dev run status"}
BEFORE: Final[dict[Place, Step]] = {
    (README, 2): with_a_broker,
    (README, 5): in_a_checkout,
    (README, 7): knows_a_backup,
    (STRATEGY, 1): beside_production,
    (STRATEGY, 2): in_the_home_again,
    (STRATEGY, 6): planned_anew,
    (STRATEGY, 8): only_limits_change,
    (STRATEGY, 9): nothing_is_begun,
    (INSTALL, 2): has_a_key,
    (CHECKLIST, 1): staged,
    (CHECKLIST, 4): in_its_canary,
    (CHECKLIST, 6): with_all_accounts,
    (SUMMARY, 2): staged,
    (RECOVERY, 8): lost,
    (ADMIN, 14): knows_a_backup,
    (ADMIN, 15): nobody_is_locked,
}
