// CompileCommand: `llmir compile`: becomes llmir-compile, which is a program of its own because it
// needs LLVM and this one must not.

#ifndef LLMIR_COMMANDLINE_COMPILECOMMAND_H
#define LLMIR_COMMANDLINE_COMPILECOMMAND_H

#include "llmir/Base/Status.h"

#include <span>
#include <string>
#include <vector>

namespace llmir {

/// Where a program is looked for: beside the running one first, then in the folders of `searchPath`
/// (the form of PATH).
struct ProgramSearch {
  std::string ownFolder; ///< Empty if unknown.
  std::string searchPath;
};

/// The search of this process.
ProgramSearch currentProgramSearch();

/// The first executable file called `name`; NotFound lists every place that was tried.
StatusOr<std::string> findProgram(const std::string &name, const ProgramSearch &search);

/// Replaces this process by llmir-compile with `arguments`, which do not include the program's
/// name. Returns an exit code only when that fails.
int executeCompiler(std::span<const char *const> arguments);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_COMPILECOMMAND_H
