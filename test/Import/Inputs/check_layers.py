"""Checks on printed, optimised IR that equal layers' weights lie at one stride, and counts the ops of a layer."""

import collections
import re
import sys


def main():
    text = open(sys.argv[1]).read()
    offsets = collections.defaultdict(list)
    for name, offset in re.findall(r"llm\.weight @blk\.\d+\.(\S+) .*?offset\((\d+)\)", text):
        offsets[name].append(int(offset))
    layers = {len(places) for places in offsets.values()}
    strides = {b - a for places in offsets.values() for a, b in zip(places, places[1:])}
    assert len(layers) == 1 and len(strides) == 1, (layers, strides)
    count = layers.pop()
    print(f"{count} layers of {len(offsets)} weights at a stride of {strides.pop()} bytes")

    body = text[text.index("func.func @step") :]
    ops = len(re.findall(r" = (?:llm|arith)\.", body))
    beside = 2  # The embedding and the logits.
    assert (ops - beside) % count == 0, ops
    print(f"{(ops - beside) // count} ops a layer")


if __name__ == "__main__":
    main()
