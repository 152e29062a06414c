// RunCommand: `llmir run`: opens a model, serves its prompts and prints what comes of them.

#ifndef LLMIR_COMMANDLINE_RUNCOMMAND_H
#define LLMIR_COMMANDLINE_RUNCOMMAND_H

#include "llmir/CommandLine/ModelSession.h"
#include "llmir/CommandLine/RunOptions.h"

#include <optional>

namespace llmir {

/// Runs the command; `linked` is the code of the executable form. Prints results to the standard
/// output, figures and errors to the standard error. Returns the exit code.
int runModel(const RunOptions &options, const std::optional<LinkedModel> &linked = std::nullopt);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_RUNCOMMAND_H
