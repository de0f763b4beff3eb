"""Drivers: one module, or package, for each protocol that brings samples in.

How to write one:

1.  Copy `simulated.py` to `drivers/<name>.py`. The name is what `driver:` says in the configuration; nothing has to
    be registered. A driver in a distribution of its own is found by an entry point instead, in the group
    `diaccess_agent.drivers`, and may be called anything that is not taken here.

2.  Give it what `agent.interfaces.Driver` asks for:

        LinkSettings        a `LinkBase`: where the link leads, and `devices: tuple[DeviceSettings, ...]`
        DeviceSettings      a `DeviceBase`: how a device is reached on that link, and how often
        points(device)      its points, in the order of its samples, each within the device's place; pure
        open(link, context) an async context manager round one open `Link`

    Optional: `point_settings(device)`, what makes the values of its points doubtful (`agent.points`), which the agent
    then marks; `doubt(device)`, what is not certain about how it is read; `intervals(device)`, how often each of its
    points comes, by which the agent reports those that are silent;
    `emulate(link, clock, ...)`, an async context manager that serves the devices of a link, for `diaccess-agent simulate`
    and for the tests, with the faults of `agent.faults`, as far as they apply; `VITALS`, which counts of a link are
    reported as its health; `commissioning()`, which gives what a technician in front of the device can do
    (`agent.commissioning`: search a line, look at unknown registers, read raw, replay a recording).
    A link may take guests (`ask`) and let somebody listen (`tap`): see `agent.interfaces`.

3.  Keep what decides (decoding, planning, scheduling) in pure functions on values, and what waits in a short loop
    around them. Import from `agent` only `sample`, `fields`, `interfaces`, `points`, `commissioning`, `recording`
    and `clock`, never another driver, and a third-party library only in your own driver.

4.  A sample is complete when it is yielded, and never changes. Its columns have one entry for each point; a cell that
    is not known has the value None and a reason: never 0, never NaN, never the last value. Numbers are finite. The
    time is that of the end of the answer, from `context.clock`.

5.  Just raise. `Unavailable`: the link is lost; it will be opened again, later and later. `Misconfigured`: a person
    must act; say what was expected, what was found and where. A device that does not answer is neither: it yields a
    bad sample. Never retry in place, never sleep to back off, never log and go on.

6.  Every wait on the outside has a time limit, at the line that waits. A link's own task lives in a task group inside
    `open`. In an async generator hold nothing across `yield` (PEP 789): no time limit, no lock, no task group.

7.  Add a configuration to `tests/contracts/drivers/<name>.yaml`. The contract test finds the driver by itself, opens
    it (against its own `emulate`, where it has one) and holds it to all of this.
"""
