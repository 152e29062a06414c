// The command line as a whole: what the program `llmir` does, and what a model compiled to an
// executable does. Mains only call these.

#ifndef LLMIR_COMMANDLINE_MAIN_H
#define LLMIR_COMMANDLINE_MAIN_H

#include "llmir/ABI.h"

#include <cstdint>
#include <span>

namespace llmir {

/// `llmir run | compile | inspect | --help | --version`. Returns the exit code: 0, 1 for a failure,
/// 2 for wrong usage, 130 after an interrupt.
int runLlmir(int argc, char **argv);

/// The executable form of a model: `llmir run` without the model's path. `steps` and `abiVersion`
/// are the linked code's; weights and tokenizer are read from the running program's own file.
int runModelExecutable(int argc, char **argv, std::span<const llmir_linked_step> steps,
                       uint32_t abiVersion);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_MAIN_H
