"""The service without its HTTP: requests in, answers out, one model reference a request."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.serving import deciding, wire
from compagnon.serving.deciding import Decision, Likely, Words
from compagnon.serving.metrics import Metrics
from compagnon.serving.models import Model
from compagnon.serving.question import question_sha256, sha256_as_written
from compagnon.serving.reading import Observation, Reader
from compagnon.serving.refusal import RETRY_SECONDS, Refusal
from compagnon.serving.settings import Settings
from compagnon.serving.wire import BatchAnswer, DecideRequest
from compagnon.serving.worlds import state_reader
from compagnon.store.decisions import DecisionRow, Written, compare
from compagnon.store.errors import StoreUnavailable

_T = TypeVar("_T")
Results = list[Written] | Exception
_encode = msgspec.json.Encoder().encode


class Log(Protocol):
    """What the service needs of `store.DecisionLog`."""

    def give(self, rows: Sequence[DecisionRow], done: Callable[[Results], object]) -> None:
        """Give decisions to the log, which tells `done` what became of them."""
        ...

    def submit(self, row: DecisionRow) -> "Future[Written]":
        """Give a decision to the log."""
        ...

    def submit_many(self, rows: list[DecisionRow]) -> "Future[list[Written]]":
        """Give many to it at once."""
        ...

    def find(self, decision_id: str) -> DecisionRow | None:
        """The decision of an id."""
        ...


@dataclass(slots=True, eq=False)
class Made:
    """One decision that is made and not yet logged."""

    row: DecisionRow
    asked: bool  # the client chose the id
    probabilities: NDArray[np.float64]  # (A,), that were drawn from; empty for vectors


@dataclass(slots=True, eq=False)
class Asked:
    """A single decision that is made and not yet answered; it holds the model that made it."""

    model: Model
    request: DecideRequest
    made: Made

    @property
    def row(self) -> DecisionRow:
        """What goes into the log."""
        return self.made.row


class Service:
    """Decides and logs.

    Args:
        settings: of the service.
        log: where every decision is written before, or in fast mode after, it is answered.
        model: the first one; `swap` puts another in its place.
    """

    def __init__(self, settings: Settings, log: Log, model: Model) -> None:
        self.settings = settings
        self.log = log
        self.metrics = Metrics(settings, model.sha256)
        manifest = model.manifest
        states = state_reader(manifest.schema_, manifest.provenance.env_args)
        self.reader = self._reader(manifest.schema_, states)
        # Where what an action means depends on the state, by the names that the state has.
        self._words = getattr(states, "words", None)
        self._fast = settings.mode == "fast"
        self.schema_sha256 = manifest.schema_sha256
        self.swaps = 0
        self.refused: str | None = None
        self.draining = False
        self._model = model
        self.metrics.watch(model)

    # How requests are read; a service of vectors has its own.
    _reader: type[Reader] = Reader
    _read_one = staticmethod(wire.read_decide)
    _read_many = staticmethod(wire.read_batch)

    @property
    def model(self) -> Model:
        """The model that decides now. A request reads this once."""
        return self._model

    def swap(self, model: Model) -> None:
        """Let another model decide from the next request on.

        Whoever decides with the old one holds it until the answer is made; then it is gone.

        Raises:
            InputError: it reads or chooses something else; the old model stays.
        """
        if model.manifest.schema_sha256 != self.schema_sha256:
            raise InputError(
                "the new model reads or chooses something else than the one in service"
            )
        self._model = model
        self.swaps += 1
        self.refused = None
        self.metrics.swapped(model)

    async def decide(self, body: bytes) -> bytes:
        """One decision: the body of a request -> the body of the answer, a `wire.Answer`.

        Raises:
            Refusal: 422 for what is wrong with the request, 409 for an id that was used for
                another one, 503 while the log cannot be written.
        """
        asked = self.begin(body)
        written = await self.found(asked.row) if self.must_look(asked) else None
        if written is None:
            written = await self._written(self.log.submit(asked.row))
        return self.finish(asked, written)

    def begin(self, body: bytes) -> Asked:
        """Read a request and decide; nothing is logged yet.

        Raises:
            Refusal: 422.
        """
        begun = time.perf_counter_ns()
        request = self._read_one(body)
        model = self._model
        made = self._make(model, request, begun)
        self.metrics.decided(1, time.perf_counter_ns() - begun)
        return Asked(model, request, made)

    def must_look(self, asked: Asked) -> bool:
        """Whether the database must be read first: fast mode would see a known id too late."""
        return self._fast and asked.made.asked

    def finish(self, asked: Asked, written: Written) -> bytes:
        """The body of the answer, a `wire.Answer`, from what became of the row.

        Raises:
            Refusal: 409.
        """
        return _encode(self._answer(asked.model, asked.request, asked.made, written))

    async def decide_batch(self, body: bytes, count: Any = None) -> bytes:
        """Many decisions at once, each like `decide`; a `wire.BatchAnswer`.

        Args:
            body: a `wire.BatchRequest`.
            count: is told how many decisions there are, before they are made.
        """
        begun = time.perf_counter_ns()
        requests = self._read_many(body)
        if count is not None:
            count(len(requests))
        model = self._model
        made = self._make_many(model, requests, begun)
        self.metrics.decided(len(made), time.perf_counter_ns() - begun)
        known: dict[str, Written] = {}
        if self._fast:
            for one in made:
                found = await self.found(one.row) if one.asked else None
                if found is not None:
                    known[one.row.id] = found
        fresh = [one.row for one in made if one.row.id not in known]
        if fresh:
            for found in await self._written(self.log.submit_many(fresh)):
                known[found.row.id] = found
        likely = self._likeliest(made, requests)
        answers = []
        for place, (request, one) in enumerate(zip(requests, made, strict=True)):
            try:
                written = known[one.row.id]
                answers.append(self._answer(model, request, one, written, likely[place]))
            except Refusal as refusal:
                raise refusal.under(f"decisions[{place}]") from None
        return _encode(self._batch_answer(answers))

    _batch_answer: Callable[[list[Any]], Any] = BatchAnswer

    def _likeliest(self, made: list[Made], requests: list[DecideRequest]) -> list[Likely | None]:
        """For answers where all is as it was made: they need no second look at the rows."""
        count = max(request.alternatives for request in requests)
        return [*deciding.likeliest_many([one.probabilities for one in made], count)]

    def _make(self, model: Model, request: DecideRequest, begun: int) -> Made:
        obs, mask = self.reader.read(request)
        settings = self.settings
        decision_id = request.id or deciding.new_id()
        try:
            decision = deciding.decide(
                model, obs, mask, decision_id, settings.application, settings.epsilon
            )
        except InputError as error:
            raise Refusal(422, f"the policy has no answer to it ({error})", "observation") from None
        packed = np.packbits(mask)
        return self._row(model, request, decision_id, obs, packed, decision, begun)

    def _make_many(self, model: Model, requests: list[DecideRequest], begun: int) -> list[Made]:
        obs, masks = self.reader.read_many(requests)
        fresh = deciding.new_ids(len(requests))
        ids = [request.id or one for request, one in zip(requests, fresh, strict=True)]
        settings = self.settings
        try:
            decisions = deciding.decide_many(
                model, obs, masks, ids, settings.application, settings.epsilon
            )
        except InputError as error:
            raise Refusal(422, f"the policy has no answer to it ({error})", "decisions") from None
        packed = np.packbits(masks, axis=1)
        return [
            self._row(model, *each, begun)
            for each in zip(requests, ids, obs, packed, decisions, strict=True)
        ]

    def _row(
        self,
        model: Model,
        request: DecideRequest,
        decision_id: str,
        obs: Observation,
        packed: NDArray[np.uint8],
        decision: Decision,
        begun: int,
    ) -> Made:
        row = self._logged(
            model, request, decision_id, obs, begun,
            mask=packed.tobytes(),
            probabilities=decision.probabilities.tobytes(),
            action=decision.action,
            action_vector=None,
            probability=float(decision.probabilities[decision.action]),
            seed=decision.seed,
            mode="sampled",
        )  # fmt: skip
        return Made(row, request.id is not UNSET, decision.probabilities)

    def _logged(
        self,
        model: Model,
        request: DecideRequest,
        decision_id: str,
        obs: Observation,
        begun: int,
        **decided: Any,
    ) -> DecisionRow:
        """What goes into the log: what every decision has, and what was `decided`."""
        settings = self.settings
        return DecisionRow(
            id=decision_id,
            application=settings.application,
            key=request.key or None,
            arm=None,
            experiment=None,
            model_sha256=model.sha256,
            schema_sha256=self.schema_sha256,
            features=obs.tobytes(),
            epsilon=settings.epsilon,
            time=time.time(),
            latency_us=(time.perf_counter_ns() - begun) // 1000,
            # A batch of one asks the same as a single one.
            request_sha256=question_sha256(request, self.reader.names, decided["mask"]),
            **decided,
        )

    async def _written(self, future: "Future[_T]") -> _T:
        try:
            if not future.done():
                await _done(future)
            return future.result()
        except StoreUnavailable as error:
            raise self.unavailable(error) from None

    async def found(self, row: DecisionRow) -> Written | None:
        """What the database has under an id that a client chose: fast mode would see it late."""
        try:
            stored = await asyncio.to_thread(self.log.find, row.id)
        except StoreUnavailable as error:
            raise self.unavailable(error) from None
        return None if stored is None else compare(row, stored)

    def unavailable(self, error: StoreUnavailable) -> Refusal:
        """503: nothing was answered, and the same request may be sent again."""
        self.metrics.unlogged()
        return Refusal(
            503, f"the decision log cannot be written now ({error.public})", None, RETRY_SECONDS
        )

    def _answer(
        self,
        model: Model,
        request: DecideRequest,
        made: Made,
        written: Written,
        likely: Likely | None = None,
    ) -> Any:
        row = written.row
        if written.status != "stored":
            self._require_same(written, request)
        if likely is None or written.status != "stored":
            vector = made.probabilities
            if written.status != "stored":
                vector = np.frombuffer(row.probabilities, np.float64)
            likely = deciding.likeliest(vector, request.alternatives)
        assert row.action is not None
        words: Words = model.words
        if self._words is not None and len(request.state):
            words = self._words(request.state)
        return deciding.answer(
            row.id, row.action, row.probability, likely, words, request.alternatives,
            row.model_sha256,
        )  # fmt: skip

    def _require_same(self, written: Written, request: DecideRequest) -> None:
        """Refuse to answer with what stands under an id for another question, or policy."""
        row = written.row
        if row.application != self.settings.application:
            raise Refusal(409, f"{row.id} was asked before, by another application", "id")
        # A row of an earlier version has the hash of that time.
        if written.status == "conflict" and row.request_sha256 != sha256_as_written(request):
            raise Refusal(409, f"{row.id} was asked before, with another body", "id")
        if row.schema_sha256 != self.schema_sha256:
            raise Refusal(409, f"{row.id} was asked before, of another policy", "id")


async def _done(future: "Future[Any]") -> None:
    """Wait for a future of the log, which resolves it in this very loop (`deliver`)."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    await waiter
