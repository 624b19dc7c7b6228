"""The security log for operators and security teams: structured records without secrets."""
