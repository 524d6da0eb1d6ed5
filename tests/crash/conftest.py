"""The whole daemon, with people's own deadlines: its processes are not traced."""

from tests.untraced import leave_children_untraced

leave_children_untraced()
