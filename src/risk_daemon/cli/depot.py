"""`release`: make one, bring it in, look at it, unpack it, let old ones go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import DryRunOption, HomeOption, JsonOption
from risk_daemon.cli.show import finish, talk
from risk_daemon.clock import Clock
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose, depot_path

release = typer.Typer(no_args_is_help=True, help="Releases on disk: make, add, stage, prune.")

VersionArgument = Annotated[str, typer.Argument(help="A release, like v1.2.0.")]


@release.command("keygen")
def keygen(
    out: Annotated[Path, typer.Option(help="The secret key's file; .pub is added for the other.")],
    as_json: JsonOption = False,
) -> None:
    """Make a key that signs releases, in minisign's format and without a password.

    \b
    Examples:
      risk-daemon-admin release keygen --out ~/keys/release.key
    """
    from risk_daemon.operations.releases import depot

    finish(as_json, lambda: depot.keygen(out.expanduser().absolute()))


@release.command("build")
def build(
    key: Annotated[Path, typer.Option(help="The secret key that signs it.")],
    checkout: Annotated[
        Path, typer.Option("--from", help="The checkout; else the working folder.")
    ] = Path(),
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder, or a file NAME.tar; else below .dev/releases/out."),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a release of what is committed: its wheel, all others of the lock, a signed manifest.

    The same commit gives the same bytes. Others' wheels are fetched once per lock.

    \b
    Examples:
      risk-daemon-admin release build --key ~/keys/release.key
      risk-daemon-admin release build --key ~/keys/release.key --out /tmp/v1.2.0.tar
    """
    from risk_daemon.operations.releases import depot

    finish(
        as_json,
        lambda: depot.make(
            checkout.expanduser().absolute(),
            out.expanduser().absolute() if out else None,
            key.expanduser().absolute(),
            talk,
            dry_run=dry_run,
        ),
    )


@release.command("add")
def add(
    source: Annotated[Path, typer.Argument(help="A release: its folder, or its file NAME.tar.")],
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a release into the depot of this host, once its signature and digests are verified.

    The depot is RISK_DAEMON_DEPOT, else the platform's place beside the production home.

    \b
    Examples:
      risk-daemon-admin release add /media/v1.2.0.tar
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    act = depot.Act(Clock().now_ns(), operator(), talk, dry_run)
    path = source.expanduser().absolute()
    finish(as_json, lambda: depot.add(choose(home), Depot(depot_path()), path, act))


@release.command("notes")
def notes(
    version: VersionArgument,
    checkout: Annotated[
        Path, typer.Option("--from", help="The checkout; else the working folder.")
    ] = Path(),
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the page and the changelog, and take the fragments."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Draft the notes of a release, what breaks first, against the one before it in the depot.

    From docs/changes/NAME.KIND.md of the checkout, and from the sources of both releases: rules,
    configuration, records, schemas, packages. The page must be committed before `release build`.

    \b
    Examples:
      risk-daemon-admin release notes v1.3.0
      risk-daemon-admin release notes v1.3.0 --write
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import release_notes

    folder = checkout.expanduser().absolute()
    finish(
        as_json,
        lambda: release_notes.draft(Depot(depot_path()), folder, version, write=write),
    )


@release.command("list")
def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the releases of the depot, what is staged in this home, and who holds accounts.

    \b
    Examples:
      risk-daemon-admin release list
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    finish(as_json, lambda: depot.listed(choose(home), Depot(depot_path())))


@release.command("show")
def show(version: VersionArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show one release: code, configuration, schemas, signer, parts, accounts.

    \b
    Examples:
      risk-daemon-admin release show v1.2.0
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    finish(as_json, lambda: depot.shown(choose(home), Depot(depot_path()), version))


@release.command("verify")
def verify(version: VersionArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare signature, parts and unpacked files of a release, byte by byte. Exit 1 if any differ.

    Or if it can't live with this home's state file.

    \b
    Examples:
      risk-daemon-admin release verify v1.2.0
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    finish(as_json, lambda: depot.verified(choose(home), Depot(depot_path()), version))


@release.command("stage")
def stage(
    version: VersionArgument,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Unpack a release into the home, offline and compiled. Switches nothing.

    \b
    Examples:
      risk-daemon-admin release stage v1.2.0
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    act = depot.Act(Clock().now_ns(), operator(), talk, dry_run)
    finish(as_json, lambda: depot.stage(choose(home), Depot(depot_path()), version, act))


@release.command("tag")
def tag(
    version: VersionArgument,
    checkout: Annotated[
        Path, typer.Option("--from", help="The checkout; else the working folder.")
    ] = Path(),
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tag the commit a release was made of, with the digest that was signed.

    Only what is in the depot, signed by a key this home trusts, and has its notes.

    \b
    Examples:
      risk-daemon-admin release tag v1.2.0
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot, tagging

    act = depot.Act(Clock().now_ns(), operator(), talk, dry_run)
    where = checkout.expanduser().absolute()
    finish(as_json, lambda: tagging.tag(choose(home), Depot(depot_path()), version, where, act))


@release.command("prune")
def prune(
    version: Annotated[
        str | None, typer.Argument(help="Only this one; else all but the last three.")
    ] = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove old releases from this home and from the depot.

    The last three stay, and whatever holds an account, runs, or wrote an account's newest
    snapshot, in any home that uses the depot.

    \b
    Examples:
      risk-daemon-admin release prune --dry-run
      risk-daemon-admin release prune v1.1.0
    """
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot

    finish(
        as_json,
        lambda: depot.prune(choose(home), Depot(depot_path()), version, dry_run=dry_run),
    )
