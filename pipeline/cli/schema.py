"""folio schema: the contract of the stream, for the tools of producers and subscribers."""

import sys
from pathlib import Path

from pipeline.contract.documents import documents, text, write
from pipeline.exits import EXIT_CANNOT, EXIT_OK


def schema(*, output: Path | None = None) -> int:
    """Write JSON Schema (2020-12) of each message, AsyncAPI 3.0 of the topics and OpenAPI 3.1 of the server.

    Without --output they go to standard output: one JSON object, a document under each file's name.

    Parameters
    ----------
    output
        The folder to write into; made if it is not there, and files of these names are replaced.
    """
    if output is None:
        sys.stdout.write(text(documents()))
        return EXIT_OK
    try:
        written = write(output)
    except OSError as error:
        print(f"folio schema: {error.filename or output}: {error.strerror}; name another folder", file=sys.stderr)
        return EXIT_CANNOT
    for file in written:
        print(file)
    return EXIT_OK
