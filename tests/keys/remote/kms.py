"""AWS KMS: moto's server, and in front of it what the documentation says and moto does not do.

moto (5.2) hashes a message whatever ``MessageType`` says, salts RSA-PSS to the full, lets a
disabled key sign, answers an id where KMS answers an ARN, and has no Ed25519. The keys, their
states, tags and identities are moto's. https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.keys.remote.libraries import require
from tests.keys.remote.moto_proxy import REGION, forward_to, refusal
from tests.keys.remote.service import Answer, Request

require("moto.server", "moto[server]")

from moto.backends import get_backend  # noqa: E402

ACCOUNT = "123456789012"
ED25519 = "ECC_NIST_EDWARDS25519"


class Ed25519Key:
    """A key as moto keeps them, of the kind that it does not have."""

    def __init__(self) -> None:
        self.private_key = Ed25519PrivateKey.generate()

    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )


class KMS:
    """Answers requests as KMS would."""

    def __init__(self, moto_port: int, *, judges: bool = False) -> None:
        self._forward = forward_to(moto_port)
        #: Whether moto is to judge who may sign; it knows actions, and no conditions.
        self._judges = judges

    def __call__(self, request: Request) -> Answer:
        answer = self._answer(request)
        # moto calls it AccessDenied, as S3 does.
        return refusal("AccessDeniedException") if answer.status == 403 else answer

    def _answer(self, request: Request) -> Answer:
        match request.headers.get("X-Amz-Target"):
            case "TrentService.Sign":
                judgement = self._forward(request) if self._judges else Answer()
                return self._sign(request.json) if judgement.status == 200 else judgement
            case "TrentService.CreateKey" if request.json.get("KeySpec") == ED25519:
                return self._create_ed25519(request)
            case "TrentService.GetPublicKey":
                return self._get_public_key(request)
            case _:
                return self._forward(request)

    def key(self, name: str) -> Any:
        """Moto's own key of an id, an ARN or an alias."""
        backend = get_backend("kms")[ACCOUNT][REGION]
        found = backend.get_key_id_from_alias(name) if "alias/" in name else name
        return backend.keys.get(str(found).rpartition("/")[2])

    def _sign(self, asked: dict[str, Any]) -> Answer:
        key = self.key(asked["KeyId"])
        if refused := _refuse(key, asked):
            return refused
        message = b64decode(asked["Message"])
        method, kind = asked["SigningAlgorithm"], asked.get("MessageType", "RAW")
        signature = _signature(key.private_key.private_key, method, kind, message)
        if signature is None:
            return refusal("ValidationException")
        text = b64encode(signature).decode()
        return Answer.json({"KeyId": key.arn, "Signature": text, "SigningAlgorithm": method})

    def _create_ed25519(self, request: Request) -> Answer:
        body = json.dumps(request.json | {"KeySpec": "ECC_NIST_P256"}).encode()
        answer = self._forward(
            Request(
                method=request.method,
                path=request.path,
                headers=_without_length(request),
                body=body,
            )
        )
        key = self.key(json.loads(answer.body)["KeyMetadata"]["KeyId"])
        key.private_key, key.key_spec = Ed25519Key(), ED25519
        return answer

    def _get_public_key(self, request: Request) -> Answer:
        answer = self._forward(request)
        if answer.status != 200:
            return answer
        key = self.key(request.json["KeyId"])
        content = json.loads(answer.body) | {"KeyId": key.arn}
        if key.key_spec == ED25519:
            content["SigningAlgorithms"] = ["ED25519_SHA_512", "ED25519_PH_SHA_512"]
        return Answer.json(content)


def _without_length(request: Request) -> Any:
    headers = request.headers
    del headers["Content-Length"]
    return headers


def _refuse(key: Any, asked: dict[str, Any]) -> Answer | None:
    if key is None:
        return refusal("NotFoundException")
    if key.key_state == "Disabled":
        return refusal("DisabledException")
    if key.key_state != "Enabled":
        return refusal("KMSInvalidStateException")
    offered = key.signing_algorithms or []
    if key.key_spec == ED25519:
        offered = ["ED25519_SHA_512", "ED25519_PH_SHA_512"]
    if key.key_usage != "SIGN_VERIFY" or asked["SigningAlgorithm"] not in offered:
        return refusal("InvalidKeyUsageException")
    if len(b64decode(asked["Message"])) > 4096:
        return refusal("ValidationException")
    return None


def _signature(key: Any, method: str, kind: str, message: bytes) -> bytes | None:
    """Give the signature, or nothing where message type and method do not go together."""
    if method == "ED25519_SHA_512":
        return key.sign(message) if kind == "RAW" else None
    if kind == "DIGEST" and len(message) != SHA256.digest_size:
        return None
    digest: HashAlgorithm | Prehashed = Prehashed(SHA256()) if kind == "DIGEST" else SHA256()
    match method:
        case "ECDSA_SHA_256":
            return bytes(key.sign(message, ec.ECDSA(digest)))
        case "RSASSA_PSS_SHA_256":
            pss = padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size)
            return bytes(key.sign(message, pss, digest))
        case "RSASSA_PKCS1_V1_5_SHA_256":
            assert isinstance(key, rsa.RSAPrivateKey)
            return bytes(key.sign(message, padding.PKCS1v15(), digest))
        case _:
            return None
