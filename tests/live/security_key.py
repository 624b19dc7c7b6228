"""A security key in software (WebAuthn), for forms that a browser would fill in with one."""

from __future__ import annotations

import json
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.live.certificate import HOST
from tests.neighbours.packages import optional

webauthn, cose = optional("fido2.webauthn"), optional("fido2.cose")

_PRESENT = webauthn.AuthenticatorData.FLAG.UP


class SecurityKey:
    """It has one credential, for the site at ``HOST``, and is touched whenever it is asked."""

    def __init__(self) -> None:
        self._private_key = ec.generate_private_key(ec.SECP256R1())
        self._id = b"the only credential"

    def registration(self) -> str:
        """What a site keeps of the credential, in JSON (WebAuthn, section 5.2.1)."""
        public_key = cose.ES256.from_cryptography_key(self._private_key.public_key())
        credential = webauthn.AttestedCredentialData.create(bytes(16), self._id, public_key)
        flags = _PRESENT | webauthn.AuthenticatorData.FLAG.AT
        data = webauthn.AuthenticatorData.create(_site(), flags, 0, credential)
        response = webauthn.AuthenticatorAttestationResponse(
            client_data=webauthn.CollectedClientData.create("webauthn.create", b"any", _origin("")),
            attestation_object=webauthn.AttestationObject.create("none", data, {}),
        )
        answer = webauthn.RegistrationResponse(raw_id=self._id, response=response)
        return json.dumps(dict(answer))

    def sign(self, challenge: str, *, address: str) -> str:
        """Answer the challenge of a site's page, in JSON (section 5.2.2)."""
        client = webauthn.CollectedClientData.create("webauthn.get", challenge, _origin(address))
        data = webauthn.AuthenticatorData.create(_site(), _PRESENT, 1)
        signature = self._private_key.sign(data + client.hash, ec.ECDSA(SHA256()))
        response = webauthn.AuthenticatorAssertionResponse(
            client_data=client, authenticator_data=data, signature=signature
        )
        return json.dumps(dict(webauthn.AuthenticationResponse(raw_id=self._id, response=response)))


def _site() -> bytes:
    return sha256(HOST.encode()).digest()


def _origin(address: str) -> str:
    return address or f"https://{HOST}"
