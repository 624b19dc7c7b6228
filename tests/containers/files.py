"""The container files of the documentation, as Docker and Kubernetes read them."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.jobs import ROOT
from tests.programs import need

FOLDER = ROOT / "docs" / "how-to" / "containers"
PAGE = FOLDER.with_suffix(".md")
MANIFESTS = tuple(sorted(path.name for path in FOLDER.glob("*.yaml")))


class Instruction(NamedTuple):
    """A line of a Dockerfile."""

    name: str
    text: str


def read_dockerfile() -> list[Instruction]:
    """Read the Dockerfile's instructions, without its comments."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


def read_manifests(name: str) -> list[dict[str, Any]]:
    """Read the resources of a file of Kubernetes."""
    return list(optional("yaml").safe_load_all((FOLDER / name).read_text()))


def pod_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Give the pod's specification in a Deployment, a Job or a CronJob."""
    spec: dict[str, Any] = resource["spec"]
    template = spec.get("jobTemplate", {}).get("spec", spec)["template"]
    pod: dict[str, Any] = template["spec"]
    return pod


def secret_names() -> list[str]:
    """List the variables that the page's command puts into the Secret."""
    return re.findall(r"--from-literal=(\w+)=", PAGE.read_text())


def optional(module: str) -> Any:
    """Import a module of the dependency group `containers`, or skip the test.

    With REQUIRE_ALL=1, as in continuous integration, a missing one is a failure.
    """
    try:
        return import_module(module)
    except ImportError:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"{module} is not installed: pip install --group containers")


def program(name: str) -> str:
    """Find a program that is installed beside this interpreter."""
    return need(str(Path(sys.executable).with_name(name)))
