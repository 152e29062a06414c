// The command line of llmir-benchmark.

#ifndef LLMIR_BENCHMARK_COMMANDLINE_H
#define LLMIR_BENCHMARK_COMMANDLINE_H

namespace llmir::benchmark {

/// Parses and runs: the figures go to the standard output, progress and errors to the standard
/// error. The exit code: 0, 1 after an error, 2 for wrong usage.
int runBenchmark(int argc, char **argv);

} // namespace llmir::benchmark

#endif // LLMIR_BENCHMARK_COMMANDLINE_H
