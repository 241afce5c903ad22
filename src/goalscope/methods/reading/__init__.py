"""What can be read in activations: `probe/`, linear probes with their controls; `dictionary/`, sparse autoencoders."""
