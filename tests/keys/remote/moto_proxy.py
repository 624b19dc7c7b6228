"""A way to moto's server that a test can block, and one that it can't."""

from __future__ import annotations

import http.client
import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.keys.remote.libraries import require
from tests.keys.remote.service import Answer, Request, Respond

REGION = "eu-central-1"
HOW_TO = Path(__file__).resolve().parents[3] / "docs/how-to"


def refusal(code: str, status: int = 400) -> Answer:
    """An error of AWS's, whose message goes nowhere."""
    message = "hunter2 of arn:aws:iam::1"
    return Answer(
        status=status,
        body=json.dumps({"__type": code, "message": message, "Message": message}).encode(),
        headers={"Content-Type": "application/x-amz-json-1.1"},
    )


@contextmanager
def moto() -> Iterator[int]:
    """Give the port of a server of moto's in this process, which is slow to import."""
    server = require("moto.server", "moto[server]").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def forward_to(port: int) -> Respond:
    def forward(request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(request.method, request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        headers = {"Content-Type": answer.headers["Content-Type"]}
        return Answer(status=answer.status, body=body, headers=headers)

    return forward


@cache
def console(service: str, port: int) -> Any:
    """Somebody at AWS's console. To make a client takes its time: one for all tests."""
    boto3 = require("boto3", "django-jwt-sessions[aws]")
    session = boto3.session.Session("AKIACONSOLE", "secret", region_name=REGION)
    return session.client(service, endpoint_url=f"http://127.0.0.1:{port}")


@contextmanager
def users_with_policies_of(page: str, port: int) -> Iterator[list[tuple[str, str]]]:
    """Access keys with the policies of a page, in an account where nothing else is allowed."""
    iam = console("iam", port)
    keys: list[tuple[str, str]] = []
    for text in re.findall(r"```json\n(.+?)```", (HOW_TO / page).read_text(), re.DOTALL):
        policy = json.loads(text)
        for statement in policy["Statement"]:
            statement |= {"Resource": "*", "Condition": {}}  # moto can judge nothing else
        name = f"user-{len(keys)}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="jwt", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys.append((key["AccessKeyId"], key["SecretAccessKey"]))
    tell_moto(port, "reset-auth", b"0")
    try:
        yield keys
    finally:
        tell_moto(port, "reset-auth", b"Infinity")


def tell_moto(port: int, path: str, body: bytes = b"") -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/moto-api/{path}",
        body,
        {"Content-Type": "text/plain"},
        method="POST",
    )
    urllib.request.urlopen(request).close()
