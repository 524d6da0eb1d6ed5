"""What runs as a process of its own: `python -m risk_daemon.programs.NAME`."""

import sys

from risk_daemon.programs import loading

# While Python looks for the module of `-m`, that is the first word: a program begins to load.
if sys.argv[:1] == ["-m"]:
    loading.begins()
