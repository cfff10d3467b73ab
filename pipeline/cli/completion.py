"""folio completion: what a shell needs to complete commands and options."""

from typing import Literal

from pipeline.cli import app
from pipeline.exits import EXIT_OK


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell.

    For bash: `source <(folio completion bash)`. For zsh: into a file `_folio` on its fpath. For fish:
    `folio completion fish | source`.
    """
    print(app.generate_completion(shell=shell))
    return EXIT_OK
