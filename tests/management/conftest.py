"""The key store of the key commands."""

from tests.keys.conftest import file_store, folder  # noqa: F401  fixtures
