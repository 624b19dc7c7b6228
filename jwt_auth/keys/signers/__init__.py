"""Signers: services that hold a private key and sign with it, so that no process has it."""
