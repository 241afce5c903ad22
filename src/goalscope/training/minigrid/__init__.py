"""`recipe.py` is the recipe of the packaged MiniGrid agents: the goal where the environment puts it, or anywhere."""
