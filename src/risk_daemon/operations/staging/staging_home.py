"""Where the staging home is, and how it gets its own settings beside a copied policy.

The configuration is a copy of production's, taken as it is. What names the deployment is written
here: environment, port, broker, logins. All of it is judged in a scratch place first, so that
nothing is half made.
"""

from __future__ import annotations

import io
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from risk_daemon.errors import OperatorError, Refused, UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.configuration import loading as files
from risk_daemon.operations.configuration import yaml_file
from risk_daemon.operations.configuration.loading import Configuration
from risk_daemon.operations.home import Home
from risk_daemon.operations.staging import staging_plan
from risk_daemon.operations.staging.staging_plan import Wanted
from risk_daemon.settings import Login

ENVIRONMENT: Final = "staging"
HEAD: Final = "Settings of this staging home, written by `risk-daemon-admin deploy staging`."


def find(production: Home) -> Home:
    """Return the staging home: as the environment names it, the usual one, or beside production.

    Raises UsageError where that is production itself, Refused where it is a home of another kind.
    """
    path = homes.staging_path(production.path)
    at = Home(path)
    staging_plan.refuse_same(str(path.resolve()), str(production.path.resolve()))
    staging_plan.refuse_same(str(at.config.resolve()), str(production.config.resolve()))
    if at.about.exists() and (kind := homes.open_home(at).environment) != ENVIRONMENT:
        raise Refused(
            f"{path} is a {kind} home, not a staging home; nothing was changed. Name another place "
            f"in {homes.STAGING_VARIABLE}."
        )
    if (at.config / "config" / "daemon.yaml").exists():
        raise Refused(
            f"{at.config} holds a copy inside the copy ({at.config / 'config'}); nothing was "
            f"changed. Remove {at.config}, then `cp -r {production.config} {at.config}`."
        )
    return at


def configured(at: Home, production: Configuration) -> Configuration | None:
    """Return the staging home's configuration if it says `environment: staging`; None for a copy.

    Raises InvalidConfiguration for a copy that can't be read.
    """
    if not at.config.is_dir():
        return None
    found = files.load(at.config)
    if found.settings.environment == ENVIRONMENT:
        return found
    if found.settings.environment != production.settings.environment:
        raise UsageError(
            f"{at.config / 'daemon.yaml'} says `environment: {found.settings.environment}`; a "
            "staging home starts from a copy of production's; nothing was changed."
        )
    return None


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be written into the configuration: texts by their names below `config/`.

    `gone` are files of accounts that the home does not guard.
    """

    texts: Mapping[str, str]
    gone: tuple[str, ...] = ()


def draft(at: Home, production: Home, wanted: Wanted) -> Draft:
    """Write what differs from the copy, in memory; judged as a whole.

    Raises InvalidConfiguration.
    """
    source = at if at.config.is_dir() else production
    texts = {"daemon.yaml": _daemon(source, wanted)}
    accounts = {number: login for login in wanted.logins for number in login.accounts}
    there = {
        int(path.stem): path
        for path in sorted((source.config / "accounts").glob("*.yaml"))
        if path.stem.isdecimal()
    }
    gone = tuple(f"accounts/{number}.yaml" for number in there if number not in accounts)
    own = {int(path.stem): path for path in sorted((production.config / "accounts").glob("*.yaml"))}
    texts |= _accounts(accounts, there, own)
    found = Draft(texts, gone)
    _judge(source.config, found)
    return found


def _daemon(source: Home, wanted: Wanted) -> str:
    """Production's settings with what is staging's own in their place; comments stay."""
    tree = yaml_file.read(source.config / "daemon.yaml", "config/daemon.yaml").tree
    tree["environment"] = ENVIRONMENT
    tree.setdefault("console", CommentedMap())["port"] = wanted.port
    tree["gateway"] = CommentedMap(wanted.gateway.addresses())
    tree["logins"] = CommentedSeq([_login(one) for one in wanted.logins])
    tree.pop("clock", None)
    if wanted.offset_s:
        tree["clock"] = CommentedMap(offset_s=wanted.offset_s)
    return _text(tree)


def _login(one: Login) -> CommentedMap:
    accounts = CommentedSeq(one.accounts)
    accounts.fa.set_flow_style()
    return CommentedMap(
        name=one.name, user=one.user, credentials=one.credentials, accounts=accounts
    )


def _accounts(
    accounts: Mapping[int, Login], there: Mapping[int, Path], own: Mapping[int, Path]
) -> dict[str, str]:
    """Files of accounts that the copy has none of.

    An account of staging's own takes the limits of one of production's: they are rehearsed too.
    """
    lacking = [number for number in accounts if number not in there]
    spare = [path for number, path in own.items() if number not in accounts]
    found: dict[str, str] = {}
    for place, number in enumerate(lacking):
        name = f"accounts/{number}.yaml"
        source = own.get(number) or (spare[place % len(spare)] if spare else None)
        if source is None:
            tree: Any = CommentedMap(name=f"account {number}")
        else:
            tree = yaml_file.read(source, f"config/accounts/{source.name}").tree
        if source is not None and tree.get("login") == accounts[number].name:
            found[name] = source.read_text(encoding="utf-8")  # to the letter: parity compares it
        else:
            tree["login"] = accounts[number].name
            found[name] = _text(tree)
    return found


def _text(tree: Any) -> str:
    out = io.BytesIO()
    yaml = YAML(typ="rt")
    yaml.width = 200
    yaml.dump(tree, out)
    return out.getvalue().decode()


def _judge(config: Path, made: Draft) -> None:
    """Load the configuration as it would be, in a scratch place."""
    with tempfile.TemporaryDirectory(prefix="risk-daemon-staging-") as scratch:
        copy = Path(scratch) / "config"
        _copy(config, copy)
        _write(copy, made)
        files.load(copy)


def _copy(config: Path, to: Path) -> None:
    """Copy a configuration without its history."""
    try:
        shutil.copytree(config, to, ignore=shutil.ignore_patterns(".git"))
    except (OSError, shutil.Error) as error:
        raise OperatorError(f"{config} can't be copied to {to}: {error}.") from None


def _write(config: Path, made: Draft) -> None:
    for name, text in made.texts.items():
        path = config / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    for name in made.gone:
        (config / name).unlink(missing_ok=True)


def found(at: Home, production: Home, created: str) -> None:
    """Make the home around a configuration, with production's trusted keys; again is the same."""
    try:
        at.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the staging home {at.path} can't be made: {error.strerror}.") from None
    if not at.config.is_dir():
        partial = at.config.with_name(".config.part")
        shutil.rmtree(partial, ignore_errors=True)
        _copy(production.config, partial)
        partial.rename(at.config)
    if not at.about.exists():
        homes.create(at, ENVIRONMENT, created, "environment")
    shutil.copyfile(production.trusted_keys, at.trusted_keys)


def keys(at: Home, logins: tuple[Login, ...]) -> dict[str, str]:
    """Return the keys of simulated users by login, made and written the first time."""
    found: dict[str, str] = {}
    folder = at.path / "credentials"
    for login in logins:
        path = folder / f"{login.name}.key"
        if not path.is_file():
            folder.mkdir(exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16) + "\n", encoding="utf-8")
        found[login.name] = path.read_text(encoding="utf-8").strip()
    return found


def write(at: Home, made: Draft, by: str) -> None:
    """Write a draft and commit it, and what a person edited before as that person's."""
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history

    history.ensure(at.config, by, "The configuration as it was copied")
    _write(at.config, made)
    history.ensure(at.config, by, HEAD)
