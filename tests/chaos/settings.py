"""The settings of the live tests, but each line of the log says which process has written it."""

from tests.live.settings import *
from tests.live.settings import LOGGING

LOGGING["formatters"] = {
    "line": {"format": "{asctime} {levelname} {process} {name}: {message}", "style": "{"},
}
