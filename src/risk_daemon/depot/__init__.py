"""Releases on disk: made from a commit, signed, kept once per host, unpacked into a home."""
