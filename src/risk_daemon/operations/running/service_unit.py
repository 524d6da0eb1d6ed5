"""What a service manager is told: systemd's units, and NSSM's commands on Windows. Pure.

The service manager watches the supervisor, and nothing else: whoever guards accounts goes on
without a supervisor, so its end must not take the others with it (docs/adr/0054). After a `stop`
or an `emergency shutdown` nothing may bring protection back but `start`; that is asked of the
home before every start, by `service may-start`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The loop tells that it lives twice in this time; one that is frozen is ended and started again.
WATCHDOG_S: Final = 10
START_WITHIN_S: Final = 120
STOP_WITHIN_S: Final = 60
#: Three restarts that fail within this time, and people are called.
RESTARTS: Final = 3
WITHIN_S: Final = 600
#: `service may-start` says no with it: that is no failure, and nobody is called.
MUST_NOT_START: Final = 3
#: Bytes at which NSSM begins another file for what a process says outside of its log.
ROTATE_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Service:
    """A home as a service. `command`: the words that begin `risk-daemon-admin`, absolute."""

    name: str
    home: str
    environment: str
    user: str
    command: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The unit that is started at boot."""
        return f"{self.name}.service"

    @property
    def caller(self) -> str:
        """The unit that calls people when the first one can't be kept up."""
        return f"{self.name}-gave-up.service"

    def words(self, verb: str) -> tuple[str, ...]:
        """One of the service's own commands."""
        return (*self.command, "service", verb, "--home", self.home)


# --- systemd -------------------------------------------------------------------


def service_unit(one: Service) -> str:
    """Write the unit of the daemon."""
    return f"""\
# Written by `risk-daemon-admin service install`; `service status` says whether it still is so.
[Unit]
Description=Risk daemon, {_text(one.environment)} home {_text(one.home)}
Wants=network-online.target
After=network-online.target time-sync.target
# One start and {RESTARTS} restarts in {WITHIN_S} s; then people are called instead.
StartLimitIntervalSec={WITHIN_S}
StartLimitBurst={RESTARTS + 1}
OnFailure={one.caller}

[Service]
Type=notify
# A supervisor of another release takes over from the one before, and tells so itself.
NotifyAccess=all
User={_text(one.user)}
# The API key, where a home takes it from the environment; the file is its owner's only.
EnvironmentFile=-{_text(one.home)}/credentials/environment
# Switched off on purpose, or running beside it: the unit stays inactive, which is no failure.
ExecCondition={_line(one.words("may-start"))}
ExecStart={_line(one.words("run"))}
Restart=always
RestartSec=1
WatchdogSec={WATCHDOG_S}
TimeoutStartSec={START_WITHIN_S}
TimeoutStopSec={STOP_WITHIN_S}
# Only the supervisor is told to end, which ends the others in order. Where it died they go on.
KillMode=process
UMask=0077
LimitNOFILE=65536
{_hardening(one)}
[Install]
WantedBy=multi-user.target
"""


def _hardening(one: Service) -> str:
    """Say what it may not do. Memory may be made executable: libraries of the SDK do that."""
    return f"""
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={_path(one.home)}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""


def calling_unit(one: Service) -> str:
    """Write the unit that calls people."""
    return f"""\
# Written by `risk-daemon-admin service install`: started when {one.unit} can't be kept up.
[Unit]
Description=Call people: the risk daemon of {_text(one.home)} does not stay up

[Service]
Type=oneshot
User={_text(one.user)}
ExecStart={_line(one.words("gave-up"))}
TimeoutStartSec={START_WITHIN_S}
{_hardening(one)}"""


def _text(text: str) -> str:
    """Keep systemd from reading a percent sign as one of its own words."""
    return text.replace("%", "%%")


def _path(path: str) -> str:
    """Write one path; spaces and quotes in it are its own."""
    plain = _text(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"' if set(path) & set(" \t\"'\\") else plain


def _line(words: tuple[str, ...]) -> str:
    return " ".join(_path(word).replace("$", "$$") for word in words)


# --- Windows -------------------------------------------------------------------


def nssm_commands(one: Service) -> tuple[str, ...]:
    """Return the commands that make it a Windows service, in order, for an elevated prompt.

    NSSM ends its own service in a way that Windows counts as a failure, so that Windows counts
    them and runs something after the third; exit 0 is an end on purpose.
    """
    program, *rest = one.words("run")
    gave_up = " ".join(map(_quoted, one.words("gave-up"))).replace('"', '\\"')
    logs = f"{one.home}\\logs"
    settings = (
        ("AppDirectory", one.home),
        ("DisplayName", f"Risk daemon ({one.environment})"),
        ("Description", f"Guards the futures accounts of {one.home}"),
        ("Start", "SERVICE_DELAYED_AUTO_START"),
        ("ObjectName", "LocalService"),
        ("AppStdout", f"{logs}\\service.out"),
        ("AppStderr", f"{logs}\\service.out"),
        ("AppRotateFiles", "1"),
        ("AppRotateBytes", str(ROTATE_BYTES)),
        ("AppStopMethodConsole", str(STOP_WITHIN_S * 1_000)),
        ("AppKillProcessTree", "0"),
    )
    restarts = "/".join(["restart/1000"] * RESTARTS)
    return (
        " ".join(map(_quoted, ("nssm", "install", one.name, program, *rest))),
        *(" ".join(map(_quoted, ("nssm", "set", one.name, *pair))) for pair in settings),
        f"nssm set {_quoted(one.name)} AppExit Default Suicide",
        f"nssm set {_quoted(one.name)} AppExit 0 Exit",
        f"sc.exe failureflag {_quoted(one.name)} 1",
        f"sc.exe failure {_quoted(one.name)} reset= {WITHIN_S} actions= {restarts}/run/1000 "
        f'command= "{gave_up}"',
        f"nssm start {_quoted(one.name)}",
    )


def nssm_removal(one: Service) -> tuple[str, ...]:
    """Return the commands that take the Windows service away again."""
    name = _quoted(one.name)
    return (f"nssm stop {name}", f"nssm remove {name} confirm")


def _quoted(word: str) -> str:
    return f'"{word}"' if not word or set(word) & set(" \t()&^") else word


# --- what stands ---------------------------------------------------------------


def may_start(*, is_off: bool, is_wanted: bool) -> bool:
    """Whether a service manager may start the daemon: not after a person switched it off.

    `is_wanted`: a person's `start` is under way, which is what ends that.
    """
    return is_wanted or not is_off


def states(shown: str) -> dict[str, str]:
    """Read what `systemctl show` says, a key and its value on each line."""
    pairs = (line.partition("=") for line in shown.splitlines() if "=" in line)
    return {key: value for key, _, value in pairs}
