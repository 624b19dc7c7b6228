"""Run commands as a shell does."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command


def output_of(*command: str) -> str:
    output = StringIO()
    call_command(*command, stdout=output)
    return output.getvalue()
