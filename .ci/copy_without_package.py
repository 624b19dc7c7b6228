"""Copy the repository without the package itself: copy_without_package.py DESTINATION.

Tests that run in the copy can import only the installed package.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {"jwt_auth", "build", "dist"}
MADE = shutil.ignore_patterns("__pycache__", "_build")


def main(destination: Path) -> None:
    """Copy the files and folders of the root, except hidden ones and the package."""
    for entry in ROOT.iterdir():
        if entry.name in LEFT_OUT or entry.name.startswith("."):
            continue
        if entry.is_dir():
            shutil.copytree(entry, destination / entry.name, ignore=MADE)
        else:
            shutil.copy2(entry, destination)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
