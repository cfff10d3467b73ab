"""Exit codes, the same for every command."""

from typing import Final

EXIT_OK: Final = 0
EXIT_DIFFERENT: Final = 1  # something was checked and is not as it must be
EXIT_CANNOT: Final = 2  # it could not be checked, or the command line is wrong
EXIT_FATAL: Final = 3  # an operator must act; the message says on what
EXIT_UNAVAILABLE: Final = 4  # a server does not answer
