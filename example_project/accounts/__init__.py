"""The example's user model, its admin page, and the claims that it adds to a token."""
