"""Which activations carry what a maze policy pursues? Seven parts, each with its measurements and findings."""
