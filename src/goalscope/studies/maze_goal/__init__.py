"""What does a maze policy pursue? `training.py` asks the same over the snapshots of its training."""
