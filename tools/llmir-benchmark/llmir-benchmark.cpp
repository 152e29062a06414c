// llmir-benchmark: what this machine can do, against which every figure is quoted.

#include "llmir/Benchmark/CommandLine.h"

int main(int argc, char **argv) { return llmir::benchmark::runBenchmark(argc, argv); }
