"""What may go wrong between a rotation and its answer, switched on by a file in STAGE_FAULTS.

The middleware is the outermost one: what it does happens once the rotation is committed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from django.http import HttpRequest, HttpResponse

#: Kill this worker instead of answering. Once: the file goes with it.
KILL = "kill"
#: Answer so many seconds late.
DELAY = "delay"
#: Don't answer as long as the file is there; an endpoint's name follows.
HOLD = "hold-"
#: Don't begin as long as the file is there; an endpoint's name follows. What came is in "came-".
STALL = "stall-"
CAME = "came-"


def middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Disturb answers: refresh/ in all ways, every endpoint by holding it back."""
    folder = Path(os.environ["STAGE_FAULTS"])

    def disturbed(request: HttpRequest) -> HttpResponse:
        endpoint = request.path.rstrip("/").rpartition("/")[2]
        if (folder / f"{STALL}{endpoint}").exists():
            (folder / f"{CAME}{endpoint}").touch()
            _hold(folder / f"{STALL}{endpoint}")
        response = get_response(request)
        if endpoint == "refresh":
            _delay(folder / DELAY)
        _hold(folder / f"{HOLD}{endpoint}")
        if endpoint == "refresh":
            _kill(folder / KILL)
        return response

    return disturbed


def _delay(switch: Path) -> None:
    try:
        time.sleep(float(switch.read_text()))
    except FileNotFoundError:
        return


def _hold(switch: Path) -> None:
    while switch.exists():
        time.sleep(0.02)


def _kill(switch: Path) -> None:
    try:
        switch.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
