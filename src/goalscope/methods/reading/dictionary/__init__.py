"""Dictionaries of activations (sparse autoencoders): trained, judged beside what needs no training, taken apart.

`learned.py` a trained one; `recipe.py` what a training is told, `feed.py` the rows that it gets, `codes.py` the sparse
products with their gradients, `losses.py` the loss of each kind, `training.py` the training itself. `metrics.py` what it
explains and which latents it uses, `baselines.py` the directions that it must be better than, `matching.py` which latent
is which, `planted.py` data from a dictionary that is known.
"""

from goalscope.methods.reading.dictionary.baselines import Frame, independent, neurons, principal, random_like
from goalscope.methods.reading.dictionary.learned import KINDS, Dictionary, check_fits
from goalscope.methods.reading.dictionary.matching import Matching, Recovery, matched, recovery
from goalscope.methods.reading.dictionary.metrics import ByLevel, Use, explained, progressive, use
from goalscope.methods.reading.dictionary.planted import Planted, planted
from goalscope.methods.reading.dictionary.recipe import Recipe
from goalscope.methods.reading.dictionary.training import Training, train

__all__ = [
    "KINDS",
    "ByLevel",
    "Dictionary",
    "Frame",
    "Matching",
    "Planted",
    "Recipe",
    "Recovery",
    "Training",
    "Use",
    "check_fits",
    "explained",
    "independent",
    "matched",
    "neurons",
    "planted",
    "principal",
    "progressive",
    "random_like",
    "recovery",
    "train",
    "use",
]
