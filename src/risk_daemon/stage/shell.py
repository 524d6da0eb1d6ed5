"""A shell in which lines are typed one after the other, on folders named as the page names them.

What a line exports is there for the next. `/prod` and `/staging` are shown to whoever types where a
mount namespace may be made (Linux, as root or in a user namespace of one's own); nothing of it is
seen by anybody else, and it is gone with the last process that was started in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

HANGS_FACTOR: Final = 3.0
#: A command that takes so much longer hangs; it is ended, and has failed.
HANGS_LEAST_S: Final = 30.0
_EXPORT: Final = "export "
#: Everything there is at the root, again at a new one; then the named folders; then become that.
_AGAIN: Final = """\
set -e
new=$1
shift
mount -t tmpfs tmpfs "$new"
for one in /*; do
    if [ -L "$one" ]; then cp -P "$one" "$new$one"
    elif [ -d "$one" ]; then mkdir "$new$one" && mount --rbind "$one" "$new$one"
    else : > "$new$one" && mount --bind "$one" "$new$one"
    fi
done
while [ "$1" != -- ]; do
    mkdir -p "$new$1"
    mount --bind "$2" "$new$1"
    shift 2
done
where=$2
shift 2
exec chroot "$new" sh -c 'cd "$0" && exec "$@"' "$where" "$@"
"""


class Shell:
    """Lines typed from one folder; `prefix` is what is put before each shell."""

    def __init__(
        self, where: str, environment: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> None:
        self._where, self._environment = where, dict(environment)
        self._prefix = tuple(prefix)

    def type(self, text: str, within_s: float) -> tuple[int, str]:
        """Run one line as it stands; return its exit code and what it said (-1: it hung)."""
        if text.startswith(_EXPORT):
            return self._exported(text)
        try:
            done = subprocess.run(
                [*self._prefix, "sh", "-c", text],
                cwd=None if self._prefix else self._where,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=max(within_s * HANGS_FACTOR, HANGS_LEAST_S),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, "it did not end"
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")

    def has(self, name: str) -> bool:
        """Tell whether the next line will see a variable."""
        return bool(self._environment.get(name))

    def _exported(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", f"{text} && env -0"],  # noqa: S607 - as a person types it, on their own PATH
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            pairs = (one.partition("=") for one in done.stdout.split("\0") if one)
            self._environment = {name: value for name, _, value in pairs}
        return done.returncode, done.stderr


def rooted(new: Path, places: Mapping[str, Path], where: str) -> tuple[str, ...]:
    """Return the words before a command that sees each folder at its place below the root.

    `new` is an empty folder for the new root, `where` the folder the command begins in. Nothing is
    returned where no mount namespace can be made.
    """
    if sys.platform != "linux":
        return ()
    pairs = [word for place, folder in places.items() for word in (place, str(folder))]
    new.mkdir(parents=True, exist_ok=True)
    for unshared in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        words = (*unshared, "sh", "-c", _AGAIN, "sh", str(new), *pairs, "--", where)
        if _works(words):
            return words
    return ()


def _works(words: Sequence[str]) -> bool:
    try:
        done = subprocess.run([*words, "true"], capture_output=True, check=False, env=os.environ)
    except OSError:
        return False
    return done.returncode == 0
