"""The edge: HTTP and Django REST Framework stand here and nowhere below."""
