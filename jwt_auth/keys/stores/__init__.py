"""Where a key ring is kept: :mod:`.base` has the contract, each other module one store."""
