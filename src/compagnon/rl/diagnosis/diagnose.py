"""Diagnoses an imitation: trains it as its recipe says and with one change after another.

What the figures mean is put into words by `words`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.divergence import Divergence, divergence
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.evaluation.labels import labels_of
from compagnon.policy import NetworkPolicy, Policy, Schema, load_policy
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.dagger import Dagger, DaggerSettings
from compagnon.rl.diagnosis.data import (
    CLOCKS,
    OWN_PAST,
    Ceiling,
    Inputs,
    LabelledDecisions,
    demonstrate,
    look_at_contradictions,
    look_at_inputs,
    look_at_labels,
    look_at_masks,
    what_expert_reads,
)
from compagnon.rl.diagnosis.figures import (
    CHANGES,
    DAGGER,
    MASK,
    SCALING,
    TRAINING,
    Diagnosis,
    Iteration,
    Rung,
    Size,
    Training,
)
from compagnon.rl.fast import masked
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.process import threads
from compagnon.rl.recipe import BudgetSpec, Recipe
from compagnon.worlds import find_world

UNSEEN_SEED = 1_000_000  # episodes that everybody plays
HELD_OUT_SEED = 2_000_000  # the expert's episodes that answers are judged on
LONG_RATE = 1e-3
PRACTICE = 3  # DAgger iterations of the last rung
_CURVE_POINTS = 20
_INVALID = "invalid_cost"  # the reward term of an environment that charges impossible actions


def diagnose(
    recipe: Recipe, size: Size | None = None, progress: Callable[[str], None] | None = None
) -> Diagnosis:
    """Train the recipe's imitation as it is and with changes, and measure what each one does.

    Args:
        recipe: its algorithm imitates, or does so among other things.
        size: how thorough; `Size()` if not given.
        progress: told what is worked on.

    Raises:
        InputError: the recipe imitates nobody, or a setting does not fit its environment.
    """
    size = size or Size()
    if size.episodes < 1:
        raise InputError(f"episodes={size.episodes}: at least 1")
    with threads(recipe.threads):
        return _Work(imitation_of(recipe), size, progress or (lambda _: None)).run()


def imitation_of(recipe: Recipe) -> Recipe:
    """The recipe's imitation alone, as a recipe.

    Raises:
        InputError: it has none.
    """
    imitation = recipe.algorithm.imitation(recipe.budget.iterations)
    if not isinstance(imitation, DaggerSettings):
        raise InputError(
            f"recipe {recipe.name}: {recipe.algorithm.kind} has no part that imitates as DAgger"
        )
    changes = {"algorithm": imitation, "budget": BudgetSpec(), "variants": {}}
    return recipe.model_copy(update=changes)


@dataclass(frozen=True)
class _Fit:
    """A trained student before its weeks are played: the figures come in `rung`."""

    rung: Rung
    policy: NetworkPolicy


class _Unmasked:
    """A student that ignores the mask, as the published test did, and pays for the impossible."""

    ignores_mask = True

    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy, self.name = policy, f"{policy.name}, mask ignored"

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.int64]:
        """The most probable action, possible or not."""
        return self._policy.act(obs, None, rng)


class _Work:
    """One diagnosis under way: what its steps share."""

    def __init__(self, recipe: Recipe, size: Size, say: Callable[[str], None]) -> None:
        assert isinstance(recipe.algorithm, DaggerSettings)
        self.recipe, self.size, self.say = recipe, size, say
        self.settings = recipe.algorithm
        self.env = (recipe.env.id, recipe.env.args)
        batch = BatchEnv(*self.env, 1)
        self.schema = Schema.of(batch)
        self.charges_invalid = _INVALID in batch.reward_term_names
        self.labels = labels_of(recipe.env.id)
        self.idle = self._idle()

    def run(self) -> Diagnosis:
        """Every step, in order."""
        _, network = _build(self.recipe)  # a recipe that does not fit is refused before any play
        expert = load_policy(str(self.recipe.expert()), self.schema)
        self.say("the expert's decisions")
        seeds = list(range(HELD_OUT_SEED, HELD_OUT_SEED + self.size.held_out))
        self.held_out = demonstrate(*self.env, expert, seeds)
        self.rare = self.held_out.labels != np.bincount(self.held_out.labels).argmax()
        read = what_expert_reads(expert, self.held_out, self.recipe.seed)
        self.read = dict(zip(self.schema.observation.names, read, strict=True))
        students, iterations, first, training, inputs = self._rerun()
        fits = self._fit_all(first)
        evaluation = self._play(expert, students, fits)
        returns = {score.name: score.mean for score in evaluation.scores}
        ladder, others = self._arrange(fits, returns)
        own = network.project(self.held_out.obs)
        return Diagnosis(
            recipe=self.recipe.name,
            seed=self.recipe.seed,
            env=self.recipe.env.id,
            env_args=self.recipe.env.args,
            expert=expert.name,
            expert_return=returns[expert.name],
            episodes=self.size.episodes,
            mask_loss=self.settings.mask_loss,
            fresh_optimiser=self.settings.fresh_optimiser,
            inputs=inputs,
            labels=look_at_labels(self.held_out.labels, self.labels),
            guessing=look_at_masks(self.held_out.action_mask),
            ceiling=look_at_contradictions(own, self.held_out.labels),
            core_ceiling=_core_ceiling(own, network, self.held_out),
            training=training,
            iterations=tuple(
                replace(
                    iteration,
                    student_return=returns[student.name],
                    unmasked_return=returns.get(_Unmasked(student).name),
                )
                for iteration, student in zip(iterations, students, strict=True)
            ),
            nothing=None if self.idle is None else (self.idle, returns[self.idle]),
            ladder=ladder,
            others=others,
            divergences=self._divergences(expert, students[-1], fits, ladder),
            evaluation=evaluation,
            published=find_world(self.recipe.env.id).published_imitation(self.recipe.name),
        )

    # -- training -----------------------------------------------------------------------------

    def _rerun(
        self,
    ) -> tuple[list[NetworkPolicy], list[Iteration], _Fit, Training, Inputs]:
        """The recipe as it is: students, iterations, the first student as a fit, and figures."""
        dagger, network = _build(self.recipe)
        start = {name: value.clone() for name, value in network.actor.state_dict().items()}
        students: list[NetworkPolicy] = []
        iterations: list[Iteration] = []
        steps: list[int] = []
        while not dagger.finished:
            self.say(f"the recipe as it is, iteration {dagger.iteration + 1}")
            before = len(dagger.data)
            metrics = dagger.iterate()
            # A store that is full has no rows of this iteration alone: all of it stands for them.
            fresh = dagger.data.labels[before % self.settings.capacity : len(dagger.data)]
            counts = np.bincount(fresh if len(fresh) else dagger.data.labels[: len(dagger.data)])
            losses = _curve(dagger.step_losses, self.settings.epochs)
            steps.append(len(dagger.step_losses))
            students.append(network.as_policy(f"student {dagger.iteration}"))
            iterations.append(
                Iteration(
                    losses,
                    len(dagger.data),
                    metrics["collection_return"],
                    int(counts.argmax()),
                    float(counts.max() / counts.sum()),
                    float("nan"),
                    None,
                )
            )
            if len(students) == 1:
                first = self._fit_of(self.recipe, (), dagger, network, metrics, students[0])
                names = network.schema.observation.names
                read = np.array([self.read[name] for name in names])
                inputs = look_at_inputs(network.read(self.held_out.obs), names, read)
        moved = max(
            float((value - start[name]).abs().max())
            for name, value in network.actor.state_dict().items()
        )
        rate = self.settings.learning_rate
        batch = min(self.settings.batch_size, len(dagger.data))
        training = Training(tuple(steps), batch, rate, rate * sum(steps), moved)
        return students, iterations, first, training, inputs

    def _changes(self) -> dict[str, dict[str, Any]]:
        """The changes that the recipe leaves to be made, in the ladder's order."""
        settings, size = self.settings, self.size
        found: dict[str, dict[str, Any]] = {}
        steps = settings.gradient_steps
        if steps < size.steps or settings.learning_rate < LONG_RATE:
            found[TRAINING] = {
                "gradient_steps": max(steps, size.steps),
                "epochs": 0,
                "learning_rate": max(settings.learning_rate, LONG_RATE),
            }
        if not self.recipe.network.scale_inputs:
            found[SCALING] = {}
        if not settings.mask_loss:
            found[MASK] = {"mask_loss": True}
        return found

    def _fit_all(self, first: _Fit) -> dict[tuple[str, ...], _Fit]:
        """Every combination of the changes, and all of them with more iterations."""
        changes = self._changes()
        every = tuple(changes)
        wanted = [
            chosen for count in range(1, len(every) + 1) for chosen in combinations(every, count)
        ]
        wanted.append((*every, DAGGER))
        fits: dict[tuple[str, ...], _Fit] = {(): first}
        for chosen in wanted:
            name = _name(chosen)
            self.say(f"training with {name}")
            recipe = self._changed(chosen, changes)
            dagger, network = _build(recipe)
            while not dagger.finished:
                metrics = dagger.iterate()
            policy = network.as_policy(name)
            fits[chosen] = self._fit_of(recipe, chosen, dagger, network, metrics, policy)
        return fits

    def _changed(self, chosen: tuple[str, ...], changes: dict[str, dict[str, Any]]) -> Recipe:
        update: dict[str, Any] = {"iterations": 1}
        for name in chosen:
            update |= changes.get(name, {})
        if DAGGER in chosen:
            update["iterations"] = max(PRACTICE, self.settings.iterations)
        scale = self.recipe.network.scale_inputs or SCALING in chosen
        return self.recipe.model_copy(
            update={
                "algorithm": self.settings.model_copy(update=update),
                "network": self.recipe.network.model_copy(update={"scale_inputs": scale}),
            }
        )

    def _fit_of(
        self,
        recipe: Recipe,
        chosen: tuple[str, ...],
        dagger: Dagger,
        network: PolicyNetwork,
        metrics: dict[str, float],
        policy: NetworkPolicy,
    ) -> _Fit:
        settings = dagger.settings
        answers = np.empty(len(self.held_out.labels), np.int64)
        logits = network.logits(network.read(self.held_out.obs))
        masked.greedy_actions(logits, self.held_out.action_mask, answers)
        right = answers == self.held_out.labels
        rung = Rung(
            name="",
            changes=chosen,
            steps=len(dagger.step_losses) * dagger.iteration,
            learning_rate=settings.learning_rate,
            standardised=bool(recipe.network.scale_inputs),
            mask_loss=settings.mask_loss,
            iterations=dagger.iteration,
            cross_entropy=metrics["cross_entropy"],
            losses=_curve(dagger.step_losses, settings.epochs),
            accuracy=float(right.mean()),
            rare_accuracy=float(right[self.rare].mean()) if self.rare.any() else float("nan"),
            mean_return=float("nan"),
        )
        return _Fit(rung, policy)

    # -- playing ------------------------------------------------------------------------------

    def _idle(self) -> str | None:
        """The policy that does nothing, where the environment has an action for that."""
        if self.labels.idle < 0:
            return None
        family = self.labels.family_of(np.arange(self.schema.action.n))
        return f"constant:{int(np.flatnonzero(family == self.labels.idle)[0])}"

    def _play(
        self,
        expert: Policy,
        students: list[NetworkPolicy],
        fits: dict[tuple[str, ...], _Fit],
    ) -> Evaluation:
        policies: list[str | Policy] = [expert]
        policies += [] if self.idle is None else [self.idle]
        for student in students:
            policies += [student, _Unmasked(student)] if self.charges_invalid else [student]
        policies += [fit.policy for chosen, fit in fits.items() if chosen]
        return evaluate(
            policies,
            *self.env,
            self.size.episodes,
            UNSEEN_SEED,
            progress=lambda name: self.say(f"playing {name}"),
        )

    def _arrange(
        self, fits: dict[tuple[str, ...], _Fit], returns: dict[str, float]
    ) -> tuple[tuple[Rung, ...], tuple[Rung, ...]]:
        """The fits as the ladder and the rest, named, with what they earned."""
        every = tuple(self._changes())
        steps = [every[:count] for count in range(len(every) + 1)] + [(*every, DAGGER)]
        ladder, others = [], []
        for chosen, fit in fits.items():
            rung = replace(fit.rung, mean_return=returns[fit.policy.name])
            if chosen in steps:
                ladder.append(
                    replace(rung, name=f"+ {CHANGES[chosen[-1]]}" if chosen else "as it is")
                )
            else:
                others.append(replace(rung, name=_name(chosen)))
        return tuple(ladder), tuple(others)

    def _divergences(
        self,
        expert: Policy,
        student: NetworkPolicy,
        fits: dict[tuple[str, ...], _Fit],
        ladder: tuple[Rung, ...],
    ) -> tuple[Divergence, ...]:
        compared: list[NetworkPolicy] = [student]
        unmasked = [rung for rung in ladder[1:] if not rung.mask_loss]
        if unmasked:
            best = max(unmasked, key=lambda rung: rung.rare_accuracy)
            compared.append(fits[best.changes].policy)
        found = []
        for policy in compared:
            self.say(f"where {policy.name} differs from the expert")
            found.append(
                divergence(policy, expert, *self.env, self.size.compared, UNSEEN_SEED, samples=0)
            )
        return tuple(found)


def _name(chosen: tuple[str, ...]) -> str:
    return " + ".join(CHANGES[change] for change in chosen)


def _build(recipe: Recipe) -> tuple[Dagger, PolicyNetwork]:
    algorithm, network = build_algorithm(recipe)
    assert isinstance(algorithm, Dagger)
    assert isinstance(network, PolicyNetwork)
    return algorithm, network


def _curve(losses: NDArray[np.float64], epochs: int) -> tuple[float, ...]:
    """The mean loss of each epoch; of a twentieth of the steps where they are not in epochs."""
    parts = np.array_split(losses, epochs or min(_CURVE_POINTS, len(losses)))
    return tuple(float(part.mean()) for part in parts)


def _core_ceiling(
    own: NDArray[np.float32], network: PolicyNetwork, held_out: LabelledDecisions
) -> Ceiling | None:
    names = network.schema.observation.names
    core = [i for i, n in enumerate(names) if n not in CLOCKS and not n.startswith(OWN_PAST)]
    return look_at_contradictions(own[:, core], held_out.labels) if core else None
