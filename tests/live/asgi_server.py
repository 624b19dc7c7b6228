"""Run the ASGI project under uvicorn, with its event loop in debug mode."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.certificate import HOST
from tests.live.site import ROOT, Server, Site, stop

_BACKLOG = 200

#: What the log of a faultless server doesn't hold. In debug mode, the loop also names slow
#: callbacks, which a busy machine has.
_SIGNS = ("Traceback", "BlockingError", "never awaited", "never retrieved")


@contextmanager
def serve_asgi(site: Site, folder: Path) -> Iterator[Server]:
    """Start it with the site's database and keys. Whatever it is asked, its log shows no error."""
    site = site.using(
        DJANGO_SETTINGS_MODULE="tests.live.asgi_settings",
        CONN_MAX_AGE="0",
        PYTHONASYNCIODEBUG="1",
    )
    log = folder / "log"
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind((HOST, 0))
        listener.listen(_BACKLOG)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "tests.live.asgi_app:application"),
                *("--fd", str(listener.fileno()), "--loop", "asyncio", "--no-access-log"),
            ],
            cwd=ROOT,
            env=site.environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        address = f"http://{HOST}:{listener.getsockname()[1]}"
    server = Server(process=process, address=address, certificate=Path(), log=log, workers=1)
    try:
        server.wait_until_up()
        yield server
    finally:
        stop(process)
    text = server.read_log()
    for sign in _SIGNS:
        assert sign not in text, text
