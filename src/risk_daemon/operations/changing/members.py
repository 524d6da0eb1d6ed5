"""`accounts` and `logins`: who is guarded and through whom; and whether the keys are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from risk_daemon.errors import NotFound, NotReachable, OperatorError, Refused, UsageError
from risk_daemon.operations import daemon
from risk_daemon.operations.accounts import own_session
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import editing, policy
from risk_daemon.operations.changing.editing import Wish
from risk_daemon.operations.configuration import credentials, founding, yaml_file
from risk_daemon.operations.configuration.problems import nearest
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.words import count
from risk_daemon.settings import Login, Settings

START: Final = "risk-daemon-admin stop --reason ... && risk-daemon-admin start"
DENIED: Final = 4
WITHIN_S: Final = 9.0


def accounts(at: Home) -> Outcome:
    """Every account of the files: its login, and whether it is for tests."""
    configuration = policy.checked(at)
    rows: list[dict[str, Any]] = [
        {
            "account": one.account,
            "name": one.name,
            "login": one.login,
            "test": _own(at, one.account).get("test") is True,
            "rules": len(one.rules),
        }
        for one in configuration.policies
    ]
    lines = tuple(
        f"{row['account']} {row['name']}: login {row['login']}, {count(row['rules'], 'rule')}"
        f"{', for tests' if row['test'] else ''}"
        for row in rows
    )
    return Outcome(lines, data={"accounts": rows}, next_command="risk-daemon-admin config show")


def _own(at: Home, account: int) -> Mapping[str, Any]:
    """What an account's own file says; nothing where it has none."""
    name = f"accounts/{account}.yaml"
    path = at.config / name
    return yaml_file.read(path, f"config/{name}").values if path.exists() else {}


def add_account(
    at: Home, number: int, login: str, name: str | None, who: Who, *, dry_run: bool
) -> Outcome:
    """Guard one more account: listed at its login, with a file of its own."""
    configuration = policy.checked(at)
    names = [one.name for one in configuration.settings.logins]
    if login not in names:
        near = nearest(login, names)
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"there is no login {login!r}; there are: {', '.join(names)}.{hint}")
    if number in configuration.settings.accounts():
        owner = configuration.policy(number).login
        raise Refused(f"account {number} is guarded already, through login {owner}.")

    def listed(tree: Any) -> None:
        for one in tree["logins"]:
            if one["name"] == login:
                one["accounts"].append(number)

    def named(tree: Any) -> None:
        tree["name"] = DoubleQuotedScalarString(name or f"account {number}")
        tree["login"] = login

    wishes = [
        Wish(f"accounts/{number}.yaml", named, f"account {number} is added to login {login}"),
        Wish("daemon.yaml", listed, f"account {number} is added to login {login}"),
    ]
    return editing.carry_out_all(at, wishes, who, dry_run=dry_run, next_command=START)


def mark_test(at: Home, account: str, who: Who, *, is_test: bool, dry_run: bool) -> Outcome:
    """Say that an account is for tests, or no longer."""
    number, title = find_account(at, account)
    file = f"accounts/{number}.yaml"

    def marked(tree: Any) -> None:
        editing.begin_file(at, tree, file)
        if is_test:
            tree["test"] = True
        else:
            tree.pop("test", None)

    text = f"{title} is {'' if is_test else 'no longer '}for tests"
    return editing.carry_out_all(
        at,
        [Wish(file, marked, text)],
        who,
        dry_run=dry_run,
        next_command="risk-daemon-admin accounts list",
    )


# --- logins --------------------------------------------------------------------


def logins(at: Home) -> Outcome:
    """Every login of the files: user, where its key comes from, its accounts."""
    settings = policy.checked(at).settings
    rows = [
        {
            "login": one.name,
            "user": one.user,
            "credentials": one.credentials,
            "accounts": list(one.accounts),
        }
        for one in settings.logins
    ]
    lines = tuple(
        f"{one.name}: user {one.user}, credentials {one.credentials}, "
        f"{count(len(one.accounts), 'account')}: {', '.join(map(str, one.accounts))}"
        for one in settings.logins
    )
    next_command = "risk-daemon-admin credentials check"
    return Outcome(lines, data={"logins": rows}, next_command=next_command)


def add_login(at: Home, text: str, who: Who, *, dry_run: bool) -> Outcome:
    """Guard the accounts of one more user of the broker."""
    login = founding.parse_login(text)
    names = [one.name for one in policy.checked(at).settings.logins]
    if login.name in names:
        raise UsageError(f"there is a login {login.name!r} already; choose another name.")

    def added(tree: Any) -> None:
        entry = CommentedMap(
            name=login.name,
            user=DoubleQuotedScalarString(login.user),
            credentials=DoubleQuotedScalarString(login.credentials),
        )
        entry["accounts"] = CommentedSeq(login.accounts)
        entry["accounts"].fa.set_flow_style()
        tree["logins"].append(entry)

    wish = Wish("daemon.yaml", added, f"login {login.name} is added")
    return editing.carry_out_all(at, [wish], who, dry_run=dry_run, next_command=START)


# --- credentials -----------------------------------------------------------------


def check_credentials(at: Home) -> Outcome:
    """Whether each login's key is there and logs in; shows none of it."""
    settings = policy.checked(at).settings
    lines, rows, denied = [], [], 0
    for login in settings.logins:
        try:
            way = _logs_in(at, settings, login)
        except OperatorError as error:
            denied += 1
            what = "WRONG ACCOUNTS" if isinstance(error, NotFound) else "NOT LOGGED IN"
            lines.append(f"{login.name}: {what}: {error.sentence}")
            rows.append({"login": login.name, "ok": False, "error": error.sentence})
        else:
            lines.append(f"{login.name}: user {login.user} logs in ({way})")
            rows.append({"login": login.name, "ok": True, "error": ""})
    return Outcome(
        tuple(lines),
        DENIED if denied else 0,
        {"logins": rows},
        next_command="risk-daemon-admin test-connection",
    )


def _logs_in(at: Home, settings: Settings, login: Login) -> str:
    """Prove a login: by its link where that lives, as a second session would throw it out."""
    note = credentials.resolve(at, login).note
    try:
        answer = daemon.ask(at, daemon.link_name(login.name), "connection", {}, WITHIN_S)
    except NotReachable:
        seen = own_session.accounts(at, settings, login)
        told = ", ".join(f"{number} {name}" for number, name in sorted(seen.items()))
        missing = [str(number) for number in login.accounts if number not in seen]
        if missing:
            raise NotFound(
                f"its key logs in, but does not see {', '.join(missing)}; "
                f"it sees: {told or 'none'}."
            ) from None
        return f"by a session of its own, sees {told}{note and f'; {note}'}"
    if answer.get("rest_ms") is None:
        raise OperatorError(str(answer.get("error") or "the link is not logged in"))
    return f"through its link{note and f'; {note}'}"
