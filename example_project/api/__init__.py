"""Four endpoints that show how a project protects its views with jwt_auth."""
