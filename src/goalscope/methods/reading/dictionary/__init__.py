"""Dictionaries of activations (sparse autoencoders): trained, judged beside what needs no training, taken apart.

`learned.py` a trained one; `recipe.py` what a training is told, `feed.py` the rows that it gets, `codes.py` the sparse
products with their gradients, `losses.py` the loss of each kind, `training.py` the training itself. `metrics.py` what it
explains and which latents it uses, `baselines.py` the directions that it must be better than, `matching.py` which latent
is which, `planted.py` data from a dictionary that is known. `stitching.py` what one has that another lacks, `meta.py`
a dictionary of a dictionary beside its nulls, `saelens.py` SAELens' files.
"""

from goalscope.methods.reading.dictionary.baselines import Frame, independent, neurons, principal, random_like
from goalscope.methods.reading.dictionary.learned import KINDS, Dictionary, check_fits
from goalscope.methods.reading.dictionary.matching import Matching, Recovery, matched, recovery
from goalscope.methods.reading.dictionary.meta import Meta, Nearest, meta, nearest_latents
from goalscope.methods.reading.dictionary.metrics import ByLevel, Use, explained, progressive, use
from goalscope.methods.reading.dictionary.planted import Planted, planted
from goalscope.methods.reading.dictionary.recipe import Recipe
from goalscope.methods.reading.dictionary.saelens import read_saelens, write_saelens
from goalscope.methods.reading.dictionary.stitching import Composed, Stitched, composed, stitched
from goalscope.methods.reading.dictionary.training import Training, train

__all__ = [
    "KINDS",
    "ByLevel",
    "Composed",
    "Dictionary",
    "Frame",
    "Matching",
    "Meta",
    "Nearest",
    "Planted",
    "Recipe",
    "Recovery",
    "Stitched",
    "Training",
    "Use",
    "check_fits",
    "composed",
    "explained",
    "independent",
    "matched",
    "meta",
    "nearest_latents",
    "neurons",
    "planted",
    "principal",
    "progressive",
    "random_like",
    "read_saelens",
    "recovery",
    "stitched",
    "train",
    "use",
    "write_saelens",
]
