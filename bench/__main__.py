"""python -m bench SCENARIO …: run, print, write, compare."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.form import WORKERS_DEFAULT, Form
from bench.progress import Progress
from bench.report.page import page
from bench.results import Compared, Results, ResultsRefusedError, compare, read, write
from bench.running import run_all
from bench.scaling.points import CURVES
from bench.scenarios import SCENARIOS
from bench.summary import as_text
from bench.target import Target, external_target, local_target
from pipeline.errors import Fatal, Transient
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_FATAL, EXIT_OK, EXIT_UNAVAILABLE


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured, and all books proved, whatever the figures; 1: books were wrong; 2: a scenario failed.

    A target that is not met is a result, not a failure. 3 and 4 as of every command of folio.
    """
    arguments = _parser().parse_args(argv)
    try:
        earlier = read(arguments.compare) if arguments.compare else None
        results = asyncio.run(_run(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _refused(InterruptedError("stopped before the end; nothing was written"), EXIT_CANNOT)
    except ResultsRefusedError as error:
        return _refused(error, EXIT_CANNOT)
    except Fatal as error:
        return _refused(error, EXIT_FATAL)
    except Transient as error:
        return _refused(error, EXIT_UNAVAILABLE)
    compared = compare(results, earlier) if earlier else Compared()
    print(as_text(results, compared))
    print(f"\nwritten: {arguments.results}")
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(page(results, compared))
        print(f"report: {arguments.report}")
    return exit_code(results)


def exit_code(results: Results) -> int:
    """What the run comes to; wrong books weigh most."""
    proofs = [each.proof for each in results.scenarios if each.proof is not None]
    if any(proof.differences for proof in proofs):
        return EXIT_DIFFERENT
    unproven = any(proof.differences is None for proof in proofs)
    return EXIT_CANNOT if unproven or any(each.failed for each in results.scenarios) else EXIT_OK


def _refused(error: Exception, code: int) -> int:
    print(f"folio bench: {error}", file=sys.stderr)
    return code


async def _run(arguments: argparse.Namespace) -> Results:
    earlier = read(arguments.results) if arguments.add and arguments.results.exists() else None
    # As with Ctrl-C: the workers are stopped and the servers cleared up on the way out.
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    progress = Progress()
    form = Form(
        "full" if arguments.full else "short",
        arguments.workers,
        arguments.rounds,
        arguments.events,
        arguments.orgs,
        arguments.properties_loaded,
        tuple(arguments.curves or ()),
    )
    async with _target(arguments.external, progress) as target:
        results = await run_all(target, arguments.scenarios or list(SCENARIOS), form, progress, earlier)
        # Before the servers are left: what may go wrong with clearing up must not cost the results.
        write(results, arguments.results)
        return results


@asynccontextmanager
async def _target(external: bool, progress: Progress) -> AsyncIterator[Target]:
    async with (external_target if external else local_target)(progress) as target:
        yield target


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="folio bench", description="Measure the pipeline; see docs/benchmark.md.")
    parser.add_argument(
        "scenarios",
        nargs="*",
        type=_scenario,
        metavar="SCENARIO",
        help=f"any of {', '.join(SCENARIOS)}; all by default",
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--short", action="store_true", help="a look: fewer events and steps (the default)")
    forms.add_argument("--full", action="store_true", help="figures to publish: takes hours for all scenarios")
    parser.add_argument("--workers", type=_count, default=WORKERS_DEFAULT, help="worker processes (%(default)s)")
    parser.add_argument("--rounds", type=_count, help="rounds of each measurement")
    parser.add_argument("--events", type=_count, help="events of a workload")
    parser.add_argument("--orgs", type=_count, help="organisations of a workload")
    parser.add_argument(
        "--properties-loaded", action="store_true", help="load the hotels beforehand, so that none registers itself"
    )
    parser.add_argument(
        "--curves", nargs="+", type=_curve, metavar="CURVE", help=f"of scale only these: {', '.join(CURVES)}"
    )
    parser.add_argument("--results", type=Path, default=Path("results/bench.json"), help="where to write (%(default)s)")
    parser.add_argument(
        "--add", action="store_true", help="keep what RESULTS holds of other scenarios: a long run, in several parts"
    )
    parser.add_argument("--compare", type=Path, help="an earlier result")
    parser.add_argument("--report", type=Path, help="an HTML report to write")
    parser.add_argument(
        "--external",
        action="store_true",
        help="against the servers that the settings name; their cache database is emptied",
    )
    return parser


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"{text!r} is no scenario; there are {', '.join(SCENARIOS)}")
    return text


def _curve(text: str) -> str:
    if text not in CURVES:
        raise argparse.ArgumentTypeError(f"{text!r} is no curve of scale; there are {', '.join(CURVES)}")
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
