"""A world and a policy of one's own, from nothing to the report: fetch the key, then go to the door."""
# fmt: off
import dataclasses
import enum

import numpy as np
import torch

import goalscope
from goalscope.worlds.contract import Step

Move = enum.IntEnum("Move", "UP DOWN LEFT RIGHT", start=0)
STEPS, SIDE = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]), 5
SQUARES = np.stack(np.indices((SIDE, SIDE)), 2)
State = dataclasses.make_dataclass("State", ["agent", "key", "door", "has"], frozen=True)  # [N, 2] three times, [N]

class KeyAndDoor:
    name, actions, time_limit, observation_shape = "key and door", Move, 40, (7,)
    text = parse = None  # its levels are not written as text
    def generate(self, seeds):
        drawn = np.stack([np.random.default_rng(int(seed)).permutation(SIDE**2)[:3] for seed in seeds])
        return State(*np.stack(np.divmod(drawn, SIDE), 2).transpose(1, 0, 2), np.zeros(len(seeds), bool))
    def step(self, state, actions):
        over = state.has & (state.agent == state.door).all(1)
        to = np.where(over[:, None], state.agent, (state.agent + STEPS[actions]).clip(0, SIDE - 1))
        has = state.has | (to == state.key).all(1)
        ended = has & (to == state.door).all(1)
        return Step(dataclasses.replace(state, agent=to, has=has), (ended & ~over).astype(np.float32), ended)
    def observe(self, state): return np.column_stack([state.agent, state.key, state.door, state.has]).astype(np.uint8)
    def agent(self, state): return state.agent
    def things(self, state): return [{"key": (r[2], r[3]), "door": (r[4], r[5])} for r in self.observe(state).tolist()]
    def move(self, state, name, to): return dataclasses.replace(state, **{name: to})
    def free(self, state):
        return ~np.any([(at[:, None, None] == SQUARES).all(3) for at in (state.agent, state.key, state.door)], 0)

class Fetcher(torch.nn.Module):
    def forward(self, x):  # [N, 7] to logits [N, 4]
        target = torch.where(x[:, 6:] > 0, x[:, 4:6], x[:, 2:4])
        return 8 * ((target - x[:, :2]) @ torch.tensor(STEPS.T).float()).sign()

if __name__ == "__main__":
    goals = {"having the key": lambda state: state.has}
    outcome = goalscope.goal_study(Fetcher(), KeyAndDoor(), goals, out="runs/key-and-door")
    print(f"{outcome.headline}\n\nReport: {outcome.report}")
