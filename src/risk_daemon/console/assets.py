"""The page's own files: a style sheet and modules of script, as they lie in the package.

Read once at the start and served as they are: there is no build step (docs/adr/0052).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
FOLDER: Final = "web"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, its media type, and a name for exactly this content."""

    body: bytes
    media_type: str
    etag: str


def assets() -> dict[str, Asset]:
    """Return every file of the page by its name."""
    folder = files("risk_daemon.console") / FOLDER
    found = {}
    for path in folder.iterdir():
        media_type = TYPES.get("." + path.name.rpartition(".")[2])
        if media_type is not None:
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[path.name] = Asset(body, media_type, etag)
    return found
