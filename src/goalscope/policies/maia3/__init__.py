"""Maia-3, chess as people of a given rating play it (CSSLab, University of Toronto), as a plain torch module.

`network.py` is the module, `convert.py` reads its files (`.pt`). Written from the facts of the architecture: the project's
code is AGPL-3.0 and nothing of it is here.
"""

from goalscope.policies.maia3.network import Maia3

__all__ = ["Maia3"]
