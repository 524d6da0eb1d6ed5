"""Homes with a journal, as the tests of operations have them."""

from tests.operations.conftest import home, journal

__all__ = ["home", "journal"]
