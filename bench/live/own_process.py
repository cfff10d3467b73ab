"""A helper of the live load in a process of its own, so that its work is not in the way of what is measured."""

import multiprocessing
from collections.abc import Callable
from typing import Any, Self

_LEAVES_SECONDS = 10.0


class OwnProcess:
    """Runs `serve(pipe, *arguments)`, which ends when None comes by the pipe. Use it as a context."""

    def __init__(self, serve: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._pipe.send(None)
            self._process.join(_LEAVES_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid
