"""AWS KMS over HTTP: real keys and signatures, and everything that can go wrong on the way."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import joserfc.jwk
import joserfc.jwt
import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.exceptions import InvalidKey, KeySignerError
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.bounded_call import BoundedExecutor
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.signers.base import KeySigner, find_key_signer
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.tokens import access
from jwt_auth.tokens.claims import AccessToken
from tests.keys.reloading import Clock
from tests.keys.remote.kms import ED25519, KMS
from tests.keys.remote.libraries import require
from tests.keys.remote.moto_proxy import (
    REGION,
    console,
    refusal,
    tell_moto,
    users_with_policies_of,
)
from tests.keys.remote.service import Answer, Service
from tests.keys.remote.waiting import let_deadline_pass, threads_of, wait_until

require("boto3", "django-jwt-sessions[aws]")
require("moto.server", "moto[server]")

from jwt_auth.keys import aws_clients  # noqa: E402
from jwt_auth.keys.signers import aws  # noqa: E402

pytestmark = pytest.mark.remote

SECRET = "hunter-secret-access-key"
#: Of a signature, in seconds. Long, for a machine that is busy.
TIMEOUT = 20.0
#: The name of the threads that call KMS.
THREAD = "jwt_auth-key-signer"
SIGNERS = count(1)
SPECS = {"ES256": "ECC_NIST_P256", "EdDSA": ED25519, "PS256": "RSA_3072", "RS256": "RSA_3072"}


@pytest.fixture(autouse=True)
def environment(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as all of AWS's SDKs find them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setattr(aws, "_COOL_DOWN", 0.0)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds between attempts, which no test waits for."""
    pauses: list[float] = []
    monkeypatch.setattr(aws, "sleep", pauses.append)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture(scope="module")
def front(moto_port: int) -> Iterator[Service]:
    """One for all tests, so that the client, which takes its time, is made once."""
    with Service(KMS(moto_port)).running() as service:
        yield service


@pytest.fixture
def service(
    front: Service, moto_port: int, settings: Settings, file_store: FileKeyStore
) -> Iterator[Service]:
    """An empty KMS as the settings' signer, and an empty file store."""
    tell_moto(moto_port, "reset")
    settings.JWT_AUTH_KEY_SIGNER = {
        "BACKEND": "jwt_auth.keys.signers.aws.AWSKMSSigner",
        "OPTIONS": {
            "REGION": REGION,
            "ENDPOINT_URL": f"http://127.0.0.1:{front.port}",
            "TIMEOUT": TIMEOUT,
        },
    }
    front.respond, front.always = KMS(moto_port), None
    front.next.clear()
    front.requests.clear()
    yield front
    cache.reset()


@pytest.fixture
def cool_down(service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a new signer, which asks again five seconds after an error."""
    clock = Clock()
    monkeypatch.setattr(aws, "_COOL_DOWN", 5.0)
    monkeypatch.setattr(aws, "monotonic", clock)
    renew_signer(settings)
    return clock


@pytest.fixture
def client(service: Service) -> Any:
    """Somebody at the console."""
    return console("kms", service.port)


def signer() -> KeySigner:
    found = find_key_signer()
    assert found is not None
    return found


def renew_signer(settings: Settings, **options: Any) -> None:
    """Have the settings name a new signer, which looks for its credential again."""
    former = settings.JWT_AUTH_KEY_SIGNER
    another = {"TIMEOUT": TIMEOUT + next(SIGNERS) / 1000}
    settings.JWT_AUTH_KEY_SIGNER = former | {"OPTIONS": former["OPTIONS"] | another | options}


def make_ring(algorithm: str = "ES256") -> RingKey:
    call_command("generate_keys", f"--algorithm={algorithm}", verbosity=0)
    (key,) = get_key_store().load().keys
    return key


def arn_of(key: RingKey) -> str:
    assert key.signer is not None
    return key.signer.key


def issue(**claims: Any) -> str:
    now = datetime.now(UTC)
    return access.issue(
        subject="1",
        session_id=uuid4(),
        token_version=0,
        roles=[],
        auth_time=int(now.timestamp()),
        own_claims=claims,
        expires_at=now + timedelta(minutes=15),
        now=now,
    ).text


def verified(token: str) -> AccessToken:
    return access.verify(token, now=datetime.now(UTC))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", SPECS)
def test_token_signed_by_kms_verifies_everywhere(
    algorithm: str, service: Service, moto_port: int
) -> None:
    """With our verification and joserfc's, from the published set. No private member is here."""
    key = make_ring(algorithm)
    token = issue()
    assert verified(token).kid == key.kid
    published: Any = cache.get_jwk_set(datetime.now(UTC))
    keys = joserfc.jwk.KeySet.import_key_set(published)
    claims = joserfc.jwt.decode(token, keys, algorithms=[algorithm]).claims
    assert claims["sub"] == "1"
    assert key.jwk == jwk.public_jwk(key.jwk)
    assert KMS(moto_port).key(arn_of(key)).key_spec == SPECS[algorithm]
    *_, asked = [r.json for r in service.requests if r.headers["X-Amz-Target"].endswith(".Sign")]
    assert asked["MessageType"] == ("RAW" if algorithm == "EdDSA" else "DIGEST")
    assert asked["KeyId"] == arn_of(key)


def test_made_key_says_whose_it_is(client: Any) -> None:
    """An operator who finds it in the console sees the application and the issuer."""
    key = make_ring()
    assert key.signer is not None
    assert key.signer.backend == "aws-kms"
    assert arn_of(key).startswith(f"arn:aws:kms:{REGION}:")
    tags = client.list_resource_tags(KeyId=arn_of(key))["Tags"]
    named = {tag["TagKey"]: tag["TagValue"] for tag in tags}
    assert named["application"] == "django-jwt-sessions"
    assert "example" in named["issuer"]
    metadata = client.describe_key(KeyId=arn_of(key))["KeyMetadata"]
    assert metadata["Description"].startswith("Signs access tokens (ES256) of ")


def test_key_that_is_there_is_adopted_by_its_alias(client: Any) -> None:
    """The ring has the ARN of the key itself: an alias can be moved."""
    made = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    arn = made["KeyMetadata"]["Arn"]
    client.create_alias(AliasName="alias/tokens", TargetKeyId=arn)
    # Its thumbprint may begin with a dash, which the command doesn't take for a kid.
    call_command("import_key", "--signer-key=alias/tokens", "--kid=of-2019", verbosity=0)
    (key,) = get_key_store().load().keys
    assert (arn_of(key), key.algorithm, key.kid) == (arn, "ES256", "of-2019")
    assert verified(issue()).kid == key.kid


@pytest.mark.parametrize(
    ("made", "algorithm", "match"),
    [
        ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, None, "PS256 or RS256: say"),
        ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "ES256", "can't be for ES256"),
        ({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"}, None, "signs with none of"),
        ({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}, "RS256", "signs with none of"),
        # Two keys of one curve: what signs is said by the usage, not by the numbers.
        ({"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY"}, None, "P-256"),
    ],
)
def test_key_that_does_not_fit_is_not_adopted(
    made: dict[str, str], algorithm: str | None, match: str, client: Any
) -> None:
    """Its kind or its use is a different one."""
    key = client.create_key(**made)["KeyMetadata"]["KeyId"]
    with pytest.raises(InvalidKey, match=match):
        signer().adopt(key, algorithm=algorithm)


def test_key_that_is_not_there_can_not_be_adopted(service: Service) -> None:
    """The message has KMS's code."""
    with pytest.raises(KeySignerError, match="NotFoundException"):
        signer().adopt("1234abcd-12ab-34cd-56ef-1234567890ab", algorithm=None)


@pytest.mark.parametrize(
    ("operation", "arguments", "match"),
    [
        ("disable_key", {}, "DisabledException"),
        ("schedule_key_deletion", {"PendingWindowInDays": 7}, "KMSInvalidStateException"),
    ],
)
def test_key_in_another_state_signs_nothing_and_still_verifies(
    operation: str, arguments: dict[str, int], match: str, client: Any
) -> None:
    """Tokens that were issued stay valid: verification doesn't ask KMS."""
    key = make_ring()
    token = issue()
    getattr(client, operation)(KeyId=arn_of(key).rpartition("/")[2], **arguments)
    with pytest.raises(KeySignerError, match=match):
        issue()
    assert verified(token).kid == key.kid


@pytest.mark.parametrize("code", ["AccessDeniedException", "SomethingNewException"])
def test_refusal_is_told_by_its_code(code: str, service: Service) -> None:
    """KMS's message names accounts and roles, and goes nowhere."""
    make_ring()
    service.always = refusal(code)
    with pytest.raises(
        KeySignerError, match=rf"{code} \(Sign\)\. See .*remote-key-stores"
    ) as refused:
        issue()
    assert "hunter2" not in f"{refused.value!r}"
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInternalException"])
def test_moment_of_trouble_is_not_noticed(code: str, service: Service) -> None:
    """The client makes one more attempt."""
    make_ring()
    service.next.append(refusal(code, 500 if code.startswith("KMS") else 400))
    assert verified(issue()).subject == "1"


def test_attempts_are_counted(service: Service) -> None:
    """After two the client gets its 503."""
    make_ring()
    service.requests.clear()
    service.always = refusal("ThrottlingException")
    with pytest.raises(KeySignerError):
        issue()
    assert len(service.requests) == 2


def test_slow_kms_is_not_waited_for(
    service: Service,
    settings: Settings,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twice the time-out, with a pause of at most a second between the attempts."""
    make_ring()
    renew_signer(settings, TIMEOUT=0.1)
    monkeypatch.setattr(aws, "_SPARE", 60.0)  # the deadline is not what ends it
    with service.holding(), pytest.raises(KeySignerError, match="ReadTimeoutError"):
        issue()
    assert len(pauses) == 1
    assert pauses[0] <= 1


def test_signature_has_a_deadline(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attempts of a connection and an answer, and a second more for each."""
    make_ring()
    call, deadlines = BoundedExecutor.call, list[float]()

    def record(executor: BoundedExecutor, question: Callable[[], Any], *, seconds: float) -> Any:
        deadlines.append(seconds)
        return call(executor, question, seconds=seconds)

    monkeypatch.setattr(BoundedExecutor, "call", record)
    issue()
    assert deadlines == [2 * (1 + TIMEOUT + 1)]


def test_silent_kms_is_let_be_for_a_moment(service: Service, cool_down: Clock) -> None:
    """Otherwise every worker would soon wait for KMS, and none would be left to verify tokens."""
    make_ring()
    with service.being_away(), pytest.raises(KeySignerError, match="ConnectionClosedError"):
        issue()
    service.requests.clear()
    cool_down.time += 4.9
    with pytest.raises(KeySignerError, match="asked again after"):
        issue()
    assert service.requests == []
    cool_down.time += 0.1
    assert issue()


def test_kms_that_answers_is_asked_again(service: Service, cool_down: Clock) -> None:
    """An answer costs no worker any time, so there is no pause after it."""
    make_ring()
    service.always = refusal("ThrottlingException")
    with pytest.raises(KeySignerError, match="ThrottlingException"):
        issue()
    service.always = None
    assert issue()


#: A signature of a curve of more bits, with a number that is too long for P-256.
LONG = b64encode(bytes.fromhex("3026022101" + "00" * 32 + "020101")).decode()


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (
            Answer(body=b"<html>", headers={"Content-Type": "application/x-amz-json-1.1"}),
            "KeyError",
        ),
        (Answer.json({}), "KeyError"),
        (Answer.json({"Signature": "AAAA"}), "something else than a P-256"),
        (Answer.json({"Signature": LONG}), "something else than a P-256"),
        (Answer.json({"Signature": "MAYCAQECAQE="}), "does not verify"),
    ],
    ids=["html", "empty", "no-der", "long", "wrong"],
)
def test_torn_answer_becomes_no_token(answer: Answer, match: str, service: Service) -> None:
    """Every signature is verified before it is used."""
    make_ring()
    service.next.append(answer)
    with pytest.raises(KeySignerError, match=match):
        issue()
    assert issue()  # KMS has answered, so it is asked again


def test_token_that_is_too_long_for_ed25519_is_refused_here(service: Service) -> None:
    """KMS takes 4096 bytes. A digest has no such limit."""
    make_ring("EdDSA")
    service.requests.clear()
    with pytest.raises(KeySignerError, match="4096 bytes"):
        issue(note="x" * 3000)
    assert service.requests == []


@pytest.mark.parametrize("target", ["GetPublicKey", "Sign"])
def test_new_key_that_is_not_known_yet_is_asked_for_again(target: str, service: Service) -> None:
    """KMS is eventually consistent, for each of its operations."""
    created = service.respond
    late = iter([refusal("NotFoundException")] * 2)

    def respond(request: Any) -> Answer:
        if request.headers["X-Amz-Target"].endswith(f".{target}"):
            return next(late, None) or created(request)
        return created(request)

    service.respond = respond
    assert make_ring().signer is not None
    assert next(late, None) is None


@pytest.mark.parametrize("code", ["NotFoundException", "AccessDeniedException"])
def test_key_that_was_made_in_vain_is_named(code: str, service: Service) -> None:
    """The key is paid for, so the message says how to end it."""
    created = service.respond
    service.respond = lambda request: (
        created(request) if request.headers["X-Amz-Target"].endswith("CreateKey") else refusal(code)
    )
    with pytest.raises(KeySignerError, match=r"aws kms disable-key --key-id arn:aws:kms:"):
        signer().create("ES256")


@pytest.mark.parametrize("options", [{"TIMEOUT": 0}, {"TIMEOUT": -1.0}, {"ATTEMPTS": 0}])
def test_option_that_would_never_sign_is_refused(options: dict[str, Any]) -> None:
    """A signer with it isn't built."""
    with pytest.raises(ValueError, match="must be positive"):
        aws.AWSKMSSigner(**options)


def test_policies_of_the_documentation_suffice_and_give_no_more(
    service: Service, moto_port: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job makes keys but can't sign. The server signs but can't make keys."""
    service.respond = KMS(moto_port, judges=True)

    def become(credentials: tuple[str, str]) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials[1])
        renew_signer(settings)

    with users_with_policies_of("sign-with-kms.md", moto_port) as (server, job):
        become(job)
        key = make_ring()
        with pytest.raises(KeySignerError, match="AccessDeniedException"):
            issue()
        become(server)
        assert verified(issue()).kid == key.kid
        with pytest.raises(KeySignerError, match="AccessDeniedException"):
            signer().create("ES256")


def test_many_threads_share_the_client(service: Service) -> None:
    """No login waits for another one's signature."""
    make_ring()
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: issue(), range(24)))
    assert len({verified(token).jti for token in tokens}) == 24


def test_signatures_share_a_thread_and_a_connection(service: Service, settings: Settings) -> None:
    """None of them but the first starts a thread or makes a client."""
    make_ring()
    renew_signer(settings)
    before = threads_of(THREAD)
    service.requests.clear()
    for _ in range(10):
        issue()
    assert len(threads_of(THREAD) - before) == 1
    assert len({request.connection for request in service.requests}) == 1


# ---- The source of the credential


def credential(key_id: str, *, minutes: int) -> Answer:
    """What STS answers to a pod: a credential that expires in that time."""
    expiration = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    return Answer(
        body=(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            f"<SessionToken>hunter2</SessionToken><Expiration>{expiration}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode(),
        headers={"Content-Type": "text/xml"},
    )


@pytest.fixture
def sts(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Service]:
    """The source of the credential, as for a pod. Four calls may hang."""
    (tmp_path / "token").write_text("a.b.c")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web")
    monkeypatch.setattr(aws, "_PLACES", 4)
    renew_signer(settings, ATTEMPTS=1)
    with Service(lambda request: Answer(status=400)).running() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.port}")
        yield sts
        wait_until(lambda: "still wait" not in refuse_to_sign())


def refuse_to_sign() -> str:
    with pytest.raises(KeySignerError) as refused:
        signer().sign("a", algorithm="ES256", message=b"")
    return str(refused.value)


@contextmanager
def four_that_wait_in_vain(sts: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The errors of four requests whose deadlines pass once all have begun. Their threads hang."""
    begun = Barrier(4)

    def all_ask(seconds: float) -> bool:
        begun.wait(seconds)
        return sts.asked.wait(seconds)

    with sts.holding(), ThreadPoolExecutor(4) as pool:
        with monkeypatch.context() as patched:
            let_deadline_pass(patched, after=all_ask)
            texts = [pool.submit(refuse_to_sign) for _ in range(4)]
            told = [text.result() for text in texts]
        yield told


def test_credential_that_does_not_come_is_not_waited_for(
    sts: Service, cool_down: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 would wait for minutes. Here the requests end at the deadline, and the next at once."""
    with four_that_wait_in_vain(sts, monkeypatch) as told:
        assert all("no answer within" in text for text in told)
        hanging = threads_of(THREAD)
        assert "asked again after" in refuse_to_sign()
        assert threads_of(THREAD) <= hanging


def test_credential_that_does_not_come_costs_so_many_threads(
    sts: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all of them hang, no request waits. Once they are back, the next request asks again."""
    with four_that_wait_in_vain(sts, monkeypatch):
        hanging = threads_of(THREAD)
        assert "still wait" in refuse_to_sign()
        assert threads_of(THREAD) <= hanging
    wait_until(lambda: "still wait" not in refuse_to_sign())


def test_credential_that_comes_late_is_found(
    service: Service, settings: Settings, cool_down: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that was made without one never looks again. The signer does, after the pause."""
    make_ring()
    renew_signer(settings)
    with monkeypatch.context() as patched:
        patched.delenv("AWS_ACCESS_KEY_ID")
        patched.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(KeySignerError, match="NoCredentialsError"):
            issue()
        with pytest.raises(KeySignerError, match="asked again after"):
            issue()
    cool_down.time += 5
    assert issue()


def signed_with(service: Service) -> str:
    """The access key id with which KMS was asked for the last signature."""
    return str(service.requests[-1].headers["Authorization"]).split("Credential=")[1].split("/")[0]


def test_credential_is_refreshed_in_the_background(
    service: Service, cool_down: Clock, sts: Service
) -> None:
    """Once it is about to expire. A login doesn't wait for STS, which may hang."""
    sts.always = credential("AKIAFIRST", minutes=5)
    make_ring()
    sts.always = credential("AKIASECOND", minutes=60)
    with sts.holding():
        sts.asked.clear()
        cool_down.time += 60
        assert issue()
        assert sts.asked.wait(60)
        assert issue()
        assert signed_with(service) == "AKIAFIRST"

    def uses_the_second() -> bool:
        issue()
        return signed_with(service) == "AKIASECOND"

    wait_until(uses_the_second)


def test_client_is_kept_while_its_credential_is() -> None:
    """A new client costs a tenth of a second and a new connection."""
    config = aws_clients.make_config(connect_timeout=1, read_timeout=1, attempts=1)
    session = aws_clients.open_aws_session(config, region_name=REGION)
    client = aws_clients.RenewableClient(session=session, service="kms", endpoint_url=None)
    renewed = client.renewed()
    assert renewed.renewed() is renewed


def test_credential_that_expired_in_an_idle_process_is_renewed(
    service: Service, sts: Service
) -> None:
    """Nothing has looked at it for hours. The login that meets its end still succeeds."""
    sts.always = credential("AKIAFIRST", minutes=60)
    make_ring()
    sts.always = credential("AKIASECOND", minutes=60)
    service.next.append(refusal("ExpiredTokenException"))
    assert issue()
    assert signed_with(service) == "AKIASECOND"


def all_of(log: pytest.LogCaptureFixture) -> str:
    return "".join(f"{record.getMessage()}{record.__dict__!r}" for record in log.records)


def test_debug_log_has_no_token(
    service: Service, client: Any, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """With Ed25519 KMS gets the whole token and answers its signature: together they log in.

    The DEBUG records of other clients in the process stay.
    """
    make_ring("EdDSA")
    renew_signer(settings)
    caplog.set_level(logging.DEBUG)
    client.list_keys()
    signed, _, signature = issue().rpartition(".")
    answer = service.requests[-1].json["Message"]
    assert answer == b64encode(signed.encode()).decode()  # that is what would be there
    said = all_of(caplog)
    assert "ListKeys" in said
    for text in (signed, answer, signature, signature.replace("-", "+").replace("_", "/")):
        assert text not in said


def test_debug_log_has_no_credential(sts: Service, caplog: pytest.LogCaptureFixture) -> None:
    """STS answers with it before the process has made its first client."""
    sts.always = credential("AKIAFIRST", minutes=60)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).removeFilter(aws_clients._is_loud)
    caplog.set_level(logging.DEBUG)
    make_ring()
    said = all_of(caplog)
    for text in (SECRET, "hunter2", "a.b.c"):
        assert text not in said


def test_debug_log_has_nothing_from_a_logger_that_came_with_a_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """boto3 may import a part of itself for one service only."""
    session: Any = SimpleNamespace(
        client=lambda service, **options: logging.getLogger(f"botocore.{uuid4()}")
    )
    logger = aws_clients.make_client(session, "kms")
    caplog.set_level(logging.DEBUG)
    logger.debug("of another call")
    BoundedExecutor(1, name=THREAD).call(lambda: logger.debug("hunter2"), seconds=TIMEOUT)
    assert caplog.messages == ["of another call"]
