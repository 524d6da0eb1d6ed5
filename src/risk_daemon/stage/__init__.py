"""A stage: the simulated gateway and a whole daemon in a scratch home, as real processes.

Played by `./dev demo`, `./dev crash` and the tests. It talks to the daemon only
by its command line and its journal, and to the gateway by its control port.
"""
