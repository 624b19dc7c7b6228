"""A way to moto's server that a test can block."""

from __future__ import annotations

import http.client

from tests.keys.remote.service import Answer, Request, Respond


def forward_to(port: int) -> Respond:
    def forward(request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(request.method, request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        headers = {"Content-Type": answer.headers["Content-Type"]}
        return Answer(status=answer.status, body=body, headers=headers)

    return forward
