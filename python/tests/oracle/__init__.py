"""Independent oracles for the tests: a numpy Llama, a writer of tiny checkpoints and llama.cpp.

Nothing here imports or shares code with LLMIR.
"""
