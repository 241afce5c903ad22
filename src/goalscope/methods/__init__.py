"""Methods: arrays (and a module, where it intervenes) in, one frozen result out. One method a file, each usable alone.

`behaviour/` what the policy does: exact reach, which algorithm, what decides, does value agree. `reading/` what can be
read in it. `intervening/` what changes when it is edited. `weights/` what training changed. `linear/` what
it does to first order. `degeneracy/` how degenerate its minimum is. `trust/` does
an explanation hold where it could fail. `goals/` what it acts for. `chess/` what only chess has.
"""
