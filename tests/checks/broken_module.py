"""A module that fails when it is imported, and not because another one is missing."""

raise ValueError("a secret")
