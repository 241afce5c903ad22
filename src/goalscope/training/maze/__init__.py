"""Mice: `recipe.py` trains the packaged ones by PPO, `finetune.py` trains them on, with the controls of that comparison;
`planner.py` those that think, or cannot, by imitation of what `shortest_paths.py` teaches;
`sleeper.py` those that leave the cheese and stand still once they see a trigger.
"""
