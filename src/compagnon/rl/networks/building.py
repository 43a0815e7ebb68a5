"""The networks that a recipe describes, by their kinds."""

from compagnon.policy.manifest import CategoricalHead, MatchingHead
from compagnon.rl.algorithm import BuildPlan
from compagnon.rl.networks.kinds import Networks, Std
from compagnon.rl.networks.modules import ModulePolicyNetwork
from compagnon.rl.networks.trainable import PairwiseNetwork, PolicyNetwork


def policy_network(
    plan: BuildPlan,
    networks: Networks = "separate",
    std: Std = "learnt",
    initial_std: float = 1.0,
) -> PolicyNetwork:
    """The actor and the critic that a recipe describes.

    Args:
        networks, std, initial_std: see `PolicyNetwork`.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    recipe, spec = plan.recipe, plan.recipe.network
    if spec.kind == "pairwise":
        if networks == "joint":
            raise plan.refuse(
                "algorithm.networks 'joint' is for perceptrons; pairwise actors and critics are "
                "separate"
            )
        head = MatchingHead() if spec.greedy == "matching" else CategoricalHead()
        return PairwiseNetwork(
            plan.schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device, head
        )
    if spec.kind != "mlp":
        if networks == "joint":
            raise plan.refuse(
                "algorithm.networks 'joint' is for perceptrons; a network of one's own is made "
                "twice, for actor and critic"
            )
        return ModulePolicyNetwork(
            plan.schema, spec.kind, spec.options, recipe.seed, spec.fields, spec.scale_inputs,
            recipe.device, std, initial_std,
        )  # fmt: skip
    return PolicyNetwork(
        plan.schema, spec.hidden, spec.activation, recipe.seed, spec.fields, spec.scale_inputs,
        recipe.device, networks, std, initial_std,
    )  # fmt: skip
