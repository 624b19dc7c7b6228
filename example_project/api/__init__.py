"""Four endpoints that show how a project guards its own."""
