# SPDX-License-Identifier: Apache-2.0
"""Several devices of one kind, each in a process of its own, that share a list of image blocks."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from xnorflow.driver.accelerator import Accelerator
from xnorflow.driver.errors import DriverError
from xnorflow.driver.program import DeviceProgram
from xnorflow.driver.result import RunResult
from xnorflow.driver.transport import register_transport, transport_factory

__all__ = ["Setup", "Workers"]

PATIENCE_SECONDS = 5.0
"""How long a process may take to end before it is killed."""

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Setup:
    """What every process needs to open its device; it must be picklable.

    Parameters
    ----------
    device : str
        As for ``Accelerator.open``; each process opens its own.
    program : DeviceProgram
        Loaded once.
    record : bool
        Give every layer's codes.
    timeout : float or None
        Seconds that one block may take.
    options : mapping
        For the transport.
    """

    device: str
    program: DeviceProgram
    record: bool = False
    timeout: float | None = None
    options: Mapping[str, Any] | None = None

    def open(self) -> Accelerator:
        """The device with its program."""
        geometry = self.program.geometry
        accelerator = Accelerator.open(self.device, geometry=geometry, **(self.options or {}))
        try:
            accelerator.load(self.program)
        except BaseException:
            accelerator.close()
            raise
        return accelerator

    def run(self, accelerator: Accelerator, images: Images) -> RunResult:
        """One block's images through the device."""
        return accelerator.run(images, record=self.record, timeout=self.timeout)


@dataclass(frozen=True)
class _Failure:
    """An error on its way from a process to the caller."""

    error: Exception


class Workers:
    """``jobs`` processes, ready when entered and gone when left, whatever happens in between.

        with Workers(setup, jobs=4) as workers:
            for index, result in workers.run(blocks):   # in the order in which they are done
                ...

    Raises
    ------
    Exception
        What a process could not do: its own error. DriverError, if it ended without one.
    """

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._processes: dict[Connection, SpawnProcess] = {}
        context = multiprocessing.get_context("spawn")
        message = (transport_factory(setup.device), setup)
        try:
            with _sigint_ignored():
                for _ in range(jobs):
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_work, args=(theirs,), daemon=True)
                    process.start()
                    theirs.close()
                    self._processes[ours] = process
            for connection in self._processes:
                self._send(connection, message)
        except BaseException:
            self.close()
            raise

    def run(self, blocks: Sequence[Images]) -> Iterator[tuple[int, RunResult]]:
        """Each block's index and result, as they get done; every process takes the next block.

        The processes begin with the call, not with the first result that is asked for.
        """
        waiting = enumerate(blocks)
        busy: dict[Connection, int] = {}

        def give(connection: Connection) -> None:
            task = next(waiting, None)
            if task is not None:
                busy[connection] = task[0]
                self._send(connection, task[1])

        for connection in self._processes:
            give(connection)

        def results() -> Iterator[tuple[int, RunResult]]:
            while busy:
                for ready in wait(list(busy)):
                    connection = cast(Connection, ready)
                    result = self._receive(connection)
                    index = busy.pop(connection)
                    give(connection)  # first, so that the process works on meanwhile
                    yield index, result

        return results()

    def _send(self, connection: Connection, message: Any) -> None:
        try:
            connection.send(message)
        except OSError as error:
            raise self._ended(connection) from error

    def _receive(self, connection: Connection) -> RunResult:
        try:
            answer = connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended(connection) from error
        if isinstance(answer, _Failure):
            raise answer.error
        assert isinstance(answer, RunResult)  # for mypy: _work sends nothing else
        return answer

    def _ended(self, connection: Connection) -> Exception:
        """What a process that has gone left behind, or how it went."""
        try:
            while connection.poll():
                answer = connection.recv()
                if isinstance(answer, _Failure):
                    return answer.error
        except (EOFError, OSError):
            pass
        process = self._processes[connection]
        process.join(PATIENCE_SECONDS)
        return DriverError(
            f"A worker process ended by itself (exit code {process.exitcode}); try fewer jobs. In "
            "a script, start several jobs only under `if __name__ == '__main__':`"
        )

    def close(self) -> None:
        """End all processes; a second call does nothing."""
        for connection, process in self._processes.items():
            connection.close()
            process.terminate()
        for process in self._processes.values():
            process.join(PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _sigint_ignored() -> Iterator[None]:
    """Processes started here never see Ctrl-C, which a terminal sends to all: the caller does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection) -> None:
    """A process's life: open the device, then a block at a time until the caller goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        transport, setup = connection.recv()
        register_transport(*transport)
        with setup.open() as accelerator:
            while True:
                connection.send(setup.run(accelerator, connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:
        connection.send(_Failure(_portable(error)))


def _portable(error: Exception) -> Exception:
    """The error itself if it survives the way to another process, else one that tells it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return DriverError(f"{type(error).__name__}: {error}")
    return error
