// The options of llmir-compile and their help.

#ifndef LLMIR_TOOLS_LLMIR_COMPILE_COMMANDLINE_H
#define LLMIR_TOOLS_LLMIR_COMPILE_COMMANDLINE_H

#include "llmir/Compiler/CompileDriver.h"
#include <optional>
#include <string>

namespace mlir::llm {

/// How `--print-timing` prints.
enum class TimingFormat { None, Table, JSON };

/// What the command line says.
struct CommandLine {
  CompileOptions compile;
  TimingFormat timing = TimingFormat::None;
  bool quiet = false;
  bool printStatistics = false;
  bool verbose = false;
  bool noCache = false;

  /// Reads the arguments. Nothing when the program is done, with `exitCode` set: help or the
  /// version was printed, or what is wrong.
  static std::optional<CommandLine> parse(int argc, char **argv, int &exitCode);
};

} // namespace mlir::llm

#endif // LLMIR_TOOLS_LLMIR_COMPILE_COMMANDLINE_H
