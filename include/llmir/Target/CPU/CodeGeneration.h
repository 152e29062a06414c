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

class ObjectCache;

/// The forms in which generated code can be had.
enum class CodeKind { LLVMIR, Assembly, Object };

/// How many pieces of code a module becomes.
enum class CodeParts {
  One,      ///< One object or text.
  Functions ///< An object for each function; only the exported ones are visible outside of them.
};

struct CodeGenerationOptions {
  TargetDescription target;
  CodeKind kind = CodeKind::Object;
  CodeParts parts = CodeParts::One;
  /// Symbols that others may use; every other definition becomes internal. Empty: all stay.
  std::vector<std::string> exportedSymbols;
  /// Appended to the name of everything that is defined, so that a module may be linked with itself
  /// as generated for another target.
  std::string symbolSuffix;
  /// Threads that generate the code of functions.
  unsigned numThreads = 1;
  /// Where objects of functions are looked up and kept; null: nowhere.
  const ObjectCache *cache = nullptr;
};

/// What generateCode did.
struct CodeGenerationReport {
  double translate = 0; ///< Seconds up to LLVM IR in its parts.
  double compile = 0;   ///< Seconds of LLVM's passes and code generator, all threads side by side.
  int64_t functions = 0;
  int64_t functionsFromCache = 0;
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
                                                CodeGenerationReport *report = nullptr);

} // namespace mlir::llm

#endif // LLMIR_TARGET_CPU_CODEGENERATION_H
