"""Build the documented image and run its containers, as far as that works without Docker.

The steps of the Dockerfile run in mount namespaces: /opt and /srv are the image's own, /usr/local
has this Python as in the image `python`, and the rest is this machine's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.containers.files import FOLDER, program, read_dockerfile
from tests.containers.sandbox import READ_ONLY, as_user, sandboxed

_PATH = "/usr/local/bin:/usr/bin:/bin"

#: This Python may look for its library at the path that it was built for, which is not the image's.
_ENVIRONMENT = {"PATH": _PATH, "LD_LIBRARY_PATH": "/usr/local/lib"}

#: The folders of an image that its steps may change.
_OWN = ("/opt", "/srv")

_WRITABLE = """
mount --bind '{}' /mnt
mount -o remount,bind,rw /mnt
"""

#: uv does what these do in a twentieth of their time.
_PIP, _VENV = "venv/bin/pip install --no-cache-dir", "python3 -m venv venv"


@dataclass
class Image:
    """A stage of the build, and in the end the image."""

    folder: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=_ENVIRONMENT.copy)
    command: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in _OWN:
            self.inside(path).mkdir(parents=True)

    def inside(self, path: str) -> Path:
        """Say where a path of the image is on this machine."""
        absolute = Path(self.workdir, path)
        assert str(absolute).startswith(_OWN), f"{absolute} can't be tried here"
        return self.folder / absolute.relative_to("/")

    def run(self, *command: str, **environment: str) -> None:
        """Run a step of the build, as root."""
        command_line = sandboxed(self._mounts(), command, self.environment | environment)
        done = subprocess.run(command_line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(
        self,
        container: Mapping[str, Any],
        *,
        uid: int,
        secrets: Mapping[str, str],
        data: Path,
        log: Path,
    ) -> subprocess.Popen[bytes]:
        """Start a container of a pod on a read-only root, with no right to anything else.

        `data` is a folder that it can write to at /mnt, if its database is a file.
        """
        own = {each["name"]: each["value"] for each in container.get("env", ())}
        command = [*container.get("command", self.command), *container.get("args", ())]
        mounts = self._mounts() + READ_ONLY + _WRITABLE.format(data) + f"cd '{self.workdir}'"
        environment = self.environment | dict(secrets) | own
        # Any free port: other tests run beside this one.
        command = [part.replace("0.0.0.0:8000", "127.0.0.1:0") for part in command]
        with log.open("wb") as output:
            return subprocess.Popen(
                sandboxed(mounts, [*as_user(uid), *command], environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def _mounts(self) -> str:
        binds = {path: self.folder / path[1:] for path in _OWN}
        binds["/usr/local"] = Path(sys.base_prefix)
        lines = [f"mount --bind '{source}' {path}\n" for path, source in binds.items()]
        return "".join((*lines, f"cd '{self.workdir}'\n"))


def build(context: Path, folder: Path, wheels: Path) -> Image:
    """Follow the Dockerfile in a project's folder."""
    stages: dict[str, Image] = {}
    image = Image(folder / "none")
    for name, text in read_dockerfile():
        match name:
            case "FROM":
                stage = text.partition(" AS ")[2]
                image = stages[stage] = Image(folder / (stage or "image"))
            case "WORKDIR":
                image.workdir = text
                image.inside(text).mkdir(exist_ok=True)
            case "ENV":
                for key, value in re.findall(r"(\w+)=(\S+)", text):
                    image.environment[key] = value.replace("$PATH", _PATH)
            case "COPY":
                _copy(text, context, image, stages)
            case "RUN":
                image.run("sh", "-ec", _with_uv(text, wheels), **_cache())
            case "CMD":
                image.command = json.loads(text)
            case _:
                assert name in {"USER", "EXPOSE"}
    return image


def _copy(text: str, context: Path, image: Image, stages: Mapping[str, Image]) -> None:
    (stage, source, target), *_ = re.findall(r"^(?:--from=(\w+) )?(\S+) (\S+)$", text)
    to = image.inside(target)
    if stage:
        shutil.copytree(stages[stage].inside(source), to, symlinks=True, copy_function=os.link)
        return
    files: Iterable[Path] = context.rglob("*") if source == "." else [context / source]
    for path in files:
        relative = path.relative_to(context)
        if path.is_file() and not _is_ignored(relative):
            (to / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to / relative)


def _is_ignored(path: Path) -> bool:
    """Tell what .dockerignore says of a file: its last line that fits counts."""
    ignored = False
    for line in (FOLDER / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/").rstrip("/")
        names = path.parts if "**/" in line else path.parts[:1]
        if line[:1] not in {"", "#"} and any(fnmatch(name, pattern) for name in names):
            ignored = not line.startswith("!")
    return ignored


def _with_uv(text: str, wheels: Path) -> str:
    uv = program("uv")
    python = "--python /usr/local/bin/python3"
    return text.replace(_VENV, f"{uv} venv --quiet {python} venv").replace(
        _PIP, f"{uv} pip install --quiet --compile-bytecode --python venv --find-links '{wheels}'"
    )


def _cache() -> dict[str, str]:
    names = [name for name in os.environ if name.startswith(("UV_", "SSL_")) or name == "HOME"]
    return {name: os.environ[name] for name in names} | {"UV_LINK_MODE": "copy"}
