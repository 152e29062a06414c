// Formats diagnostics: the place first when it is a place in a file, then the message, then notes.

#include "DiagnosticCollector.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::llm;

DiagnosticCollector::DiagnosticCollector(MLIRContext *context)
    : handler(context, [this](Diagnostic &diagnostic) { return handle(diagnostic); }) {}

/// `file:line:column: ` or the name that an op has in the checkpoint; nothing for other places.
static std::string formatPlace(Location location) {
  std::string text;
  if (auto place = location->findInstanceOf<FileLineColLoc>(); place && place.getLine() != 0)
    text = place.getFilename().str() + ":" + std::to_string(place.getLine()) + ":" +
           std::to_string(place.getColumn()) + ": ";
  else if (auto name = location->findInstanceOf<NameLoc>())
    text = name.getName().str() + ": ";
  return text;
}

LogicalResult DiagnosticCollector::handle(Diagnostic &diagnostic) {
  if (diagnostic.getSeverity() != DiagnosticSeverity::Error) {
    llvm::errs() << formatPlace(diagnostic.getLocation()) << diagnostic.str() << "\n";
    return success();
  }
  if (!message.empty())
    return success();
  // The importer's messages start with the file, which is then also the place.
  std::string text = diagnostic.str();
  std::string place = formatPlace(diagnostic.getLocation());
  message = StringRef(text).starts_with(place) ? text : place + text;
  for (Diagnostic &note : diagnostic.getNotes()) {
    // The whole op, printed by default, would bury the message.
    std::string noteText = note.str();
    if (!StringRef(noteText).starts_with("see current operation"))
      message += "\nnote: " + noteText;
  }
  return success();
}

::llmir::Status DiagnosticCollector::takeError(StringRef fallback) {
  if (message.empty())
    return ::llmir::internalError(fallback.str());
  return ::llmir::invalidArgument(std::exchange(message, std::string()));
}
