"""Mice: `recipe.py` trains the packaged ones, `finetune.py` trains them on, with the controls of that comparison."""
