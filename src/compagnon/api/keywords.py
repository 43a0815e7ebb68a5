"""The keywords of `cp.PPO` and its like, for editors and type checkers.

Written by `docs/make_keywords.py` from the settings, which check what is given; a test holds them
equal.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class NetworkKeywords(TypedDict, total=False):
    """The recipe's table `network`."""

    # mlp, a perceptron; pairwise, a scorer of pairs for boards of any size; or a network of your
    # own: module:function that makes one, or its registered name
    kind: str
    # sizes of the hidden layers
    hidden: Sequence[int]
    # tanh or relu
    activation: Literal["tanh", "relu"]
    # standardise observations as they come, not at all, or by their ranges
    scale_inputs: Literal[True, False, "ranges"]
    # observation fields to read, all if not given; pairwise: kinds of fields, such as time,
    # driver_east, place_door, pair_slack
    fields: Sequence[str] | None
    # pairwise: numbers that a driver or a booking is summed up in
    embedding: int
    # pairwise: play the best action, or match a batch of pairs at once
    greedy: Literal["best", "matching"]
    # what the function that makes a network of your own is called with
    options: dict[str, Any] | None


class EvaluationKeywords(TypedDict, total=False):
    """The recipe's table `evaluation`."""

    # iterations between evaluations
    every: int
    # episodes of each evaluation
    episodes: int
    # first seed; never used in training
    seed: int
    # a policy to compare with on the same episodes
    against: str | None
    # more policies for the report to compare
    beside: Sequence[str]


class CheckpointKeywords(TypedDict, total=False):
    """The recipe's table `checkpoint`."""

    # iterations between checkpoints; as evaluations are, if not given
    every: int | None


class VideoKeywords(TypedDict, total=False):
    """The recipe's table `video`."""

    # training episodes from one video to the next; 0: none
    every_episodes: int
    # mp4 (extra `video`) or gif
    format: Literal["mp4", "gif"]
    # at most so many steps; a whole episode
    steps: int | None


class LearnerKeywords(TypedDict, total=False):
    """What every algorithm takes beside its own settings."""

    # what the run is called
    name: str
    # one sentence for a person
    description: str
    # cpu, or cuda where there is one
    device: str
    # threads of the networks and environments
    threads: int
    network: NetworkKeywords
    evaluation: EvaluationKeywords
    checkpoint: CheckpointKeywords
    video: VideoKeywords
    # who steps the environment in training; it is always judged by gymnasium
    backend: Literal["gymnasium", "envpool", "processes"]


class DQNKeywords(LearnerKeywords, total=False):
    """The settings of `dqn`; see `DQNSettings`."""

    # copies of the environment
    num_envs: int
    # environment steps, of all copies together, of one iteration
    iteration_steps: int
    # steps of each copy between two trainings
    train_every: int
    # updates of a training
    updates: int
    # discount of one unit of the env's time
    gamma: float
    # what rewards are multiplied by, as values near 1 are learnt soonest; auto: over the root
    # mean square of those of the warm-up, where that is above 1
    reward_scale: float | Literal["auto"]
    # steps that a transition spans
    n_step: int
    # transitions that are remembered
    capacity: int
    # transitions before the first update
    learning_starts: int
    # transitions of an update
    batch_size: int
    # Adam's step size at the start
    learning_rate: float
    # step size reached at the end of the budget, linearly; 0 stays put
    final_learning_rate: float
    # environment steps between two updates of the target network
    target_every: int
    # how far the target then moves; 1 copies the network
    tau: float
    # share of random actions at first
    epsilon_start: float
    # share of random actions at last
    epsilon_end: float
    # how the share falls from the one to the other
    epsilon_decay: Literal["linear", "geometric"]
    # environment steps that this takes
    epsilon_steps: int
    # episodes that this takes, instead of steps
    epsilon_episodes: int | None
    # copy i of N explores with epsilon ** (1 + spread i / (N - 1))
    epsilon_spread: float
    # of the errors
    loss: Literal["huber", "squared"]
    # gradient norm at most; 0: any
    max_grad_norm: float
    # each gradient at most; 0: any
    max_grad_value: float
    # the network chooses, the target network values
    double: bool
    # values and advantages have layers of their own
    dueling: bool
    # draw transitions by their errors
    prioritised: bool
    # prioritised: how much errors matter
    alpha: float
    # prioritised: correction at the start; 1 at the budget's end
    beta: float


class PPOTable(TypedDict, total=False):
    """The settings of `ppo`; see `PPOSettings`."""

    # copies of the environment
    num_envs: int
    # steps of each copy between two updates
    rollout_steps: int
    # whole episodes of each copy between two updates, instead of steps
    episodes_per_env: int
    # passes over a rollout
    epochs: int
    # rows of one gradient step
    minibatch_size: int
    # Adam's step size at the start
    learning_rate: float
    # step size reached at the end of the budget, linearly; 0 stays put
    final_learning_rate: float
    # the critic's step size at the start, if it is to be another
    critic_learning_rate: float | None
    # added to the root of Adam's second moment
    adam_eps: float
    # discount of one unit of the env's time
    gamma: float
    # 1 gives rewards-to-go
    gae_lambda: float
    # divide by the return's deviation; standardise in each episode
    reward_scale: Literal["none", "running", "per_trajectory"]
    # over what advantages get mean 0 and deviation 1
    standardise_advantages: Literal["rollout", "minibatch", "none"]
    # how far the ratio may usefully move
    clip_coef: float
    # weight of the entropy bonus
    entropy_coef: float
    # weight reached at the end of the budget, linearly
    final_entropy_coef: float | None
    # actor and critic apart, or one network with a value output
    networks: Literal["separate", "joint"]
    # weight of the critic's loss
    value_coef: float
    # how far a value may usefully move, in its own units; 0: no bound
    value_clip: float
    # the critic learns returns in units of their moving deviation (PopArt)
    scale_values: bool
    # deviation of vector actions; by_state: an output of the actor
    std: Literal["fixed", "learnt", "by_state"]
    # of actions: one of your own, by module:function or its registered name
    distribution: str | None
    # that deviation at the start, in half the range of the bounds
    initial_std: float
    # gradient norm of each network at most; 0: no bound
    max_grad_norm: float
    # stop the epochs when the policy has moved so far
    target_kl: float | None
    # when that is looked at; a minibatch that is too far is not learnt
    target_kl_after: Literal["epoch", "minibatch"]
    # first iterations that train the critic alone, for a policy that knows
    critic_warmup: int
    # weight of KL(start || policy): how hard the start is held on to
    reference_coef: float
    # iterations after the warm-up in which that weight halves
    reference_half_life: float


class PPOKeywords(PPOTable, LearnerKeywords, total=False):
    """The settings of `ppo`; see `PPOSettings`."""


class DDPGKeywords(LearnerKeywords, total=False):
    """The settings of `ddpg`; see `DDPGSettings`."""

    # in the hidden layers of actor and critics
    norm: Literal["none", "layer", "batch"]
    # ou, gaussian, draws, parameters, none; not named: ou for vectors, else draws
    exploration: Literal["ou", "gaussian", "draws", "parameters", "none"] | None
    # ou, gaussian: deviation, in half-ranges
    noise_std: float
    # ou: how strongly the noise is pulled to 0
    ou_theta: float
    # ou: time of a step
    ou_dt: float
    # ou, gaussian: keep the action and the noise off the bounds
    repulsive_boundary: bool
    # share of the boundary's slope of a step
    repulsion: float
    # parameters: deviation of weights at first
    parameter_std: float
    # parameters: how far actions shall move, in half-ranges
    parameter_distance: float
    # parameters: how much the deviation changes at a time
    parameter_factor: float
    # parameters: steps of each copy between two such changes
    parameter_every: int
    # copies of the environment
    num_envs: int
    # environment steps, of all copies together, of one iteration
    iteration_steps: int
    # steps of each copy between two trainings
    train_every: int
    # updates of a training
    updates: int
    # discount of one unit of the env's time
    gamma: float
    # what rewards are multiplied by, as values near 1 are learnt soonest; auto: over the root
    # mean square of those of the warm-up, where that is above 1
    reward_scale: float | Literal["auto"]
    # steps that a transition spans
    n_step: int
    # with target networks (double) or without (simple)
    version: Literal["double", "simple"]
    # transitions that are remembered
    capacity: int
    # environment steps of uniform actions before the first update
    learning_starts: int
    # transitions of an update
    batch_size: int
    # Adam's step size for the actor
    actor_learning_rate: float
    # Adam's step size for the critic
    critic_learning_rate: float
    # of both step sizes, reached linearly by the budget's end
    final_rate_share: float
    # gradient norm at most, of the actor and of the critics; 0: any
    max_grad_norm: float
    # double: how far the targets move at a time
    tau: float
    # double: updates between two such moves
    target_interval: int
    # widths of the critic's state stream
    critic_state_hidden: Sequence[int]
    # widths of the critic's action stream
    critic_action_hidden: Sequence[int]
    # widths of what joins the two streams
    critic_hidden: Sequence[int]
    # beside a network.kind of your own, another one for critics that read states and actions
    # apart: module:function that makes one, or its registered name
    critic_network: str | None
    # what the function that makes those critics is called with
    critic_options: dict[str, Any] | None
    # what brings the actor's outputs within the bounds
    squash: Literal["sigmoid", "tanh"]
    # TD3: learn the lesser of two critics' values
    twin_critics: bool
    # TD3: deviation of the noise on the target's actions, in half-ranges
    target_noise: float
    # TD3: that noise at most
    target_noise_clip: float
    # TD3: updates of the critics for one of the actor
    actor_delay: int


class DaggerTable(TypedDict, total=False):
    """The settings of `dagger`; see `DaggerSettings`."""

    # copies of the environment that collect
    num_envs: int
    # steps of each copy in one collection
    collect_steps: int
    # collections, the first by the expert alone
    iterations: int
    # beta of collection i is this to the power i
    expert_share: float
    # how the student acts
    student: Literal["greedy", "sampled"]
    # decisions kept; a fair sample beyond that
    capacity: int
    # share of WAIT-like common decisions kept when collecting
    keep_share: float
    # decisions of one gradient step
    batch_size: int
    # gradient steps an iteration; 0 counts in epochs instead
    gradient_steps: int
    # passes over the data an iteration, if no steps
    epochs: int
    # Adam's step size
    learning_rate: float
    # step size reached at the end of each iteration; 0 stays put
    final_learning_rate: float
    # begin each iteration with Adam's moments at zero
    fresh_optimiser: bool
    # weight of a label: its frequency to the power -balance
    balance: float
    # take the loss over possible actions alone
    mask_loss: bool
    # keep one episode in 20 out of training, to measure agreement on
    hold_out: bool


class DaggerKeywords(DaggerTable, LearnerKeywords, total=False):
    """The settings of `dagger`; see `DaggerSettings`."""


class HybridKeywords(LearnerKeywords, total=False):
    """The settings of `hybrid`; see `HybridSettings`."""

    # a clone's logits are divided by it before it is practised
    clone_temperature: float
    dagger: DaggerTable
    ppo: PPOTable
    # all imitation first, or one iteration of each in turn
    mode: Literal["sequence", "alternate"]
    # in turn: iterations of practice after each of imitation
    ppo_per_dagger: int


class ExpertIterationKeywords(LearnerKeywords, total=False):
    """The settings of `expert_iteration`; see `ExpertIterationSettings`."""

    # a clone's logits are divided by it before it is practised
    clone_temperature: float
    dagger: DaggerTable
    ppo: PPOTable
    # look-aheads, each followed by practice
    rounds: int
    # iterations of practice after each look-ahead
    practice: int
    # decisions that a look-ahead values in one round
    looks: int
    # copies of the environment to look in
    num_envs: int
    # steps of each copy, over which the looks are spread
    collect_steps: int
    # who plays on after a candidate, from the second round on: an expert that is a compiled rule
    # is ten times as fast, and what is learnt is one step ahead of it
    plays_on: Literal["network", "expert"]
    # drawn futures of one decision
    futures: int
    # actions that are tried in one decision at most; 0 for the world's own
    candidates: int
    # weight of the KL from the policy before, to advantages of size 1
    kl_coef: float
    # decisions of one gradient step
    batch_size: int
    # gradient steps of one round
    gradient_steps: int
    # Adam's step size, which falls to 0
    learning_rate: float
