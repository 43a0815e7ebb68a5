"""What a diagnosis measured: plain figures, for people, for machines and for the report."""

from dataclasses import asdict, dataclass
from typing import Any

from compagnon.evaluation.divergence import Divergence
from compagnon.evaluation.evaluate import Evaluation
from compagnon.rl.diagnosis.data import Ceiling, Guessing, Inputs, Labels
from compagnon.worlds.published import PublishedImitation

TRAINING, SCALING, MASK, DAGGER = "training", "scaling", "mask", "dagger"
SHORTFALL = 0.03
CHANGES = {
    TRAINING: "longer training",
    SCALING: "standardised inputs",
    MASK: "masked loss",
    DAGGER: "DAgger",
}


@dataclass(frozen=True)
class Size:
    """How thorough a diagnosis is.

    Attributes:
        episodes: that every policy plays. held_out: episodes of the expert to judge answers on.
        steps: gradient steps an iteration that count as training for long.
        compared: episodes over which decisions are compared with the expert's.
    """

    episodes: int = 32
    held_out: int = 4
    steps: int = 3_000
    compared: int = 8


QUICK = Size(episodes=8, held_out=2, steps=1_000, compared=2)


@dataclass(frozen=True)
class Training:
    """How far the recipe's training can go, and went.

    Attributes:
        steps: gradient steps of each iteration. learning_rate: the first of each iteration.
        reach: learning rate x steps, about as far as Adam can move a weight.
        moved: as far as the weight that went farthest did move.
    """

    steps: tuple[int, ...]
    batch_size: int
    learning_rate: float
    reach: float
    moved: float


@dataclass(frozen=True)
class Iteration:
    """One iteration of the recipe as it is.

    Attributes:
        losses: mean cross-entropy of each epoch (or of each twentieth of the gradient steps).
        decisions: trained on. collection_return: of whoever drove while they were collected.
        label, label_share: the commonest label among those collected in this iteration.
        student_return: greedy among possible actions. unmasked_return: greedy among all, None
            where the environment does not charge impossible actions.
    """

    losses: tuple[float, ...]
    decisions: int
    collection_return: float
    label: int
    label_share: float
    student_return: float
    unmasked_return: float | None


@dataclass(frozen=True)
class Rung:
    """One fit.

    Attributes:
        changes: what differs from the recipe's first iteration, of TRAINING, SCALING, MASK, DAGGER.
        steps: gradient steps in all. cross_entropy: at the end, under its own loss.
        accuracy, rare_accuracy: on unseen episodes of the expert, overall and where the label is
            not the commonest. mean_return: greedy, among possible actions, on unseen episodes.
    """

    name: str
    changes: tuple[str, ...]
    steps: int
    learning_rate: float
    standardised: bool
    mask_loss: bool
    iterations: int
    cross_entropy: float
    losses: tuple[float, ...]
    accuracy: float
    rare_accuracy: float
    mean_return: float


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was measured; `words.findings` says what it means.

    Attributes:
        core_ceiling: the ceiling without clocks and without the agent's own past; None where
            nothing else is left.
        nothing: name and mean return of the policy that does nothing, where there is one.
        ladder: the recipe's first iteration, then one change more in each rung.
        others: the remaining combinations of the same changes.
        divergences: of the recipe's student, and of the best fit without the mask in its loss.
    """

    recipe: str
    seed: int
    env: str
    env_args: dict[str, Any]
    expert: str
    expert_return: float
    episodes: int
    mask_loss: bool
    fresh_optimiser: bool
    inputs: Inputs
    labels: Labels
    guessing: Guessing
    ceiling: Ceiling
    core_ceiling: Ceiling | None
    training: Training
    iterations: tuple[Iteration, ...]
    nothing: tuple[str, float] | None
    ladder: tuple[Rung, ...]
    others: tuple[Rung, ...]
    divergences: tuple[Divergence, ...]
    evaluation: Evaluation
    published: PublishedImitation | None

    def mends(self, rung: Rung) -> bool:
        """It earns as much as the expert does, less `SHORTFALL` of that at most."""
        return self.is_as_good(rung.mean_return)

    def is_as_good(self, mean_return: float) -> bool:
        """As `mends`, of a mean return."""
        return mean_return >= self.expert_return - SHORTFALL * abs(self.expert_return)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon diagnose --json``."""
        plain = {
            name: getattr(self, name)
            for name in ("recipe", "seed", "env", "env_args", "expert", "expert_return",
                         "episodes", "mask_loss", "fresh_optimiser")
        }  # fmt: skip
        for name in ("inputs", "labels", "guessing", "ceiling", "training"):
            plain[name] = asdict(getattr(self, name))
        return {
            **plain,
            "core_ceiling": None if self.core_ceiling is None else asdict(self.core_ceiling),
            "iterations": [asdict(iteration) for iteration in self.iterations],
            "nothing": None
            if self.nothing is None
            else {"policy": self.nothing[0], "mean_return": self.nothing[1]},
            "ladder": [{**asdict(rung), "mends": self.mends(rung)} for rung in self.ladder],
            "others": [{**asdict(rung), "mends": self.mends(rung)} for rung in self.others],
            "divergences": [found.as_json() for found in self.divergences],
            "evaluation": self.evaluation.as_json(),
            "published": None if self.published is None else asdict(self.published),
        }
