// Code of a module in this process: functions called with the interpreter's values, and the step.

#ifndef LLMIR_UNITTESTS_MODULEFUZZ_COMPILEDMODULE_H
#define LLMIR_UNITTESTS_MODULEFUZZ_COMPILEDMODULE_H

#include "llmir/Validation/FunctionInputs.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace llmir::testing {

/// What a step needs beside its inputs.
struct StepResources {
  std::vector<uint8_t> weights;   ///< Packed.
  mlir::DictionaryAttr workspace; ///< `llm.workspace` of the module after the kernel phase.
};

/// A loaded module.
class CompiledModule {
public:
  /// Generates code of a module in the LLVM dialect and loads it. Null and a diagnostic, or `why`,
  /// on failure. Adds to the module a function for each that can be called.
  static std::unique_ptr<CompiledModule> create(mlir::ModuleOp lowered, std::string &why);
  ~CompiledModule();

  /// Whether there is code for a function with a C interface.
  bool has(llvm::StringRef function) const { return callable.count(function.str()) != 0; }

  /// Calls a function with the inputs of `original`, the function before lowering. Caches among the
  /// inputs change.
  std::vector<mlir::llm::RuntimeValue> call(mlir::func::FuncOp original,
                                            const mlir::llm::FunctionInputs &inputs);
  /// Runs the step on `workers` workers.
  std::vector<mlir::llm::RuntimeValue> runStep(mlir::func::FuncOp original,
                                               const mlir::llm::FunctionInputs &inputs,
                                               const StepResources &resources, int32_t workers);

private:
  CompiledModule() = default;

  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::map<std::string, unsigned> callable; ///< Parameters of the C interface, by function.
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_MODULEFUZZ_COMPILEDMODULE_H
