"""The container files: valid, and as strict as the page says."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from jwt_auth.keys.stores.private_files import WAY_OUT
from tests.containers.files import (
    FOLDER,
    MANIFESTS,
    optional,
    pod_of,
    program,
    read_dockerfile,
    read_manifests,
)
from tests.containers.sandbox import UID
from tests.jobs import ROOT

CONFINED = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
UNPRIVILEGED = {
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def workloads() -> list[dict[str, Any]]:
    resources = [resource for name in MANIFESTS for resource in read_manifests(name)]
    return [resource for resource in resources if resource["kind"] != "Service"]


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_valid_for_kubernetes(name: str, version: str) -> None:
    """By the schemas of the API, without a field that they don't know."""
    validator = optional("kubernetes_validate")
    resources = read_manifests(name)
    assert resources
    for resource in resources:
        validator.validate(resource, version, strict=True)


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    """The "restricted" level of Kubernetes' Pod Security Standards, and a read-only root."""
    assert {workload["kind"] for workload in workloads()} == {"CronJob", "Deployment", "Job"}
    for pod in map(pod_of, workloads()):
        assert pod["securityContext"] == UNPRIVILEGED
        assert [each["securityContext"] for each in pod["containers"]] == (
            [CONFINED] * len(pod["containers"])
        )
        assert "volumes" not in pod


def test_outage_of_the_database_restarts_no_pod() -> None:
    """Workers that wait for it answer no request, but gunicorn's socket accepts connections."""
    (web,) = pod_of(read_manifests("deployment.yaml")[0])["containers"]
    assert web["livenessProbe"]["tcpSocket"] == {"port": web["ports"][0]["containerPort"]}
    assert "startupProbe" not in web


def test_dockerfile_has_nothing_to_complain_of() -> None:
    """By hadolint, which also reads the shell commands."""
    done = subprocess.run(
        [program("hadolint"), FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_as_the_user_of_the_pods() -> None:
    """A number, or Kubernetes could not tell that it is not root."""
    assert ("USER", f"{UID}:{UID}") in read_dockerfile()


def test_refusal_of_the_file_store_leads_to_the_table_of_stores() -> None:
    """Its address is that of a heading on the page."""
    page, anchor = re.findall(r"/stable/(\S+)\.html#(\S+)$", WAY_OUT)[0]
    text = (ROOT / "docs" / f"{page}.md").read_text()
    headings = re.findall(r"^## (.+)", text, re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
