"""What the hash chain costs: its share of the CPU with which batches are committed, published and invalidated."""

from bench.draining import ready
from bench.form import Form
from bench.limiting.jobs import stages
from bench.limiting.measuring import Alone, alone, product_shares
from bench.limiting.metering import CHAIN
from bench.target import Target
from bench.workload import mixed

_STATEMENT = "append_chain_links"


async def chain_share(target: Target, form: Form) -> float:
    """Of the same batches as a drain's, one thing at a time; fetching and decoding are not in the whole of it."""
    workload = mixed(400_000 if form.full else 40_000, properties_loaded=True)
    stream, template = await ready(target, workload, form.workers)
    shares = product_shares(stream.lanes, form.workers, target.settings)
    staged, _ = await alone(target, stream, template, stages, [[group for share in shares for group in share]])
    await target.forget(stream)
    return share_of(staged)


def share_of(staged: Alone) -> float:
    """The chain's stage and its statement, by all that was spent."""
    chain = sum(done.stages.get(CHAIN, 0.0) + done.statements.get(_STATEMENT, 0.0) for done in staged.done)
    return chain / (staged.cpu + sum(staged.servers.values()))
