"""AWS Secrets Manager, by moto's server over HTTP, behind a proxy that fails when told to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.checks import keys as checks
from jwt_auth.exceptions import KeyRingMissing, KeyStoreError, KeyStoreUnavailable
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from tests.keys.remote.contract import DEADLINE, TIMEOUT, AddressContract, RemoteStorage
from tests.keys.remote.libraries import require
from tests.keys.remote.moto_proxy import (
    REGION,
    console,
    forward_to,
    refusal,
    tell_moto,
    users_with_policies_of,
)
from tests.keys.remote.service import Answer, Request, Service

require("boto3", "django-jwt-sessions[aws]")
require("moto.server", "moto[server]")

from jwt_auth.keys.stores.aws import AWSSecretsManagerKeyStore  # noqa: E402

pytestmark = pytest.mark.remote

SECRET = "hunter-secret-access-key"
NAME = "example/jwt-keys"


class AWSStorage(RemoteStorage):
    backend = "jwt_auth.keys.stores.aws.AWSSecretsManagerKeyStore"
    secrets = (SECRET,)
    outage = "ConnectionClosedError"
    throttled = refusal("ThrottlingException")
    denied = refusal("AccessDeniedException")
    failed = refusal("InternalServiceError", 500)
    throttled_reason = "ThrottlingException (GetSecretValue)"
    denied_reason = "AccessDeniedException (GetSecretValue)"

    def __init__(self, service: Service, moto_port: int) -> None:
        self.service = service
        self.client = console("secretsmanager", moto_port)

    def options(self) -> dict[str, Any]:
        return {
            "SECRET_ID": NAME,
            "REGION": REGION,
            "ENDPOINT_URL": f"http://127.0.0.1:{self.service.port}",
            "ACCESS_KEY_ID": "AKIAEXAMPLE",
            "SECRET_ACCESS_KEY": SECRET,
            "TIMEOUT": TIMEOUT,
            "DEADLINE": DEADLINE,
        }

    def open(self, **options: Any) -> AWSSecretsManagerKeyStore:
        return AWSSecretsManagerKeyStore(**self.options() | options)

    def is_write(self, request: Request) -> bool:
        return request.headers["X-Amz-Target"].endswith(("CreateSecret", "PutSecretValue"))

    def put_ring(self, ring: KeyRing) -> None:
        self.client.create_secret(Name=NAME, SecretString=ring.to_json())

    def put(self, content: bytes) -> None:
        try:
            value: dict[str, Any] = {"SecretString": content.decode()}
        except UnicodeDecodeError:
            value = {"SecretBinary": content}
        try:
            self.client.put_secret_value(SecretId=NAME, **value)
        except self.client.exceptions.ResourceNotFoundException:
            self.client.create_secret(Name=NAME, **value)

    def empty(self) -> None:
        self.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)

    def stages(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.client.describe_secret(SecretId=NAME)[
            "VersionIdsToStages"
        ]
        return found


@pytest.fixture
def storage(moto_port: int, aws_environment: None) -> Iterator[AWSStorage]:
    """An empty Secrets Manager."""
    tell_moto(moto_port, "reset")
    with Service(forward_to(moto_port)).running() as service:
        yield AWSStorage(service, moto_port)


class TestContract(AddressContract):
    writers = 4  # each makes a client, which takes its time
    address = "ENDPOINT_URL"


def test_versions_keep_the_service_s_labels(storage: AWSStorage, ring: KeyRing, now: Any) -> None:
    """The former ring is AWSPREVIOUS, so that it can be restored in the console."""
    storage.put_ring(ring)
    (first,) = storage.stages()
    storage.open().save(ring.retired(now), expected_version=1)
    stages = storage.stages()
    assert "AWSPREVIOUS" in stages[first]
    assert sum("AWSCURRENT" in labels for labels in stages.values()) == 1


def test_move_whose_answer_was_lost_has_happened(storage: AWSStorage, ring: KeyRing) -> None:
    """The service says that the label is on another version, and that version is ours."""
    storage.put_ring(ring)
    respond = storage.service.respond
    following = ring.without("none")

    def move_and_refuse(request: Request) -> Answer:
        answer = respond(request)
        moves = request.headers["X-Amz-Target"].endswith("UpdateSecretVersionStage")
        return refusal("InvalidParameterException") if moves else answer

    storage.service.respond = move_and_refuse
    storage.open().save(following, expected_version=1)
    assert storage.open().load() == following


def test_secret_that_was_made_without_a_value_takes_the_first_ring(
    storage: AWSStorage, ring: KeyRing
) -> None:
    """Terraform and the console make such a secret, with its key, policy and tags."""
    storage.client.create_secret(Name=NAME)
    with pytest.raises(KeyRingMissing):
        storage.open().load()
    storage.open().save(ring, expected_version=None)
    assert storage.open().load() == ring


def test_secret_is_made_with_the_kms_key_of_the_options(storage: AWSStorage, ring: KeyRing) -> None:
    """Without the option AWS takes the account's key."""
    storage.open(KMS_KEY_ID="alias/jwt").save(ring, expected_version=None)
    assert storage.client.describe_secret(SecretId=NAME)["KmsKeyId"] == "alias/jwt"


def test_secret_that_is_scheduled_for_deletion_can_be_restored(
    storage: AWSStorage, ring: KeyRing
) -> None:
    """It isn't missing: no secret could be made in its place."""
    storage.put_ring(ring)
    storage.client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    store = storage.open()
    for attempt in (store.load, lambda: store.save(ring, expected_version=None)):
        with pytest.raises(KeyStoreError, match="InvalidRequestException") as refused:
            attempt()
        assert not isinstance(refused.value, KeyRingMissing)
    storage.client.restore_secret(SecretId=NAME)
    assert storage.open().load() == ring


def test_secret_can_be_named_by_its_arn(storage: AWSStorage, ring: KeyRing) -> None:
    """Once the secret exists. It can't be made by its ARN."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:example/jwt-keys-AbCdEf"
    with pytest.raises(KeyRingMissing):
        storage.open(SECRET_ID=arn).load()
    storage.put_ring(ring)
    arn = storage.client.describe_secret(SecretId=NAME)["ARN"]
    assert storage.open(SECRET_ID=arn).load() == ring
    assert storage.open(SECRET_ID=arn).check() == []


@pytest.mark.parametrize(
    ("answer", "reason", "passes"),
    [
        (refusal("InvalidSignatureException", 403), "InvalidSignatureException", False),
        (refusal("DecryptionFailure"), "DecryptionFailure", False),
        (refusal("IDPCommunicationError"), "IDPCommunicationError", True),
        (refusal("ExpiredTokenException"), "ExpiredTokenException", False),
        (refusal("AccessDeniedException"), "AccessDeniedException", False),
        (refusal("hunter2"), "HTTP status 400", False),
        (refusal("hunter2", 503), "HTTP status 503", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_is_named_by_its_code_and_waited_for_if_it_passes(
    storage: AWSStorage, answer: Answer, reason: str, passes: bool
) -> None:
    """By a start. Its message isn't quoted, nor a code that can't be one of AWS."""
    with storage.answering(answer), pytest.raises(KeyStoreError) as refused:
        storage.open().load()
    assert f"{reason} (GetSecretValue). See " in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert isinstance(refused.value, KeyStoreUnavailable) is passes


@pytest.mark.parametrize(
    "permission", ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
)
def test_denied_save_names_the_permission_of_the_step(
    storage: AWSStorage, ring: KeyRing, permission: str
) -> None:
    """So the operator knows which permission the policy lacks."""
    storage.put_ring(ring)
    with (
        storage.refusing(
            lambda request: request.headers["X-Amz-Target"].endswith(f".{permission}"),
            storage.denied,
        ),
        pytest.raises(KeyStoreError, match=rf"AccessDeniedException \({permission}\)"),
    ):
        storage.open().save(ring, expected_version=1)


def test_environment_says_where_and_who(
    storage: AWSStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region and credential come from boto3's default chain."""
    storage.put_ring(ring)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter-other")
    store = AWSSecretsManagerKeyStore(
        SECRET_ID=NAME, ENDPOINT_URL=f"http://127.0.0.1:{storage.service.port}"
    )
    assert store.load() == ring
    assert "AKIAOTHER" in storage.service.requests[-1].headers["Authorization"]
    assert store.describe() == "AWS Secrets Manager, example/jwt-keys"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ACCESS_KEY_ID": None, "SECRET_ACCESS_KEY": None}, "NoCredentialsError"),
        ({"REGION": None}, "NoRegionError"),
        ({"REGION": "no region"}, "InvalidRegionError"),
        ({"ACCESS_KEY_ID": None, "SECRET_ACCESS_KEY": None, "PROFILE": "none"}, "ProfileNotFound"),
        ({"ENDPOINT_URL": "http://127.0.0.1:9"}, "EndpointConnectionError"),
        ({"ENDPOINT_URL": "nowhere"}, "ValueError"),
        ({"SECRET_ID": ""}, "ParamValidationError"),
    ],
    ids=str,
)
def test_what_the_sdk_lacks_is_named(
    storage: AWSStorage, options: dict[str, Any], reason: str
) -> None:
    """By the name of the SDK's error."""
    with pytest.raises(KeyStoreError, match=reason):
        storage.open(**options).load()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, []),
        ({"SECRET_ID": "a secret"}, ["E047"]),
        ({"ENDPOINT_URL": "http://vpce.example.com"}, ["W045"]),
        ({"ENDPOINT_URL": "vpce.example.com"}, ["E046"]),
        ({"ACCESS_KEY_ID": "AKIA"}, ["E048"]),
        ({"SESSION_TOKEN": "hunter2"}, ["E048"]),
        ({"ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "hunter2", "PROFILE": "web"}, ["E034"]),
        ({"TIMEOUT": -1}, ["E045"]),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], found: list[str]) -> None:
    """Before any request, and without a value."""
    messages = AWSSecretsManagerKeyStore(**{"SECRET_ID": NAME} | options).check()
    assert [message.id for message in messages] == [f"jwt_auth.{number}" for number in found]
    assert "hunter2" not in str(messages)


# ---- The source of the credential


def metadata(request: Request) -> Answer:
    """The answers of a machine's and of a container's metadata endpoint."""
    credential = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": "AKIAROLE",
        "SecretAccessKey": "hunter2",
        "Token": "hunter2",
        "Expiration": "2999-01-01T00:00:00Z",
        "LastUpdated": "2026-01-01T00:00:00Z",
    }
    if request.path.endswith(("/web", "/task")):
        return Answer.json(credential)
    return Answer(body=b"hunter-token" if request.method == "PUT" else b"web")


@pytest.fixture(params=["machine", "container"])
def role(
    request: pytest.FixtureRequest, storage: AWSStorage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The only source of a credential. boto3 has more time to fetch it than by default."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", str(TIMEOUT))
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", TIMEOUT)
    with Service(metadata).running() as service:
        address = f"http://127.0.0.1:{service.port}"
        if request.param == "machine":
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{address}/")
            monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
        else:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{address}/task")
            monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        yield service


def test_start_waits_for_the_role_of_the_machine(
    storage: AWSStorage,
    role: Service,
    now: datetime,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that was made while the endpoint is unavailable would never find a credential."""
    storage.put_ring(KeyRing(version=0).with_next_key(jwk.generate("EdDSA"), now, now, timedelta()))
    options = storage.options() | {"ACCESS_KEY_ID": None, "SECRET_ACCESS_KEY": None}
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": storage.backend, "OPTIONS": options}
    cache.reset()
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        role.away = len(pauses) < 2

    monkeypatch.setattr(checks, "sleep", sleep)
    role.away = True
    assert checks.find_start_problem() is None
    assert len(pauses) == 2


def test_policies_of_the_documentation_suffice_and_give_no_more(
    storage: AWSStorage, ring: KeyRing, moto_port: int
) -> None:
    """The job makes and changes the ring. A server reads it, and can't write it."""
    with users_with_policies_of("remote-key-stores.md", moto_port) as keys:
        server, job = (
            storage.open(ACCESS_KEY_ID=key, SECRET_ACCESS_KEY=secret) for key, secret in keys
        )
        job.save(ring, expected_version=None)
        following = ring.without("none")
        job.save(following, expected_version=1)
        assert server.load() == following
        with pytest.raises(KeyStoreError, match=r"HTTP status 403 \(PutSecretValue\)"):
            server.save(following, expected_version=following.version)
