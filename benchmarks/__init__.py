"""What authentication costs a request: jwt_auth beside djangorestframework-simplejwt, in one
process.

`python -m benchmarks` (or `make bench`) measures and writes `benchmarks/results.json`.
"""
