"""What the exit codes of every command mean. The service unit knows them too: it does not start again after 2 and 78."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
"""Done."""
FAILED: Final = 1
"""Tried, and it did not work out; or a bug, and then with a traceback."""
USAGE: Final = 2
"""The command line is wrong (argparse's own code)."""
UNAVAILABLE: Final = 69
"""The agent is not running, or something else that is needed is not there now, such as a device that does not answer
(sysexits.h, EX_UNAVAILABLE)."""
REFUSED: Final = 77
"""Not allowed: by the configuration, or just now (sysexits.h, EX_NOPERM)."""
CONFIGURATION: Final = 78
"""The configuration is wrong: starting again is useless until a person has changed it (sysexits.h, EX_CONFIG)."""
INTERRUPTED: Final = 130
"""Ended by Ctrl-C (128 and SIGINT, as shells have it)."""

EXPLAINED: Final = f"""exit codes:
  {FINE}    done
  {FAILED}    tried, and it failed
  {USAGE}    the command line is wrong
  {UNAVAILABLE}   the agent is not running, or something that is needed (a device, a line) is not there
  {REFUSED}   not allowed: nothing was written
  {CONFIGURATION}   the configuration is wrong; the service is not restarted on it
  {INTERRUPTED}  ended by Ctrl-C"""
