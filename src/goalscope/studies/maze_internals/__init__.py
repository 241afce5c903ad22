"""Which activations carry what a maze policy pursues? Seven parts, each with a file in `measure/` and one in `findings/`.

`study.py` the story and `setup.py` what the parts share. The parts: `channels.py` which carry the goal, `goals.py` one goal
or two, `reading.py` and `writing.py` what probes read and whether it is used, `steering.py` vectors, `retarget.py` sending
the mouse elsewhere, `training.py` finetuning beside editing. `figures.py` and `words.py`.
"""
