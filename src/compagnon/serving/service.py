"""The service without its HTTP: requests in, answers out, one model reference a request."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET

from compagnon.errors import InputError
from compagnon.policy.action_selection import EXPLORED, Quota
from compagnon.serving.arms import Arm, ArmDecision, Arms, arm_columns
from compagnon.serving.codec import codec_of, mask_of
from compagnon.serving.episodes import Episodes
from compagnon.serving.errors import RETRY_SECONDS, ApiError
from compagnon.serving.inference import Draw, Model, new_id, new_ids
from compagnon.serving.metrics import Metrics
from compagnon.serving.parsing import (
    Mask,
    Observation,
    RequestParser,
    question_sha256,
    read_batch,
    read_decide,
    sha256_as_written,
)
from compagnon.serving.repository import StorePool
from compagnon.serving.schemas import DecideRequest
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.states import state_reader
from compagnon.store.decisions import DecisionRow, Written, compare
from compagnon.store.errors import StoreUnavailable
from compagnon.store.secrets import Secret
from compagnon.worlds.codec import ActionLabels

_T = TypeVar("_T")
_NO_ARM: dict[str, Any] = {"arm": None, "unit": None, "experiment": None}
Results = list[Written] | Exception
_encode = msgspec.json.Encoder().encode
_logger = logging.getLogger("compagnon.serving")


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
class PendingDecision:
    """A decision that is made and not yet answered.

    Attributes:
        row: what goes into the log.
    """

    request: DecideRequest
    row: DecisionRow

    @property
    def has_own_id(self) -> bool:
        """The client chose the id."""
        return self.request.id is not UNSET


class Service:
    """Decides and logs.

    Args:
        settings: of the service.
        log: where every decision is written before, or in fast mode after, it is answered.
        model: the first one; `swap` puts another in its place.
        secret: that draws are made with.
        lookups: reads the log where fast mode must, before it answers.
        explored: how many decisions of each episode explored before, the latest episode last.

    Attributes:
        arms: of an experiment, whose control is the model in service; None where there is none.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        log: Log,
        model: Model,
        secret: Secret,
        lookups: StorePool,
        explored: dict[str, int] | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self._lookups = lookups
        self.metrics = Metrics(settings, model.sha256)
        manifest = model.manifest
        states = state_reader(manifest.schema_, manifest.provenance.env_args)
        self.parser = RequestParser(manifest.schema_, states)
        self.codec = codec_of(manifest.schema_)
        self.codec.check(settings, model)
        self._states = states
        self.arms: Arms | None = None
        self._fast = settings.mode == "fast"
        self.draw = Draw(settings.play_of(manifest.head), settings.application, secret)
        self.episodes = Episodes(
            settings.explore, settings.explore_cap, settings.worker, settings.workers
        )
        self.episodes.learn(explored or {})
        self.schema_sha256 = manifest.schema_sha256
        self.swaps = 0
        self.refused: str | None = None
        self.cost: str | None = None  # of the play, in words; None of greedy play
        self.draining = False
        self._model = model
        self.metrics.watch(model)
        if manifest.schema_.masked is None and not self.parser.needs_mask:
            _logger.warning(
                "this policy was saved before it was recorded whether %s gives masks: a question "
                "without one is taken to mean that everything is possible",
                manifest.schema_.env_id,
            )

    @property
    def model(self) -> Model:
        """The model that decides now. A request reads this once."""
        return self._model

    def swap(self, model: Model) -> None:
        """Let another model decide from the next request on.

        Whoever decides with the old one holds it until the answer is made; then it is gone.

        Raises:
            InputError: it reads or chooses something else, or could not explore as it should; the
                old model stays.
        """
        if model.manifest.schema_sha256 != self.schema_sha256:
            raise InputError(
                "the new model reads or chooses something else than the one in service"
            )
        if self.arms is not None:
            raise InputError("an experiment runs: its models stay until it is over")
        self.codec.check(self.settings, model)
        self.draw = replace(self.draw, play=self.settings.play_of(model.manifest.head))
        self._model = model
        self.swaps += 1
        self.refused = None
        self.metrics.swapped(model)

    async def decide(self, body: bytes) -> bytes:
        """One decision: the body of a request -> the body of the answer, a `schemas.DecideAnswer`.

        Raises:
            ApiError: 422 for what is wrong with the request, 409 for an id that was used for
                another one, 503 while the log cannot be written.
        """
        pending = self.begin(body)
        written = await self.found(pending.row) if self.must_look(pending) else None
        if written is None:
            written = await self._written(self.log.submit(pending.row))
        return self.finish(pending, written)

    def begin(self, body: bytes) -> PendingDecision:
        """Read a request and decide; nothing is logged yet.

        Raises:
            ApiError: 422.
        """
        begun = time.perf_counter_ns()
        request = read_decide(body)
        model = self._model
        obs, mask = self.parser.read(request)
        ids = [request.id or new_id()]
        pending = self._decided(model, [request], ids, obs[None], mask[None], begun)[0]
        self.metrics.decided(1, time.perf_counter_ns() - begun)
        return pending

    def must_look(self, pending: PendingDecision) -> bool:
        """Whether the database must be read first: fast mode would see a known id too late."""
        return self._fast and pending.has_own_id

    def finish(self, pending: PendingDecision, written: Written) -> bytes:
        """The body of the answer, a `schemas.DecideAnswer`, from what became of the row.

        Raises:
            ApiError: 409.
        """
        return _encode(self._answer(pending, written))

    async def decide_batch(self, body: bytes, count: Any = None) -> bytes:
        """Many decisions at once, each like `decide`; a `schemas.BatchAnswer`.

        Args:
            body: a `schemas.BatchRequest`.
            count: is told how many decisions there are, before they are made.
        """
        begun = time.perf_counter_ns()
        requests = read_batch(body)
        if count is not None:
            count(len(requests))
        model = self._model
        obs, masks = self.parser.read_many(requests)
        fresh_ids = new_ids(len(requests))
        ids = [request.id or one for request, one in zip(requests, fresh_ids, strict=True)]
        made = self._decided(model, requests, ids, obs, masks, begun)
        self.metrics.decided(len(made), time.perf_counter_ns() - begun)
        known: dict[str, Written] = {}
        if self._fast:
            for one in made:
                found = await self.found(one.row) if one.has_own_id else None
                if found is not None:
                    known[one.row.id] = found
        fresh = [one.row for one in made if one.row.id not in known]
        if fresh:
            for found in await self._written(self.log.submit_many(fresh)):
                known[found.row.id] = found
        answers = []
        for place, one in enumerate(made):
            try:
                answers.append(self._answer(one, known[one.row.id]))
            except ApiError as refusal:
                raise refusal.under(f"decisions[{place}]") from None
        return _encode(self.codec.responses.batch(answers))

    def _decided(
        self,
        model: Model,
        requests: list[DecideRequest],
        ids: list[str],
        obs: Observation,
        masks: Mask,
        begun: int,
    ) -> list[PendingDecision]:
        now = time.time()  # one reading, so that the log has the moment that gave the arm
        try:
            decided = self._made(model, requests, ids, obs, masks, now)
        except InputError as error:
            raise self._no_answer(error, len(ids)) from None
        return [
            PendingDecision(request, self._row(request, ids[k], obs[k], begun, now, made))
            for k, (request, made) in enumerate(zip(requests, decided, strict=True))
        ]

    def _made(
        self,
        model: Model,
        requests: list[DecideRequest],
        ids: list[str],
        obs: Observation,
        masks: Mask,
        now: float,
    ) -> list[ArmDecision]:
        """What each is decided, by the model in service or by the arm of its unit."""
        alternatives = [self._alternatives(request) for request in requests]

        def quota(rows: Sequence[int]) -> Quota | None:
            if not self.settings.explore:
                return None
            return self.episodes.asking([requests[row].episode or None for row in rows])

        draw = self.draw
        if self.arms is None:
            asked = quota(range(len(requests)))
            found = self.codec.decide(model, obs, masks, ids, draw, alternatives, asked)
            return [ArmDecision(columns, model.sha256, draw.play, None) for columns in found]
        keys = [request.key for request in requests]
        for row, key in enumerate(keys):
            if (why := self.arms.needs(key)) is not None:
                field = "key" if len(keys) == 1 else f"decisions[{row}].key"
                raise ApiError(422, why, field)
        control = Arm(model, draw.play)
        return self.arms.decide(
            control, self.codec, obs, masks, ids, keys, draw, alternatives, quota, now
        )

    def _alternatives(self, request: DecideRequest) -> int:
        given = request.alternatives
        return self.codec.alternatives if given is UNSET else given

    def _no_answer(self, error: InputError, count: int) -> ApiError:
        where = "observation" if count == 1 else "decisions"
        return ApiError(422, f"the policy has no answer to it ({error})", where)

    def _row(
        self,
        request: DecideRequest,
        decision_id: str,
        obs: Observation,
        begun: int,
        now: float,
        made: ArmDecision,
    ) -> DecisionRow:
        """What goes into the log: what every decision has, and what was decided."""
        settings, decided, arm = self.settings, made.columns, _NO_ARM
        if made.assigned is not None and self.arms is not None:
            arm = arm_columns(made.assigned, self.arms.assigner.name)
        if decided["mode"] == EXPLORED:
            self.metrics.explored()
        return DecisionRow(
            id=decision_id,
            application=settings.application,
            key=request.key or None,
            **arm,
            model_sha256=made.model_sha256,
            schema_sha256=self.schema_sha256,
            features=obs.tobytes(),
            play=made.play.name,
            near=made.play.near,
            episode=request.episode or None,
            secret=self.draw.secret.number,
            time=now,
            latency_us=(time.perf_counter_ns() - begun) // 1000,
            # A batch of one asks the same as a single one.
            request_sha256=question_sha256(
                request, self.parser.names, decided["mask"], self._alternatives(request)
            ),
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
            stored = await self._lookups.ask(self.log.find, row.id)
        except StoreUnavailable as error:
            raise self.unavailable(error) from None
        return None if stored is None else compare(row, stored)

    def unavailable(self, error: StoreUnavailable) -> ApiError:
        """503: nothing was answered, and the same request may be sent again."""
        self.metrics.unlogged()
        return ApiError(
            503, f"the decision log cannot be written now ({error.public})", None, RETRY_SECONDS
        )

    def _answer(self, pending: PendingDecision, written: Written) -> Any:
        self._require_ours(pending, written)
        request, states, row = pending.request, self._states, written.row
        labels: ActionLabels | None = None
        if states is not None and request.state is not UNSET:
            labels = states.action_labels(request.state)
        answer = self.codec.answer(row, labels, self._alternatives(request))
        if row.arm is not None:
            answer = msgspec.structs.replace(
                answer, experiment=row.experiment, arm=row.arm, unit=row.unit, key=row.key
            )
        if states is None or row.mask is None or request.reasons is not True:
            return answer
        assert request.state is not UNSET
        mask = mask_of(row, len(self.codec.labels))
        reasons = states.reasons(request.state, mask, labels or self.codec.labels)
        return msgspec.structs.replace(answer, reasons=reasons)

    def _require_ours(self, pending: PendingDecision, written: Written) -> None:
        """Refuse to answer with what stands under an id for another question, or policy."""
        if written.status == "stored":
            return
        if pending.row.mode == EXPLORED:
            self.episodes.take_back(pending.row.episode)
        row = written.row
        if row.application != self.settings.application:
            raise ApiError(409, f"{row.id} was asked before, by another application", "id")
        # A row of an earlier version has the hash of that time.
        if written.status == "conflict" and row.request_sha256 != sha256_as_written(
            pending.request
        ):
            raise ApiError(409, f"{row.id} was asked before, with another body", "id")
        if row.schema_sha256 != self.schema_sha256:
            raise ApiError(409, f"{row.id} was asked before, of another policy", "id")


async def _done(future: "Future[Any]") -> None:
    """Wait for a future of the log, which resolves it in this very loop (`deliver`)."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    await waiter
