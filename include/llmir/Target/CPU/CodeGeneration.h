// From a module in the LLVM dialect to LLVM IR, assembly or an object for a CPU. Knows nothing of
// the `llm` dialect but that its weight symbols and attributes are not code.

#ifndef LLMIR_TARGET_CPU_CODEGENERATION_H
#define LLMIR_TARGET_CPU_CODEGENERATION_H

#include "llmir/Target/CPU/TargetDescription.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace mlir::llm {

/// The forms in which generated code can be had.
enum class CodeKind { LLVMIR, Assembly, Object };

struct CodeGenerationOptions {
  TargetDescription target;
  CodeKind kind = CodeKind::Object;
  /// Symbols that others may use; every other definition becomes internal. Empty: all stay.
  std::vector<std::string> exportedSymbols;
  /// Threads that generate code; more than one gives up to as many objects.
  unsigned numThreads = 1;
};

/// The seconds that the steps of generateCode took.
struct CodeGenerationTimes {
  double translate = 0;
  double optimize = 0;
  double emit = 0;
};

/// One piece of generated code: the bytes of an object, or text.
using CodeBuffer = llvm::SmallString<0>;

/// Registers LLVM's CPU code generators once; safe from any thread.
void initializeCodeGeneration();

/// Adds to `registry` the dialects and translations that generateCode needs.
void registerCodeGenerationDialects(DialectRegistry &registry);

/// Translates `module` (LLVM dialect; weight symbols are ignored) to LLVM IR, optimises it at O3
/// and emits it as position-independent code. No floating-point flag is added: the result of every
/// operation is the IR's. A failure is a diagnostic on the op at fault or on the module. `module`
/// is left without its weight symbols and with its target's triple and data layout.
FailureOr<std::vector<CodeBuffer>> generateCode(ModuleOp module,
                                                const CodeGenerationOptions &options,
                                                CodeGenerationTimes *times = nullptr);

} // namespace mlir::llm

#endif // LLMIR_TARGET_CPU_CODEGENERATION_H
