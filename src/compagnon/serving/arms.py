"""An experiment in service: who decides for a unit, and what the other arm would have played.

Which unit a decision belongs to, and which arm that has, an `Assigner` says; what it says goes into
the log with the decision. Where there are two arms, the vector of the other one is logged as well.
An arm that fails (an exception, numbers that are none) is replaced by the first arm, the control,
for that decision: the log says ``fallback``, and no estimate counts it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.action_selection import FALLBACK, Play, Quota, played
from compagnon.serving.codec import ActionCodec, IndexCodec
from compagnon.serving.inference import Columns, Decider, Draw, Model
from compagnon.serving.rule_model import PREFIX, RuleModel
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.trial import open_tried
from compagnon.store.decision_row import ID_LENGTH

_logger = logging.getLogger("compagnon.serving")
MOST_KEY: Final = 150  # characters; the name of a unit has the key in it, and a column of its own
_SHADOWED: Final = 2  # arms: with more of them there is no "other one"


class Assignment(Protocol):
    """What a decision was given."""

    @property
    def unit(self) -> str:
        """What is compared: a customer, or a zone for some hours."""
        ...

    @property
    def arm(self) -> str:
        """Who decides for it."""
        ...


class Assigner(Protocol):
    """Says which unit and which arm a decision has; the same in every process.

    Attributes:
        name: of the experiment.
        arms: the first one is the control.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def arms(self) -> tuple[str, ...]: ...  # noqa: D102

    def assign(self, subject: str, at: float, /) -> Assignment | None:
        """Of a key (a zone, in a switchback) at a time; None outside of the experiment."""
        ...


class Arm(NamedTuple):
    """Who decides for an arm, and how that is played."""

    decider: Decider
    play: Play


class ArmDecision(NamedTuple):
    """A decision, and who made it.

    Attributes:
        columns: of the log. play: how it was played.
        assigned: None outside of an experiment.
    """

    columns: Columns
    model_sha256: str
    play: Play
    assigned: Assignment | None


QuotaOf = Callable[[Sequence[int]], Quota | None]


class Arms:
    """The arms of an experiment.

    Args:
        assigner: the plan of the experiment.
        arms: by name, but for the control: that is the model in service.
        failed: is told of each decision for which an arm failed.

    Raises:
        InputError: the plan has other arms.
    """

    def __init__(
        self,
        assigner: Assigner,
        arms: Mapping[str, Arm],
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        for name in (assigner.name, *assigner.arms):
            if len(name) > ID_LENGTH:
                raise InputError(f"{name[:40]}...: names have at most {ID_LENGTH} characters")
        control, *others = assigner.arms
        for name in others:
            if name not in arms:
                raise InputError(f"arm {name!r} of {assigner.name} has no policy: --arm {name}=...")
        for name in arms:
            if name not in others:
                known = ", ".join(others)
                raise InputError(
                    f"--arm {name}: the arms of {assigner.name} beside {control!r}, which is the "
                    f"policy in service, are: {known}"
                )
        self.assigner = assigner
        self.control = control
        self.arms = dict(arms)
        self.stopped = False  # somebody ended the experiment: the control decides for everybody
        self._failed = failed
        self._said: set[str] = set()

    def hashes(self, control: str) -> dict[str, str]:
        """Who decides for each arm, by the hash that the log has; of the control it is given."""
        others = {name: arm.decider.sha256 for name, arm in self.arms.items()}
        return {self.control: control, **others}

    def needs(self, key: str) -> str | None:
        """Why a decision cannot be given an arm; None where it can."""
        if self.stopped or 0 < len(key) <= MOST_KEY:
            return None
        if key:
            return f"in an experiment a key has at most {MOST_KEY} characters, not {len(key)}"
        return f"the experiment {self.assigner.name} splits by the key, such as a customer; give it"

    def decide(
        self,
        control: Arm,
        codec: ActionCodec,
        obs: NDArray[np.float32],
        mask: NDArray[np.bool_],
        ids: Sequence[str],
        keys: Sequence[str],
        draw: Draw,
        alternatives: Sequence[int],
        quota: QuotaOf,
        now: float,
    ) -> list[ArmDecision]:
        """Decide N times, each by its arm.

        Args:
            control: the model in service.
            obs, mask, ids, alternatives: see `inference.decide`. keys: N.
            quota: of some of the rows, by their numbers.
            now: the time of the decisions, seconds since 1970.

        Raises:
            InputError: the control has no answer.
        """
        given = [None if self.stopped else self.assigner.assign(key, now) for key in keys]
        rows_of: dict[str | None, list[int]] = {}
        for row, one in enumerate(given):
            rows_of.setdefault(None if one is None else one.arm, []).append(row)
        made: dict[int, ArmDecision] = {}
        for name, rows in rows_of.items():
            arm = self.arms.get(name, control) if name is not None else control
            asked = _Batch(codec, draw, obs[rows], mask[rows], [ids[k] for k in rows],
                           [alternatives[k] for k in rows])  # fmt: skip
            quotas = [quota([k]) for k in rows] if arm.play.explore else [None] * len(rows)
            for k, found in zip(rows, self._by(arm, control, asked, quotas), strict=True):
                made[k] = found._replace(assigned=given[k])
        if len(self.assigner.arms) == _SHADOWED and isinstance(codec, IndexCodec):
            self._add_shadows(made, control, obs, mask)
        return [made[row] for row in range(len(given))]

    def _by(
        self, arm: Arm, control: Arm, asked: "_Batch", quotas: Sequence[Quota | None]
    ) -> list[ArmDecision]:
        """What an arm decides of N questions; of those that it fails on, what the control does."""
        if arm is control:
            return asked.by(control, quotas)
        try:
            return asked.by(arm, quotas)
        except Exception as error:  # whatever it is, the decision is to be made
            if len(asked.ids) > 1:
                return [
                    made
                    for k, one in enumerate(asked.each())
                    for made in self._by(arm, control, one, quotas[k : k + 1])
                ]
            self._failed()
            self._tell(arm, error, "the control decided in its place")
            sure = Arm(control.decider, control.play._replace(explore=0.0, near=None))
            (made,) = asked.by(sure, [None])
            return [made._replace(columns=made.columns | {"mode": FALLBACK})]

    def _tell(self, arm: Arm, error: Exception, consequence: str) -> None:
        words = f"an arm failed (model {arm.decider.sha256[:12]}): {error}"
        if words not in self._said and len(self._said) < 100:
            self._said.add(words)
            _logger.warning("%s; %s", words, consequence)

    def _add_shadows(
        self,
        made: dict[int, ArmDecision],
        control: Arm,
        obs: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> None:
        """Write down what the other arm would have been played with."""
        both = {self.control: control, **self.arms}
        for name, other in both.items():
            rows = [
                row for row, one in made.items()
                if one.assigned is not None and one.assigned.arm != name
            ]  # fmt: skip
            for row, shadow in self._shadows(other, rows, obs, mask):
                columns = {"shadow": shadow, "shadow_sha256": other.decider.sha256}
                made[row] = made[row]._replace(columns=made[row].columns | columns)

    def _shadows(
        self, other: Arm, rows: list[int], obs: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> list[tuple[int, bytes]]:
        """The vectors of an arm for some rows; none for those that it fails on."""
        if not rows:
            return []
        try:
            said = other.decider.say(obs[rows], mask[rows])
            vectors = played(said, mask[rows], other.play, [0] * len(rows))
        except Exception as error:  # at nobody's cost: it was not to decide
            if len(rows) > 1:
                return [one for row in rows for one in self._shadows(other, [row], obs, mask)]
            self._tell(other, error, "its vector is not logged beside the decision")
            return []
        return [
            (row, one.probabilities.astype("<f8", copy=False).tobytes())
            for row, one in zip(rows, vectors, strict=True)
        ]


class _Batch(NamedTuple):
    """Questions that are put together to whoever decides."""

    codec: ActionCodec
    draw: Draw
    obs: NDArray[np.float32]
    mask: NDArray[np.bool_]
    ids: Sequence[str]
    alternatives: Sequence[int]

    def by(self, arm: Arm, quotas: Sequence[Quota | None]) -> list[ArmDecision]:
        """What an arm decides of them."""
        draw = replace(self.draw, play=arm.play)
        quota = _Each(quotas) if any(one is not None for one in quotas) else None
        decided = self.codec.decide(
            arm.decider, self.obs, self.mask, self.ids, draw, self.alternatives, quota
        )
        return [ArmDecision(columns, arm.decider.sha256, arm.play, None) for columns in decided]

    def each(self) -> "list[_Batch]":
        """One by one."""
        return [
            self._replace(
                obs=self.obs[k : k + 1],
                mask=self.mask[k : k + 1],
                ids=self.ids[k : k + 1],
                alternatives=self.alternatives[k : k + 1],
            )
            for k in range(len(self.ids))
        ]


class _Each:
    """Quotas of single rows, as one of several."""

    def __init__(self, quotas: Sequence[Quota | None]) -> None:
        self._quotas = quotas

    def rate(self, row: int, /) -> float:
        """See `Quota`."""
        one = self._quotas[row]
        return 0.0 if one is None else one.rate(0)

    def explored(self, row: int, /) -> None:
        """See `Quota`."""
        one = self._quotas[row]
        if one is not None:
            one.explored(0)


def arm_columns(assigned: Assignment, experiment: str) -> dict[str, str]:
    """The columns of the log that say which arm a decision had."""
    return {"arm": assigned.arm, "unit": assigned.unit, "experiment": experiment}


def open_arm(name: str, policy: str, control: Model, settings: ServiceSettings) -> Arm:
    """Load who decides for an arm, verified and tried: a rule, or an exported policy or run.

    Raises:
        InputError: it cannot be used, or reads or chooses something else than the control.
    """
    schema = control.manifest.schema_
    if policy.startswith(PREFIX):
        return Arm(RuleModel(policy, schema), Play())
    model = open_tried(Path(policy), settings.precision)
    wanted, found = control.manifest.schema_sha256, model.manifest.schema_sha256
    if wanted != found:
        raise InputError(
            f"--arm {name}: {policy} reads or chooses something else than the policy in service "
            f"(schema {found[:12]}..., not {wanted[:12]}...)"
        )
    return Arm(model, settings.play_of(model.manifest.head))


class Experiment(NamedTuple):
    """What a service is told of an experiment.

    Attributes:
        policies: by the name of the arm, but for the control: ``expert:NAME`` or a path.
        stored: it runs in the store of the service, and is over when it is stopped there.
    """

    assigner: Assigner
    policies: Mapping[str, str]
    stored: bool = False

    def open(self, control: Model, settings: ServiceSettings, failed: Callable[[], object]) -> Arms:
        """The arms, with their models.

        Args:
            failed: is told of each decision for which an arm failed.

        Raises:
            InputError: see `open_arm`, and `Arms`.
        """
        made = {
            name: open_arm(name, policy, control, settings)
            for name, policy in self.policies.items()
        }
        return Arms(self.assigner, made, failed)
