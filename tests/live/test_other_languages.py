"""The services of docs/how-to/verify, as processes that verify what a real issuer has signed."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import joserfc.jwk
import jwcrypto.jwk
import jwcrypto.jwt
import pytest
import requests
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator

from tests.live import services
from tests.live.forgeries import HEADERS, TOKENS, Forger
from tests.live.services import SERVICES, Service
from tests.live.site import ROOT, Server, Site, copy_keys
from tests.live.test_peers import ALGORITHMS, AUDIENCE, ISSUER, refresh_until_signed_by
from tests.live.test_transcript import COOKIE, log_in
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

_JWKS = "/.well-known/jwks.json"

#: Tokens with unknown kids, within a fraction of the cool-down of 30 seconds.
STORM = 50

#: Authlib's text, the same for each token.
_DESCRIPTION = (
    ', error_description="The access token provided is expired, revoked, malformed, or invalid for'
    ' other reasons."'
)


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """A site that has rotated its keys through every algorithm, and what it has signed."""

    jwks: dict[str, Any]
    tokens: Mapping[str, str]
    forger: Forger


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages' files, built where they have to be."""
    folder = tmp_path_factory.mktemp("services")
    modules = None
    if services.is_available("jose"):
        modules = request.getfixturevalue("node_folder") / "node_modules"
    services.build(folder, modules)
    return folder


@pytest.fixture(scope="module")
def issuing_site(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of one worker, with a key folder of its own."""
    return copy_keys(replace(site, workers=1), tmp_path_factory.mktemp("issuer") / "keys")


@pytest.fixture(scope="module")
def issuer_server(issuing_site: Site) -> Iterator[Server]:
    """Its server."""
    with issuing_site.serve() as server:
        yield server


@pytest.fixture(scope="module")
def trust(issuer_server: Server, folder: Path) -> dict[str, str]:
    """How each language is told to trust the issuer's certificate."""
    certificate = str(issuer_server.certificate)
    settings = {
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), certificate)
    }
    if services.is_available("jose4j"):
        store, password = folder / "trust.p12", "changeit"
        subprocess.run(
            [
                *("keytool", "-importcert", "-noprompt", "-file", certificate),
                *("-keystore", store, "-storepass", password),
            ],
            capture_output=True,
            check=True,
        )
        prefix = "-Djavax.net.ssl.trustStore"
        settings["JAVA_TOOL_OPTIONS"] = f"{prefix}={store} {prefix}Password={password}"
    return settings


@pytest.fixture(scope="module")
def running(
    issuer_server: Server, folder: Path, trust: dict[str, str]
) -> Iterator[dict[str, Service]]:
    """The services, each of which has fetched the key set before the issuer's keys change."""
    settings = {
        "ISSUER": ISSUER,
        "AUDIENCE": AUDIENCE,
        "JWKS_URL": f"{issuer_server.address}{_JWKS}",
        **trust,
    }
    with (
        services.serve(folder, "good", settings) as running,
        issuer_server.session() as client,
    ):
        token = log_in(client)
        for name, service in running.items():
            answer = service.ask(f"Bearer {token}")
            assert answer.status_code == 200, (name, answer.text, service.log.read_text())
        yield running


@pytest.fixture(scope="module")
def issuer(issuing_site: Site, issuer_server: Server, running: dict[str, Service]) -> Issuer:
    """The issuer, after a rotation to each algorithm that the running services have followed."""
    tokens = {}
    with issuer_server.session() as client:
        log_in(client)
        for algorithm in ALGORITHMS:
            issuing_site.manage("rotate_keys", "--now", "--algorithm", algorithm)
            tokens[algorithm] = refresh_until_signed_by(client, algorithm)
        jwks = client.get(_JWKS).json()
        refresh_token = client.cookies[COOKIE]
    store = json.loads(issuing_site.settings["JWT_AUTH_KEY_STORE"])
    ring = json.loads((Path(store["OPTIONS"]["PATH"]) / "ring.json").read_text())
    keys = {key["jwk"]["kid"]: key["jwk"] for key in ring["keys"]}
    forger = Forger(token=tokens["ES256"], keys=keys, refresh_token=refresh_token)
    return Issuer(jwks=jwks, tokens=tokens, forger=forger)


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    """Each service, if its toolchain is there."""
    services.need_toolchain(request.param)
    return str(request.param)


@pytest.fixture
def service(name: str, running: dict[str, Service]) -> Service:
    """A running service."""
    return running[name]


def follow(service: Service, token: str) -> requests.Response:
    """Ask until the service has fetched the token's key, after the cool-down of 30 seconds."""
    answers = [service.ask(f"Bearer {token}")]

    def is_accepted() -> bool:
        answers.append(service.ask(f"Bearer {token}"))
        return answers[-1].status_code == 200

    wait_until(is_accepted, "a service accepts the token of a new key")
    return answers[-1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token_of_a_key_made_since_the_start_is_accepted(
    algorithm: str, service: Service, issuer: Issuer
) -> None:
    """Each service fetches the key set for an unknown kid, and knows all four algorithms."""
    answer = follow(service, issuer.tokens[algorithm])
    assert answer.json() == {"user": issuer.forger.claims["sub"], "roles": []}


def test_forger_can_make_a_good_token(service: Service, issuer: Issuer) -> None:
    """What the forger signs without a change is accepted, so only the change is refused below."""
    assert follow(service, issuer.forger.sign()).status_code == 200


@pytest.mark.parametrize("forgery", TOKENS)
def test_bad_token_is_refused(forgery: str, service: Service, issuer: Issuer) -> None:
    """401, so that a client refreshes; and nothing of the token or of the reason is told."""
    follow(service, issuer.forger.token)
    answer = service.ask(f"Bearer {TOKENS[forgery](issuer.forger)}")
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"].removesuffix(_DESCRIPTION)
    assert challenge == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("forgery", HEADERS)
def test_header_without_one_token_is_refused(
    forgery: str, service: Service, issuer: Issuer
) -> None:
    """Nor is a header accepted that is not the scheme and one token of at most 8 KiB."""
    follow(service, issuer.forger.token)
    assert service.ask(HEADERS[forgery](issuer.forger)).status_code in {400, 401, 431}


def test_two_headers_are_refused(service: Service, issuer: Issuer) -> None:
    """A proxy in front may have judged the other one."""
    follow(service, issuer.forger.token)
    connection = http.client.HTTPConnection(service.address.removeprefix("http://"), timeout=60)
    connection.putrequest("GET", "/")
    for _ in range(2):
        connection.putheader("Authorization", f"Bearer {issuer.forger.token}")
    connection.endheaders()
    assert connection.getresponse().status in {400, 401}
    connection.close()


def test_request_without_a_token_is_challenged(service: Service) -> None:
    """401 with the bearer scheme, and no `invalid_token`: there was none."""
    answer = service.ask(None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert "invalid_token" not in answer.headers["WWW-Authenticate"]


def test_token_in_the_query_or_a_form_is_refused(service: Service, issuer: Issuer) -> None:
    """It would stand in logs, and another site's form could send it."""
    follow(service, issuer.forger.token)
    token = {"access_token": issuer.forger.token}
    session = requests.Session()
    session.trust_env = False
    with session:
        assert session.get(service.address, params=token, timeout=60).status_code == 401
        assert session.post(service.address, data=token, timeout=60).status_code in {401, 405}


class Proxy(ThreadingHTTPServer):
    """Answers with a page of its own, until it has a key set to hand on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()


class _Answer(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.requests[self.path] += 1
        key_set = self.server.answers.get(self.path)
        body = b"<html>" if key_set is None else json.dumps(key_set).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if key_set is None else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """A proxy, between the services and the issuer."""
    with Proxy() as proxy:
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def behind_proxy(folder: Path, proxy: Proxy) -> Iterator[dict[str, Service]]:
    """The services, each with an address of the proxy for its key set."""
    url = f"http://127.0.0.1:{proxy.server_port}/{{name}}"
    settings = {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "JWKS_URL": url}
    with services.serve(folder, "behind-proxy", settings) as running:
        yield running


def test_service_waits_for_a_key_set_and_then_fetches_it_rarely(
    name: str, behind_proxy: dict[str, Service], proxy: Proxy, issuer: Issuer
) -> None:
    """503 without one, as the token may be good; a storm of unknown kids fetches it a few times.

    The middleware of Express answers 401 instead of 503, as its page says.
    """
    service = behind_proxy[name]
    good = f"Bearer {issuer.forger.token}"
    assert service.ask(good).status_code == (401 if name == "express" else 503)
    proxy.answers[f"/{name}"] = issuer.jwks
    follow(service, issuer.forger.token)
    before = proxy.requests[f"/{name}"]
    for number in range(STORM):
        kid = {"kid": f"unknown-{number}"}
        token = issuer.forger.sign(header=kid, key=issuer.forger.header["kid"])
        assert service.ask(f"Bearer {token}").status_code == 401
    assert proxy.requests[f"/{name}"] - before < STORM / 5
    assert service.ask(good).status_code == 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """A verifier that the page says it has run."""

    version: str
    algorithms: list[str]


def read_table() -> dict[str, Row]:
    """Read the page's rows that are marked as run."""
    page = (ROOT / "docs" / "how-to" / "verify-elsewhere.md").read_text()
    rows = {}
    for line in page.splitlines():
        if line.startswith("| ") and line.endswith("| run |"):
            name, version, *cells, _ = (cell.strip() for cell in line.strip("|").split("|"))
            accepted = [each for each, cell in zip(ALGORITHMS, cells, strict=True) if cell == "yes"]
            link = re.match(r"\[([\w-]+)\]", name)
            rows[link[1] if link else name] = Row(version=version, algorithms=accepted)
    return rows


def accepts_by_jwcrypto(jwks: dict[str, Any], token: str) -> bool:
    """Have jwcrypto verify the token."""
    keys = jwcrypto.jwk.JWKSet.from_json(json.dumps(jwks))
    claims = jwcrypto.jwt.JWT(jwt=token, key=keys, algs=list(ALGORITHMS)).claims
    return bool(json.loads(claims)["iss"] == ISSUER)


#: Verifiers of the table that are not among the services.
LIBRARIES = {"jwcrypto": accepts_by_jwcrypto}


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_accepts_what_the_table_says(library: str, issuer: Issuer) -> None:
    """Neither more algorithms nor fewer."""
    accepts = LIBRARIES[library]
    accepted = [each for each in ALGORITHMS if accepts(issuer.jwks, issuer.tokens[each])]
    assert accepted == read_table()[library].algorithms


def test_table_calls_run_what_is_run() -> None:
    """All services, each of which a test above sends all algorithms, and these libraries."""
    table = read_table()
    assert table.keys() == {service.library for service in SERVICES.values()} | LIBRARIES.keys()
    for service in SERVICES.values():
        assert table[service.library].algorithms == list(ALGORITHMS)


def test_table_names_the_versions_that_are_pinned() -> None:
    """The packages of npm and the JAR; Python's are the newest at the time of the run."""
    pinned = json.loads(Path(__file__).with_name("package.json").read_text())["dependencies"]
    table = read_table()
    for library in ("jose", "express-oauth2-jwt-bearer"):
        assert table[library].version == pinned[library]
    assert table["jose4j"].version in services.JARS[0].name


class _AuthlibValidator(JWTBearerTokenValidator):  # type: ignore[misc]
    """Authlib's own validator, with the key set at hand."""

    def __init__(self, jwks: Any) -> None:
        super().__init__(issuer=ISSUER, resource_server=AUDIENCE)
        self._keys = joserfc.jwk.KeySet.import_key_set(jwks)

    def get_jwks(self) -> joserfc.jwk.KeySet:
        """Give the key set."""
        return self._keys

    def accepts(self, token: str) -> bool:
        """Tell whether a request with the token would get in."""
        try:
            self.validate_token(self.authenticate_token(token), None, None)
        except InvalidTokenError:
            return False
        return True


def test_authlibs_own_validator_does_what_its_page_says(issuer: Issuer) -> None:
    """It refuses users without roles, and two algorithms, and accepts a token without a type."""
    validator = _AuthlibValidator(issuer.jwks)
    with_roles = {"roles": ["editor"]}
    kids = {jwk["alg"]: kid for kid, jwk in issuer.forger.keys.items()}
    accepted = [
        algorithm
        for algorithm in ALGORITHMS
        if validator.accepts(
            issuer.forger.sign(with_roles, header={"alg": algorithm, "kid": kids[algorithm]})
        )
    ]
    assert accepted == ["ES256", "RS256"]
    assert validator.accepts(issuer.forger.sign(with_roles, header={"typ": None}))
    assert not validator.accepts(issuer.forger.sign({"roles": []}))
