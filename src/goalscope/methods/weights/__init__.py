"""What training changed in the weights: `finetuned.py`, relative change and grafting."""
