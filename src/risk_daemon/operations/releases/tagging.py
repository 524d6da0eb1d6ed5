"""`release tag`: a release's name in the history it was made of, with what was signed.

Only what was made, signed and brought into the depot is tagged, and at its own commit: a tag that
a person sets by hand may name what nobody has built.
"""

from __future__ import annotations

from pathlib import Path

from risk_daemon.clock import SECOND_NS
from risk_daemon.depot import making, tags
from risk_daemon.depot.store import Depot, accept
from risk_daemon.errors import Refused
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases import trusting
from risk_daemon.operations.releases.depot import Act


def tag(at: Home, depot: Depot, version: str, checkout: Path, act: Act) -> Outcome:
    """Tag the commit a release was made of; nothing is done where it is tagged already.

    Raises NotFound for a release or a commit that is not there, Refused for a tag that names
    another commit, and for a release whose commit has no notes.
    """
    release = depot.get(version)
    accept(release.text, release.signature, trusting.of_home(at), version)
    commit, page = release.manifest.commit, f"{making.NOTES}{version}.md"
    if page not in making.read_named(checkout, commit).files:
        raise Refused(
            f"commit {commit[:12]} has no {page}, so nobody would be told what {version} brings; "
            f"nothing was tagged. `risk-daemon-admin release notes {version} --write`, commit, "
            "and build it anew."
        )
    data = {"version": version, "commit": commit, "digest": release.digest, "tagged": False}
    present = tags.commit_of(checkout, version)
    if present == commit:
        return Outcome((f"{version} is at {commit[:12]} already",), data=data)
    if present:
        raise Refused(
            f"{version} is a tag at {present[:12]}, and the release was made of {commit[:12]}; "
            "nothing was tagged. A version is given once: build the next one."
        )
    lines = (f"{version} at {commit[:12]}", f"digest {release.digest}")
    if act.dry_run:
        return Outcome(lines, data=data, notes=("nothing was done",))
    message = f"{version}\n\ndigest {release.digest}\n"
    tags.write(checkout, version, commit, act.by, message, act.at_ns // SECOND_NS)
    push = f"git push origin {version}"
    return Outcome(lines, data=data | {"tagged": True}, next_command=push)
