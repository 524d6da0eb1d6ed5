"""The broker outside: what may be asked of it, what may leave, and how often."""
