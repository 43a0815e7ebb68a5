"""The ball written a second time, from its docstring: one ball, plain Python, no kernel."""

import math

MASK = 2**64 - 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def uniform(seed, stream, index):
    return (mix(mix(seed ^ mix(stream)) ^ index) >> 11) / 2**53


class ReferenceBall:
    """`play` gives (position, reward, terminated, truncated) of each step until the end."""

    def __init__(self, dimension=1, sigma=1.0, max_steps=500, bonus=50.0, terminal_bonus=False):
        self.dimension, self.sigma, self.max_steps = dimension, sigma, max_steps
        self.bonus, self.terminal_bonus = bonus, terminal_bonus

    def reset(self, seed, episode=0):
        self.seed = mix(mix(seed) ^ episode)
        self.steps = 0
        self.position = [-2 + 4 * uniform(self.seed, 0, axis) for axis in range(self.dimension)]
        return self.position

    def step(self, action):
        for axis in range(self.dimension):
            u = uniform(self.seed, 1 + 2 * axis, self.steps)
            v = uniform(self.seed, 2 + 2 * axis, self.steps)
            noise = math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)
            push = max(-2.0, min(2.0, float(action[axis])))
            self.position[axis] += push + self.sigma * noise
        self.steps += 1
        if max(abs(x) for x in self.position) > 10:
            return self.position, -10.0, True, False
        if self.steps < self.max_steps:
            return self.position, 1.0, False, False
        return self.position, 1.0 + self.bonus, self.terminal_bonus, not self.terminal_bonus
