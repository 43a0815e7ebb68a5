"""The hybrid hands one network from imitation to practice, once or in turn."""

import numpy as np
import pytest

from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.hybrid import Hybrid, HybridSettings
from tests.rl.small import recipe_of


def built(mode: str, **changes) -> Hybrid:
    hybrid, network = build_algorithm(recipe_of(mode, **changes))
    assert isinstance(hybrid, Hybrid)
    assert hybrid.dagger.network is hybrid.ppo.network is network
    return hybrid


def played(hybrid: Hybrid, iterations: int) -> list[str]:
    phases = []
    for _ in range(iterations):
        phases.append(hybrid.phase)
        metrics = hybrid.iterate()
        assert ("policy_loss" if phases[-1] == "ppo" else "cross_entropy") in metrics
    return phases


def test_in_sequence_all_imitation_comes_first():
    assert played(built("sequence"), 5) == ["dagger", "dagger", "ppo", "ppo", "ppo"]


def test_in_turn_practice_follows_each_imitation():
    hybrid = built("alternate", algorithm__ppo_per_dagger=2)
    wanted = ["dagger", "ppo", "ppo", "dagger", "ppo", "ppo", "ppo", "ppo"]
    assert played(hybrid, 8) == wanted


def test_schedules_of_practice_run_over_what_imitation_leaves_of_the_budget():
    assert built("sequence", budget__iterations=7).ppo.total_iterations == 5
    assert built("sequence", budget={"minutes": 1}).ppo.total_iterations is None


def test_steps_of_both_phases_are_counted():
    hybrid = built("sequence")
    played(hybrid, 3)
    assert hybrid.iteration == 3
    assert hybrid.env_steps == 2 * 4 * 50 + 4 * 16


def test_practice_starts_from_the_clone_and_holds_on_to_it():
    hybrid = built("alternate")
    hybrid.iterate()
    clone = {name: value.clone() for name, value in hybrid.ppo.network.actor.state_dict().items()}
    hybrid.iterate()
    assert hybrid.ppo.reference is not None
    for name, value in hybrid.ppo.reference["actor"].items():
        assert value.equal(clone[name])


@pytest.mark.parametrize("mode", ["sequence", "alternate"])
def test_a_clone_is_softened_whenever_practice_follows_imitation(mode, monkeypatch):
    """Logits are halved before it, once for each clone, and never between two of practice."""
    hybrid = built(mode, algorithm__ppo_per_dagger=2, algorithm__clone_temperature=2.0)
    obs = np.zeros((1, len(hybrid.ppo.network.schema.observation.fields)), np.float32)
    seen, softened = [], []
    iterate = hybrid.ppo.iterate

    def watched():
        logits = hybrid.ppo.network.logits(obs)
        softened.append(round(float((seen[-1] / logits).mean()), 3))
        metrics = iterate()
        seen.append(hybrid.ppo.network.logits(obs))
        return metrics

    monkeypatch.setattr(hybrid.ppo, "iterate", watched)
    for _ in range(7):
        phase = hybrid.phase
        hybrid.iterate()
        if phase == "dagger":
            seen.append(hybrid.dagger.network.logits(obs))
    wanted = {"sequence": [2, 1, 1, 1, 1], "alternate": [2, 1, 2, 1, 1]}[mode]
    assert softened == pytest.approx(wanted, abs=1e-3)


def test_the_clone_s_scaling_is_kept_in_practice():
    hybrid = built("sequence")
    played(hybrid, 2)
    mean = hybrid.ppo.network.scaler.mean.copy()
    played(hybrid, 2)
    assert (hybrid.ppo.network.scaler.mean == mean).all()


@pytest.mark.parametrize("mode", ["sequence", "alternate"])
def test_the_phase_of_each_iteration_can_be_told_beforehand(mode):
    settings = HybridSettings(**{"mode": mode, "ppo_per_dagger": 2, "dagger": {"iterations": 2}})
    imitated, phases = 0, []
    for iteration in range(6):
        phases.append(settings.phase(iteration, imitated))
        imitated += phases[-1] == "dagger"
    wanted = {"sequence": "ddpppp", "alternate": "dppdpp"}[mode]
    assert "".join(phase[0] for phase in phases) == wanted
