"""Measure what authentication adds to a request, with jwt_auth and djangorestframework-simplejwt.

Both are measured in the same process. `python -m benchmarks` (or `make bench`) measures and writes
`benchmarks/results.json`.
"""
