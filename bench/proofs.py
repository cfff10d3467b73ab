"""Several proofs as one: a scenario that ran on many grounds is proved only where each of them is."""

from collections.abc import Sequence

from bench.results import Proof


def together(proofs: Sequence[Proof]) -> Proof:
    """What cannot be proved counts most; else differences, counters and seconds are added up."""
    for proof in proofs:
        if proof.differences is None:
            return proof
    if len(proofs) == 1:
        return proofs[0]
    outcomes: dict[str, int] = {}
    for proof in proofs:
        for outcome, count in proof.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    differences = sum(proof.differences or 0 for proof in proofs)
    return Proof(
        differences,
        f"{len(proofs)} books, each proved from its topic, {differences:,} differences in all",
        sum(proof.seconds for proof in proofs),
        outcomes,
    )
