// Prints the times of a compilation.

#include "llmir/Compiler/CompileReport.h"
#include "llvm/Support/Format.h"

using namespace mlir::llm;

double CompileReport::totalSeconds() const {
  double total = 0;
  for (const Entry &entry : entries)
    total += entry.seconds;
  return total;
}

void CompileReport::printTable(llvm::raw_ostream &stream) const {
  double total = totalSeconds();
  stream << "  seconds  share  step\n";
  for (const Entry &entry : entries)
    stream << llvm::format("%9.3f  %4.0f%%  ", entry.seconds,
                           total > 0 ? 100 * entry.seconds / total : 0)
           << entry.name << "\n";
  stream << llvm::format("%9.3f   100%%  total\n", total);
  if (functions != 0)
    stream << functions << " functions, " << functionsFromCache << " of them from the cache\n";
}

void CompileReport::printJSON(llvm::raw_ostream &stream) const {
  stream << "{\"steps\": [";
  for (const Entry &entry : entries) {
    if (&entry != &entries.front())
      stream << ", ";
    stream << "{\"name\": \"" << entry.name
           << "\", \"seconds\": " << llvm::format("%.6f", entry.seconds) << "}";
  }
  stream << "], \"total_seconds\": " << llvm::format("%.6f", totalSeconds())
         << ", \"functions\": " << functions << ", \"functions_from_cache\": " << functionsFromCache
         << "}\n";
}
