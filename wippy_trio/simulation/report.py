"""What a campaign found, in words. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

import shlex

from wippy_trio.simulation.campaign import Campaign, Finding

__all__ = ["finding_text", "replay_command"]

_STACK_LINES = 12


def replay_command(finding: Finding, campaign: Campaign, record: str, *, faults: str = "all", path: str = ".") -> str:
    """The command that lives a failure again, as it was found.

    Args:
        finding: the failure.
        campaign: that found it.
        record: path of its record; the only way back for an order that is no seed (`dfs`).
        faults: as the campaign was given them in words.
        path: the app's folder, as seen by who is to run it.
    """
    if campaign.strategy == "dfs":
        return f"python -m wippy_trio replay {record}"
    words = ["python -m wippy_trio replay", f"--seed {finding.seed}", f"--scenario '{finding.scenario}'"]
    if campaign.strategy != "swarm":
        words.append(f"--strategy {campaign.strategy}")
    if faults != "all":
        words.append(f"--faults {faults}")
    words += [f"-o '{item}'" for item in campaign.overrides] + [f"--set '{item}'" for item in campaign.settings]
    return " ".join([*words, shlex.quote(path) if path != "." else ""]).rstrip()


def finding_text(finding: Finding, record: str, again: str) -> str:
    """A failure in a few lines: what, which seed, faults, Lua traceback, and how to see it again.

    Args:
        finding: the failure.
        record: path of its record.
        again: see `replay_command`.
    """
    life, failure = finding.life, finding.failure
    lines = [
        f"FAILED  {finding.scenario}  {failure.kind}: {failure.message}",
        f"        seed {finding.seed}, {life.steps} steps, {life.choices} choices, {len(life.strikes)} faults",
    ]
    for strike in life.strikes if finding.shrunk is None else finding.shrunk.strikes:
        lines.append(f"        fault {strike.kind} at {strike.where} (time {strike.number + 1} it was passed)")
    lines += [f"          {line}" for line in failure.stack.splitlines()[:_STACK_LINES]]
    if finding.shrunk is not None:
        few = finding.shrunk
        size = f"{len(few.strikes)} faults and {len(few.made)} preemptions, {few.steps} steps"
        work = "".join(f", {name} {count}" for name, count in (few.spec.workload or {}).items())
        lines += [f"        shrunk to {size}{work}:", f"        python -m wippy_trio replay {record}"]
    return "\n".join([*lines, f"        again: {again}"])
