"""Runs a recipe: iterates its algorithm, judges it, keeps the best, saves and resumes."""

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import EpisodeResults, play_episodes, seeds_from
from compagnon.evaluation.statistics import mean_interval
from compagnon.policy import NetworkPolicy, Schema, load_artefact, load_policy, save_policy
from compagnon.policy.network import DeterministicPolicy, ValuesPolicy, network_policy
from compagnon.rl import run as files
from compagnon.rl.algorithm import Expert, build_algorithm, total_iterations
from compagnon.rl.callbacks import EVALUATION, Callback, IterationInfo, StopLearning
from compagnon.rl.checkpoint import load_newest_checkpoint, save_checkpoint
from compagnon.rl.filming import check_filming, film_if_due
from compagnon.rl.process import ENDING_SIGNALS, check_device, handling, threads
from compagnon.rl.progress import RunOutcome, RunProgress, State
from compagnon.rl.provenance import Origin
from compagnon.rl.recipe import Recipe
from compagnon.rl.recipe_history import note_recipe
from compagnon.rl.run import Run
from compagnon.rl.settings import forbidden_changes


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what happened, where, and what may help."""


class Trainer:
    """One run of one recipe.

    Args:
        run: where everything is kept.
        recipe: the run's own unless another budget is wanted.
        expert: what is imitated, where it has no name that it could be loaded by.
    """

    def __init__(
        self, run: Run, recipe: Recipe | None = None, expert: Expert | None = None
    ) -> None:
        self.run = run
        self.recipe = recipe or run.recipe
        with threads(self.recipe.threads):  # first weights are made as they are in any run of it
            self.algorithm, self.network = build_algorithm(self.recipe, expert)
        self.origin = Origin(self.recipe, expert, run.path / files.CLONE)
        self.progress = RunProgress()
        self.total = total_iterations(self.recipe)
        self._against: EpisodeResults | None = None
        self._stop = False
        self._reason = ""  # why a callback ended it
        self._saved = -1
        self._told = 0  # how many notices

    @classmethod
    def resume(
        cls, path: Path, recipe: Recipe | None = None, expert: Expert | None = None
    ) -> "Trainer":
        """Go on with a run from its newest checkpoint, or from its beginning if it has none.

        Raises:
            InputError: no run is there, no checkpoint of it can be read, `recipe` changes what a
                checkpoint cannot follow, or another process trains it.
        """
        run = Run.open(path)
        run.check_kept()
        if recipe is not None:
            _check_changes(run, recipe)
        check_device((recipe or run.recipe).device)
        trainer = cls(run, recipe, expert)
        state = load_newest_checkpoint(trainer.run.checkpoints)
        if state is not None:
            try:
                trainer.algorithm.load_state_dict(state["algorithm"])
                trainer.network.load_state_dict(state["network"])
                trainer.progress = RunProgress(**state["progress"])
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                reason = str(error).partition("\n")[0]
                raise InputError(
                    f"the checkpoints of {path} do not fit this recipe or version ({reason})"
                ) from None
            trainer._saved = trainer.algorithm.iteration
            trainer._told = len(trainer.progress.notices)
            if not trainer.algorithm.goes_on:
                fault = trainer.algorithm.env.not_restored
                trainer.progress.notice(
                    f"the episodes under way of {trainer.recipe.env.id} could not be brought back: "
                    f"{fault or 'they do not follow from seeds and actions alone'}. New ones were "
                    "begun, so this is not, bit for bit, the run that was interrupted"
                )
        if not (path / files.BEST).is_dir():  # it was taken away: the next one judged is the best
            trainer.progress.best_return, trainer.progress.best_iteration = -math.inf, -1
        with run.alone():
            run.cut_metrics(trainer.algorithm.iteration)
        return trainer

    def train(
        self,
        callback: Callback | None = None,
        *,
        signals: Sequence[signal.Signals] = ENDING_SIGNALS,
    ) -> RunOutcome:
        """Iterate until the budget is spent, or a signal or the callback asks to stop.

        Args:
            callback: told of each iteration; it ends the run by False or `StopLearning`.
            signals: those that end the run after the iteration under way.

        Raises:
            TrainingError: a metric or a weight is not a finite number.
            InputError: another process trains in the run's folder.
        """
        with self._alone(), closing(self._tensorboard()) as board:
            with threads(self.recipe.threads), handling(signals, self._ask_to_stop):
                for info in self._iterations(board):
                    if callback is not None:
                        self._tell(callback, info)
                self._save_if_unsaved()
            return self._finish()

    def stream(
        self, *, signals: Sequence[signal.Signals] = ENDING_SIGNALS
    ) -> Iterator[IterationInfo]:
        """The same, iteration by iteration, for a loop; to leave the loop ends the run.

        Between two iterations threads and signals are as they were. The last iteration has been
        saved, and the outcome written, when the loop has ended.

        Raises:
            TrainingError, InputError: see `train`.
        """
        with self._alone(), closing(self._tensorboard()) as board:
            iterations = self._iterations(board)
            while True:
                with threads(self.recipe.threads), handling(signals, self._ask_to_stop):
                    info = next(iterations, None)
                if info is None:
                    break
                try:
                    yield info
                except GeneratorExit:
                    self._stop_because("the loop over its iterations was left")
                    break
            self._save_if_unsaved()
            self._finish()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self.run.alone():
            # Somebody may have gone on with the run since this trainer read its checkpoint.
            self.run.cut_metrics(self.algorithm.iteration)
            self._note_recipe()
            self._stop, self._reason = False, ""
            yield

    def _note_recipe(self) -> None:
        done = self.algorithm
        self.origin.changes = note_recipe(
            self.run.path, self.run.recipe, self.origin, done.iteration, done.env_steps
        )

    def _iterations(self, board: Any) -> Iterator[IterationInfo]:
        began = time.monotonic() - self.progress.seconds
        while not self._stop and not self._budget_spent():
            phase, episodes = self.algorithm.phase, self.algorithm.episodes
            imitated = self.algorithm.imitating
            metrics = self._iterate()
            last_of_clone = imitated and not self.algorithm.imitating
            self.progress.seconds = time.monotonic() - began
            evaluated = self._evaluation_due() or last_of_clone or self._budget_spent()
            if evaluated:
                metrics |= self._evaluate(is_clone=last_of_clone)
                self.progress.seconds = time.monotonic() - began
            self._look_at_episodes(metrics)
            self._record(metrics, phase, board)
            if self._checkpoint_due() or last_of_clone or self._budget_spent():
                self._save()
            self._film(episodes)
            yield self._info(metrics, phase, imitated)

    def _tell(self, callback: Callback, info: IterationInfo) -> None:
        try:
            if callback(info) is False:
                raise StopLearning
        except StopLearning as stop:
            self._stop_because(stop.reason)

    def _stop_because(self, reason: str) -> None:
        self._stop, self._reason = True, self._reason or reason

    def _save_if_unsaved(self) -> None:
        if self._saved != self.algorithm.iteration:
            self._save()

    def outcome(self) -> RunOutcome:
        """How far it came, and why it stands there."""
        return self._outcome(self._state())

    def _finish(self) -> RunOutcome:
        outcome = self.outcome()
        self.run.write_outcome(outcome.as_json())
        self._say_in_manifests(outcome)
        return outcome

    # -- when ---------------------------------------------------------------------------------

    def _budget_spent(self) -> bool:
        minutes = self.recipe.budget.minutes
        out_of_time = minutes is not None and self.progress.seconds >= 60 * minutes
        return out_of_time or self._work_done()

    def _work_done(self) -> bool:
        """Whether the budget is spent, as far as it is in work: the same on every machine."""
        budget, done = self.recipe.budget, self.algorithm
        if budget.episodes is not None and done.episodes >= budget.episodes:
            return True
        if self.total is not None and done.iteration >= self.total:
            return True
        return budget.env_steps is not None and done.env_steps >= budget.env_steps

    def _state(self) -> State:
        if self._work_done():
            return "finished"
        if self._reason:
            return "stopped"
        return "cut" if self._budget_spent() else "interrupted"

    def _evaluation_due(self) -> bool:
        return self.algorithm.iteration % self.recipe.evaluation.every == 0

    def _checkpoint_due(self) -> bool:
        every = self.recipe.checkpoint.every or self.recipe.evaluation.every
        return self.algorithm.iteration % every == 0

    def _ask_to_stop(self) -> None:
        """Asked once, it ends after this iteration and saves; asked again, at once."""
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True

    # -- judging ------------------------------------------------------------------------------

    def _evaluate(self, is_clone: bool = False) -> dict[str, float]:
        """Play the evaluation's episodes, greedy and sampled; keep the policy if it is the best."""
        spec, recipe, progress = self.recipe.evaluation, self.recipe, self.progress
        policy = self.policy()
        env = (recipe.env.id, recipe.env.args)
        one = BatchEnv(*env, 1)
        seeds = seeds_from(one, spec.seed, spec.episodes)
        backend = recipe.env.judged_by
        greedy = play_episodes(*env, policy, seeds, backend=backend)
        mean = float(greedy.returns.mean())
        metrics = {EVALUATION: mean, "eval/length": float(greedy.lengths.mean())}
        if not isinstance(policy, ValuesPolicy | DeterministicPolicy):
            sampled = play_episodes(*env, policy, seeds, sample_seed=spec.seed, backend=backend)
            metrics["eval/return_sampled"] = float(sampled.returns.mean())
        metrics |= {f"eval/{name}": float(v.mean()) for name, v in greedy.kpis.items()}
        if spec.against is not None:
            if self._against is None:
                against = load_policy(spec.against, Schema.of(one))
                self._against = play_episodes(*env, against, seeds, backend=backend)
            difference = greedy.returns - self._against.returns
            low, high = mean_interval(difference)
            metrics["eval/paired"] = float(difference.mean())
            metrics |= {"eval/paired_low": low, "eval/paired_high": high}
        if mean > progress.best_return:
            progress.best_return, progress.best_iteration = mean, self.algorithm.iteration
            save_policy(self._with_figures(policy, metrics), self.run.path / files.BEST)
        if is_clone:
            progress.new_clone(mean)
            save_policy(self._with_figures(policy, metrics), self.run.path / files.CLONE)
        else:
            progress.trained(mean)
        return metrics

    def _look_at_episodes(self, metrics: dict[str, float]) -> None:
        """Say so where practice never comes to the end of an episode."""
        practised = self.algorithm.practice
        if practised.episodes or self.algorithm.imitating or not practised.iteration:
            return
        steps = practised.env_steps // practised.env.num_envs
        length = metrics.get("eval/length", math.inf)
        if steps < 2 * length and not self._budget_spent():
            return
        words = (
            f"no training episode has ended in {practised.iteration:,} iterations of practice, "
            f"{steps:,} steps of each copy"
        )
        if math.isfinite(length):
            words += f" (in evaluations an episode takes {length:,.0f})"
        self.progress.notice(f"{words}: what comes late in an episode is not learnt from")

    def _film(self, episodes_before: int) -> None:
        if self.recipe.video.every_episodes:
            now = self.algorithm.episodes
            film_if_due(self.recipe, self.policy(), self.run.path, episodes_before, now)

    def policy(self) -> NetworkPolicy:
        """The policy as it is now, with its provenance."""
        done = self.algorithm
        provenance = self.origin.provenance(done.iteration, done.env_steps)
        return self.network.as_policy(self.recipe.name, provenance)

    def _outcome(self, state: State) -> RunOutcome:
        done = self.algorithm
        return RunOutcome(
            state,
            self.progress,
            done.iteration,
            done.env_steps,
            self.total,
            self.recipe.budget,
            self._reason,
            done.episodes,
        )

    def _say_in_manifests(self, outcome: RunOutcome) -> None:
        """Let the run's policies say of themselves where their training was not finished."""
        for name in (files.BEST, files.LAST):
            path = self.run.path / name
            if not path.is_dir():
                continue
            policy = load_artefact(path)
            manifest = policy.manifest
            if manifest.provenance.training == outcome.words:
                continue
            provenance = manifest.provenance.model_copy(update={"training": outcome.words})
            manifest = manifest.model_copy(update={"provenance": provenance})
            save_policy(network_policy(manifest, policy.weights, policy.projection), path)

    @staticmethod
    def _with_figures(policy: NetworkPolicy, metrics: dict[str, float]) -> NetworkPolicy:
        figures = {name: value for name, value in metrics.items() if math.isfinite(value)}
        manifest = policy.manifest.model_copy(update={"figures": figures})
        return network_policy(manifest, policy.weights, policy.projection)

    def _iterate(self) -> dict[str, float]:
        """One iteration, refused where it left something that is no finite number."""
        number, phase = self.algorithm.iteration + 1, self.algorithm.phase
        try:
            metrics = self.algorithm.iterate()
        except FloatingPointError as error:
            raise self._went_wrong(number, phase, str(error)) from None
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise self._went_wrong(number, phase, f"{name} is {value}")
        for module in self.network.modules.values():
            if not all(bool(weight.isfinite().all()) for weight in module.parameters()):
                raise self._went_wrong(number, phase, "a weight is not a finite number")
        return metrics

    def _went_wrong(self, iteration: int, phase: str, what: str) -> TrainingError:
        kept = "No checkpoint had been made"
        if self._saved >= 0:
            kept = f"The checkpoint of iteration {self._saved} is kept in {self.run.checkpoints}"
        return TrainingError(
            f"training went wrong at iteration {iteration} ({phase}): {what}. {kept}; "
            "a smaller learning_rate is the first thing to try"
        )

    # -- keeping ------------------------------------------------------------------------------

    def _save(self) -> None:
        tree = {
            "algorithm": self.algorithm.state_dict(),
            "network": self.network.state_dict(),
            "progress": dict(vars(self.progress)),
        }
        save_checkpoint(self.run.checkpoints, self.algorithm.iteration, tree)
        save_policy(self.policy(), self.run.path / files.LAST)  # see `Run.check_kept`
        self.run.write_outcome(self._outcome("running").as_json())
        self._saved = self.algorithm.iteration

    def _record(self, metrics: dict[str, float], phase: str, board: Any) -> None:
        iteration = self.algorithm.iteration
        line = {
            "iteration": iteration,
            "phase": phase,
            "env_steps": self.algorithm.env_steps,
            "seconds": round(self.progress.seconds, 3),
            **metrics,
        }
        self.run.append_metrics(line)
        for name, value in metrics.items():
            board.add_scalar(name if "/" in name else f"{phase}/{name}", value, iteration)

    def _tensorboard(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        folder = self.run.path / "tensorboard"
        return SummaryWriter(str(folder), purge_step=self.algorithm.iteration + 1)

    def _info(self, metrics: dict[str, float], phase: str, imitated: bool) -> IterationInfo:
        return IterationInfo(
            self.algorithm.iteration,
            self.total,
            self.algorithm.env_steps,
            self.progress.seconds,
            phase,
            metrics,
            self._untold(),
            imitated,
        )

    def _untold(self) -> list[str]:
        new = self.progress.notices[self._told :]
        self._told = len(self.progress.notices)
        return new


def start(recipe: Recipe, path: Path, expert: Expert | None = None) -> Trainer:
    """A new run of `recipe` in the directory `path`; `expert` as in `Trainer`.

    Raises:
        InputError: something is there already, a setting does not fit, or a policy that the recipe
            names cannot play.
    """
    check_recipe(recipe, expert)
    return Trainer(Run.create(path, recipe), recipe, expert)


def check_recipe(recipe: Recipe, expert: Expert | None = None) -> None:
    """Refuse a recipe that cannot run here, before anything is written for it.

    Raises:
        InputError: a setting does not fit, or a policy that the recipe names cannot play.
    """
    check_device(recipe.device)
    check_filming(recipe)
    build_algorithm(recipe, expert)
    schema = Schema.of(BatchEnv(recipe.env.id, recipe.env.args, 1))
    for name in recipe.references():
        load_policy(name, schema)


def _check_changes(run: Run, recipe: Recipe) -> None:
    """Refuse changes of a run's recipe that make its arrays and weights mean something else."""
    for key, before, now in forbidden_changes(run.recipe, recipe):
        raise InputError(
            f"{run.path} was begun with {key} = {before!r}; {now!r} needs a run of its own "
            "(another --out, without --resume)"
        )
