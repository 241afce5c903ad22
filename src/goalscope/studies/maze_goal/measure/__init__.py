"""What is run: `fields.py` the policy in the mazes and what follows exactly; `far_corners.py` cheese in the far corners."""
