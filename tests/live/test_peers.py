"""Other people's libraries verify our tokens with the live JWK Set, and with nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt
import pytest
import requests

from tests.live.site import Site, copy_keys
from tests.live.test_transcript import log_in, refresh
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

ISSUER, AUDIENCE = "https://auth.example.test", "example-api"

#: HS256 has no public key to publish.
ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256")


@dataclass(frozen=True, kw_only=True)
class Published:
    """What another service has of a site: tokens that came with requests, and the JWK Set."""

    tokens: Mapping[str, str]
    jwks: dict[str, Any]


@pytest.fixture(scope="module")
def published(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A token of every algorithm, each from a key of one ring, and that ring's JWK Set."""
    mixed = copy_keys(replace(site, workers=1), tmp_path_factory.mktemp("peers") / "keys")
    tokens = {}
    with mixed.serve() as server, server.session() as client:
        for algorithm in ALGORITHMS:
            mixed.manage("rotate_keys", "--now", "--algorithm", algorithm)
            log_in(client)
            tokens[algorithm] = refresh_until_signed_by(client, algorithm)
        jwks = client.get("/.well-known/jwks.json").json()
    return Published(tokens=tokens, jwks=jwks)


def refresh_until_signed_by(client: requests.Session, algorithm: str) -> str:
    """Give a token of the new key, which a worker takes up within the reload interval."""
    tokens = [refresh(client)]

    def is_taken_up() -> bool:
        tokens.append(refresh(client))
        return bool(jwt.get_unverified_header(tokens[-1])["alg"] == algorithm)

    wait_until(is_taken_up, f"a worker signs with the key for {algorithm}")
    return tokens[-1]


def run(command: list[str], folder: Path, stdin: str = "") -> str:
    """Run a program in the folder; give what it writes."""
    done = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# RFC 9864 calls the name EdDSA deprecated; a token of ours carries the configured one.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_joserfc_verifies_our_token(published: Published, algorithm: str) -> None:
    """Joserfc takes the JWK Set and finds the key by the token's kid."""
    keys = joserfc.jwk.KeySet.import_key_set(cast(Any, published.jwks))
    token = joserfc.jwt.decode(published.tokens[algorithm], keys, algorithms=[algorithm])
    assert token.header["alg"] == algorithm
    assert (token.claims["iss"], token.claims["aud"]) == (ISSUER, AUDIENCE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_jwcrypto_verifies_our_token(published: Published, algorithm: str) -> None:
    """Jwcrypto takes the JWK Set and finds the key by the token's kid."""
    keys = jwcrypto.jwk.JWKSet.from_json(json.dumps(published.jwks))
    token = jwcrypto.jwt.JWT(jwt=published.tokens[algorithm], key=keys, algs=[algorithm])
    assert json.loads(token.header)["alg"] == algorithm
    assert json.loads(token.claims)["iss"] == ISSUER


def test_jose_verifies_our_tokens(published: Published, node_folder: Path) -> None:
    """jose, in Node, takes the JWK Set and every token, and holds issuer, audience and type."""
    question = {
        "jwks": published.jwks,
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "tokens": list(published.tokens.values()),
    }
    subjects = json.loads(run(["node", "verify.js"], node_folder, json.dumps(question)))
    assert subjects == [subject_of(token) for token in published.tokens.values()]


def test_token_with_another_subject_is_refused_by_jose(
    published: Published, node_folder: Path
) -> None:
    """The check above can fail: jose refuses a token whose claims were changed."""
    header, claims, signature = published.tokens["ES256"].split(".")
    forged = f"{header}.{claims[:-4]}AAAA.{signature}"
    question = {"jwks": published.jwks, "issuer": ISSUER, "audience": AUDIENCE, "tokens": [forged]}
    with pytest.raises(AssertionError, match="JWSSignatureVerificationFailed"):
        run(["node", "verify.js"], node_folder, json.dumps(question))


def test_jwk_set_publishes_every_key_and_nothing_private(published: Published) -> None:
    """Each token's key stands in the set, without its private members."""
    kids = {jwt.get_unverified_header(token)["kid"] for token in published.tokens.values()}
    assert kids <= {key["kid"] for key in published.jwks["keys"]}
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert all(private.isdisjoint(key) for key in published.jwks["keys"])


def subject_of(token: str) -> str:
    """Read the subject without a key."""
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])
