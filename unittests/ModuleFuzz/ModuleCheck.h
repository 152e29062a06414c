// Takes one module through every pipeline: each lowers it to code that computes what the
// interpreter does, or refuses it with a diagnostic.

#ifndef LLMIR_UNITTESTS_MODULEFUZZ_MODULECHECK_H
#define LLMIR_UNITTESTS_MODULEFUZZ_MODULECHECK_H

#include "mlir/IR/DialectRegistry.h"

#include <cstdint>
#include <string>

namespace llmir::testing {

/// What became of a module.
struct ModuleVerdict {
  /// Empty, or what is wrong.
  std::string failure;
  int passesChecked = 0;     ///< Passes before and after which results were compared.
  int functionsCompared = 0; ///< Whose code was run and compared with the interpreter.
  int refusedByCPU = 0, loweredByCPU = 0, refusedByGPU = 0, loweredByGPU = 0;
  /// Of the passes' validation, the CPU and the GPU.
  int milliseconds[3] = {};
};

/// Registers what checkModule needs; once in a process.
void prepareModuleChecks(mlir::DialectRegistry &registry);

/// For which modules machine code is generated, which takes most of the time: for each one, or for
/// one target and some of the modules. Pipelines run for all.
enum class CodeChoice { All, Some };

/// Checks the module of that text. `seed` chooses inputs, options and one of the GPUs.
ModuleVerdict checkModule(const std::string &text, uint64_t seed, CodeChoice choice,
                          const mlir::DialectRegistry &registry);

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_MODULEFUZZ_MODULECHECK_H
