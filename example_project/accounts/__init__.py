"""The example's user model, its admin page and the claims it adds to a token."""
