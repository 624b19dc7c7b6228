"""The stores behind a network, each against a server of its service's documented API."""
