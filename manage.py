#!/usr/bin/env python
"""Glasscase's command line: `python manage.py help` lists what it can do."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run one command and return its exit status; a wrong setting is a sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as missing:
        print(f"{missing}. Run `make demo` or `make test` once: it installs what is needed in .venv.", file=sys.stderr)
        return 2
    from django.core.exceptions import ImproperlyConfigured

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        if "--traceback" in sys.argv:
            raise
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
