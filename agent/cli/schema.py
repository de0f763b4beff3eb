"""`diaccess-agent schema`: the JSON schema of the configuration, for editors.

It has the plug-ins that are installed here. An editor that speaks the YAML language server's protocol takes it from
the first line of a configuration (`# yaml-language-server: $schema=schema.json`), and has to be told the two tags:
yaml.customTags: ["!secret scalar", "!include scalar"].
"""

from __future__ import annotations

import argparse
import json

from agent.cli import exits

NAME = "schema"
HELP = "print the JSON schema of the configuration, for editors"
EXAMPLES = """examples:
  diaccess-agent schema > config/schema.json

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: there is one schema."""


def run(_arguments: argparse.Namespace) -> int:
    """Print it."""
    from agent import document, settings  # noqa: PLC0415  --help needs none of it

    print(json.dumps(document.schema(settings.Root), indent=2, ensure_ascii=False))
    return exits.FINE
