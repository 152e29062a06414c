// DiagnosticCollector: turns MLIR's diagnostics into the one Status that a caller shows.

#ifndef LLMIR_LIB_COMPILER_DIAGNOSTICCOLLECTOR_H
#define LLMIR_LIB_COMPILER_DIAGNOSTICCOLLECTOR_H

#include "llmir/Base/Status.h"
#include "mlir/IR/Diagnostics.h"
#include <string>

namespace mlir::llm {

/// While it lives, keeps the first error of a context, with its notes, and passes nothing on but
/// warnings and remarks, which go to LLVM's error stream. Passes may report from several threads.
class DiagnosticCollector {
public:
  explicit DiagnosticCollector(MLIRContext *context);

  bool hasError() const { return !message.empty(); }
  /// The first error; Internal with `fallback` when something failed without a diagnostic.
  ::llmir::Status takeError(StringRef fallback);

private:
  LogicalResult handle(Diagnostic &diagnostic);

  std::string message;
  ScopedDiagnosticHandler handler;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_COMPILER_DIAGNOSTICCOLLECTOR_H
