"""Writes: what somebody upstream or at the command line asks to be done to the building, and the last word on it.

    command --permission--> allowed?  --records--> written down --link--> device --read back--> outcome
                                                        |
                                       lease --its time is over--> fall-back value

Nothing is written that the configuration does not allow by name. `permission` decides about a value, `carrying`
does it step by step, `returning` ends leases, `records` knows what must outlive a restart, `audit` keeps it for people;
`commands` takes in what is asked, each once.
"""

from agent.commands.asking import write
from agent.commands.audit import NAME, Audit
from agent.commands.commands import Commands
from agent.commands.places import Owner
from agent.commands.records import Records

__all__ = ["NAME", "Audit", "Commands", "Owner", "Records", "write"]
