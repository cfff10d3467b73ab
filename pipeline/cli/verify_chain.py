"""`folio verify-chain`: what is stored is what was stored, and what the topic was told of it at the time."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_OK
from pipeline.tamper.judging import Finding, Verdict
from pipeline.tamper.verifying import verify_chain as verify
from schemas.topics import CHAIN_HEADS


def verify_chain(
    *,
    lane: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    since_seq: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    output: Output = "text",
) -> int:
    """Recompute the hash chain over the store, and compare it with the lanes and with the topic of heads.

    Exit code 0: every link holds. 1: something was changed, added, removed, moved or rewritten. 2: there is no link to
    verify.

    Parameters
    ----------
    lane
        Only this lane.
    since_seq
        From this link on, believing the head before it; needs --lane.
    output
        text for people, json for programs.
    """
    if since_seq > 1 and lane is None:
        raise SettingsRefused("--since-seq counts the links of one lane: name it with --lane")
    settings = settings_module.load()
    endpoints = resolve(settings)
    console = Console(stderr=True)
    started = time.monotonic()
    with console.status("verifying the chain", spinner="dots") as status:
        verdict = asyncio.run(
            verify(
                endpoints.database_url,
                settings.database,
                endpoints.kafka_bootstrap,
                settings.kafka.topic_prefix + CHAIN_HEADS,
                lane=lane,
                since_seq=since_seq,
                progress=lambda events: status.update(f"verifying the chain: {events:,} events"),
            )
        )
    seconds = time.monotonic() - started
    code = exit_code(verdict)
    if output == "json":
        print_document({**asdict(verdict), "seconds": round(seconds, 3), "exit_code": code})
    else:
        print("\n".join(lines(verdict, seconds)))
    return code


def exit_code(verdict: Verdict) -> int:
    """Findings weigh more than there being nothing to verify."""
    if verdict.findings_count:
        return EXIT_DIFFERENT
    return EXIT_OK if verdict.links else EXIT_CANNOT


def lines(verdict: Verdict, seconds: float) -> list[str]:
    """What was found, what was not verified, and the figures last."""
    said = [_line(finding) for finding in verdict.findings]
    if verdict.findings_count > len(said):
        said.append(f"… {verdict.findings_count - len(said)} more")
    if verdict.before_the_chain:
        said.append(f"{verdict.before_the_chain} events are from before the chain: `folio verify` proves them")
    if verdict.archived_links:
        said.append(
            f"{verdict.archived_links} links of {verdict.archived_events} archived events: only their heads were "
            "verified, restore the rows to verify them"
        )
    said += [
        f"{count} heads of timeline {epoch}, lost in a failover" for epoch, count in sorted(verdict.lost_heads.items())
    ]
    if verdict.heads_waiting or verdict.heads_expired:
        said.append(f"{verdict.heads_waiting} links wait to be told, {verdict.heads_expired} have left the topic")
    if not verdict.links:
        said.append("there is no link to verify")
    result = f"{verdict.findings_count} findings" if verdict.findings_count else "the chain holds"
    rate = verdict.events / seconds if seconds else 0.0
    said.append(
        f"{result}: {verdict.links} links, {verdict.events} events, {verdict.corrections} corrections, "
        f"{verdict.heads_agreed} heads agree with the topic; {seconds:.1f} s, {rate:,.0f} events/s"
    )
    return said


def _line(finding: Finding) -> str:
    place = f"lane {finding.lane}, link {finding.seq}"
    if finding.batch_id is not None:
        place += f", batch {finding.batch_id}"
    if finding.cluster_epoch is not None:
        place += f", epoch {finding.cluster_epoch}"
    if finding.first_offset is not None:
        place += f", offsets {finding.first_offset} to {finding.last_offset}"
    return f"{place}: {finding.what}"
