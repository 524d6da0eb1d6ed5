"""What people are told of a rollout: per event and audience, in the words they asked for. Pure."""

from __future__ import annotations

from typing import Final

TRADERS: Final = "traders"
ADMINS: Final = "admins"
MANAGEMENT: Final = "management"
AUDIENCES: Final = (TRADERS, ADMINS, MANAGEMENT)

INFO: Final = "info"
URGENT: Final = "urgent"
PAGE: Final = "page"

WINDOW: Final = "window opening"
URGENTLY: Final = "emergency opening"
PHASE: Final = "phase entered"
HELD: Final = "held"
BLIND: Final = "blind"
GOING_BACK: Final = "going back"
BACK: Final = "back"
STUCK: Final = "stuck"
DONE: Final = "completed"
SUPERSEDED: Final = "superseded"

#: Level, then the words for traders, admins and management; filled in by name.
WORDS: Final[dict[str, tuple[str, str, str, str]]] = {
    WINDOW: (
        INFO,
        "A new version is being deployed; you stay protected throughout",
        "Deployment window opening: {candidate}, {accounts} accounts; the way back is {fallback}",
        "Deployment of {candidate} has begun",
    ),
    URGENTLY: (
        URGENT,
        "A correction is being deployed urgently; you stay protected throughout",
        "EMERGENCY deployment of {candidate} opening, {why}; the way back is {fallback}",
        "Emergency deployment of {candidate} has begun",
    ),
    PHASE: (
        INFO,
        "The new version now guards up to {percent} % of the accounts",
        "Phase {phase} entered: {candidate} on {upto} of {accounts} accounts",
        "Deployment of {candidate}: {percent} % of the accounts",
    ),
    HELD: (
        URGENT,
        "The deployment pauses; you stay protected",
        "Deployment of {candidate} on hold in {phase}: {why}",
        "Deployment of {candidate} on hold",
    ),
    BLIND: (
        PAGE,
        "The deployment pauses; you stay protected",
        "Somebody is needed: {why}; deployment of {candidate} on hold in {phase}",
        "Deployment of {candidate} on hold",
    ),
    GOING_BACK: (
        PAGE,
        "The previous version is being restored; you stay protected",
        "Rolling back {candidate}: {why}",
        "Deployment issue, rolling back",
    ),
    BACK: (
        URGENT,
        "System restored to previous version",
        "Rollback completed, {release} active",
        "Deployment issue, rolled back successfully",
    ),
    STUCK: (
        PAGE,
        "The previous version is not restored for every account yet",
        "Somebody is needed: {why}",
        "Deployment issue, people are at work",
    ),
    DONE: (
        INFO,
        "The new version guards all accounts",
        "Deployment completed: {candidate} on {accounts} accounts",
        "Deployment of {candidate} completed successfully",
    ),
    SUPERSEDED: (
        INFO,
        "Another version follows; you stay protected",
        "Deployment of {candidate} superseded by {why}",
        "Deployment of {candidate} superseded",
    ),
}
