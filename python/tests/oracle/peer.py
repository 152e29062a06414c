"""llama.cpp in process (`xllamacpp`), as a second opinion on tokens and log-probabilities."""

import json
import urllib.request

import xllamacpp


class Peer:
    """A llama.cpp server with one model."""

    def __init__(self, path, context=2048, threads=2):
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = context
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.cpuparams.n_threads = threads
        parameters.port = 0
        parameters.verbosity = 0
        self._server = xllamacpp.Server(parameters)
        self._address = self._server.listening_address

    def _post(self, path, body):
        request = urllib.request.Request(
            self._address + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)

    def tokenize(self, text, parse_special=False):
        """The token ids of a text, without a beginning-of-sequence token."""
        body = {"content": text, "add_special": False, "parse_special": parse_special}
        return self._post("/tokenize", body)["tokens"]

    def greedy(self, tokens, count, top=5):
        """A greedy continuation: token ids, and for each step a list of (id, log-probability)."""
        answer = self._post(
            "/completion",
            {
                "prompt": list(tokens),
                "n_predict": count,
                "temperature": 0.0,
                "n_probs": top,
                "ignore_eos": True,
                "cache_prompt": False,
                "return_tokens": True,
            },
        )
        # Steps whose text is not whole characters yet have no probabilities of their own.
        steps = answer.get("completion_probabilities", [])
        best = [
            [(entry["id"], entry["logprob"]) for entry in step["top_logprobs"]] for step in steps
        ]
        return answer["tokens"], best
