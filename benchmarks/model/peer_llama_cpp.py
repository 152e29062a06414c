"""llama.cpp as a benchmark peer: a process that stays loaded, takes a JSON request a line and
answers with the seconds of the prompts and of decoding, without sampling.

    peer_llama_cpp.py MODEL CONTEXT SEQUENCES

Run by benchmark.py with the peer's own Python environment; uses the low-level API.
"""

import ctypes
import json
import os
import sys
import time

try:
    import llama_cpp as api
except ImportError:
    import ik_llama_cpp as api


def load(path, context, sequences):
    """A model and a context with an f16 cache."""
    api.llama_log_set(_silent, ctypes.c_void_p(0))
    api.llama_backend_init()
    model_parameters = api.llama_model_default_params()
    model_parameters.n_gpu_layers = 0
    model = api.llama_model_load_from_file(path.encode(), model_parameters)
    parameters = api.llama_context_default_params()
    parameters.n_ctx = context
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_seq_max = sequences
    parameters.no_perf = True
    parameters.type_k = parameters.type_v = api.GGML_TYPE_F16
    return model, api.llama_init_from_model(model, parameters)


@api.llama_log_callback
def _silent(level, text, data):
    del level, text, data


class Runner:
    """Feeds batches of (token, position, sequence)."""

    def __init__(self, context):
        self.context = context
        self.batch = api.llama_batch_init(512, 0, 1)

    def clear(self):
        api.llama_memory_clear(api.llama_get_memory(self.context), True)

    def feed(self, entries, all_logits):
        """One llama_decode; logits of the last token only, or of all."""
        self.batch.n_tokens = len(entries)
        for i, (token, position, sequence) in enumerate(entries):
            self.batch.token[i] = token
            self.batch.pos[i] = position
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = sequence
            self.batch.logits[i] = all_logits or i == len(entries) - 1
        if api.llama_decode(self.context, self.batch) != 0:
            raise RuntimeError("llama_decode failed")
        api.llama_get_logits_ith(self.context, -1)


def measure(runner, request):
    """Seconds of the prompts (in chunks) and of decoding one token of each sequence at a time."""
    api.llama_set_n_threads(runner.context, request["threads"], request["threads"])
    runner.clear()
    for position in range(8):
        runner.feed([(3, position, 0)], False)
    runner.clear()
    prompts = request["prompts"]
    start = time.perf_counter()
    for sequence, prompt in enumerate(prompts):
        for begin in range(0, len(prompt), request["chunk"]):
            chunk = prompt[begin : begin + request["chunk"]]
            runner.feed([(t, begin + i, sequence) for i, t in enumerate(chunk)], False)
    middle = time.perf_counter()
    for i in range(request["decode"]):
        step = [(p[i % len(p)], len(p) + i, sequence) for sequence, p in enumerate(prompts)]
        runner.feed(step, True)
    end = time.perf_counter()
    return {"prompt_seconds": middle - start, "decode_seconds": end - middle}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever the library prints does not mix with the answers.
    _, context = load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    runner = Runner(context)
    print(api.llama_print_system_info().decode(), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(runner, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
