"""The signing keys: JWKs, the ring they stand in, its stores, and the copy a process works with."""
