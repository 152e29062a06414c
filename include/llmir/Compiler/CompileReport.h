// CompileReport: what a compilation did and how long each part of it took, for people and as JSON.

#ifndef LLMIR_COMPILER_COMPILEREPORT_H
#define LLMIR_COMPILER_COMPILEREPORT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace mlir::llm {

/// The steps of one compilation in the order in which they ran.
class CompileReport {
public:
  struct Entry {
    std::string name; ///< `import`, `optimize`, `link`, …
    double seconds;
  };

  /// Adds the seconds of its lifetime as an entry.
  class Timer {
  public:
    Timer(CompileReport &report, llvm::StringRef name)
        : report(report), name(name.str()), start(std::chrono::steady_clock::now()) {}
    Timer(const Timer &) = delete;
    Timer &operator=(const Timer &) = delete;
    ~Timer() {
      auto elapsed = std::chrono::steady_clock::now() - start;
      report.add(name, std::chrono::duration<double>(elapsed).count());
    }

  private:
    CompileReport &report;
    std::string name;
    std::chrono::steady_clock::time_point start;
  };

  void add(llvm::StringRef name, double seconds) { entries.push_back({name.str(), seconds}); }
  const std::vector<Entry> &getEntries() const { return entries; }
  double totalSeconds() const;

  /// Adds functions whose code was needed, of which `fromCache` were found (see ObjectCache).
  void countFunctions(int64_t all, int64_t fromCache) {
    functions += all;
    functionsFromCache += fromCache;
  }
  int64_t getFunctions() const { return functions; }
  int64_t getFunctionsFromCache() const { return functionsFromCache; }

  /// A table: step, seconds, share of the whole.
  void printTable(llvm::raw_ostream &stream) const;
  /// One line: `{"steps": [{"name": …, "seconds": …}, …], "total_seconds": …,
  /// "functions": …, "functions_from_cache": …}`.
  void printJSON(llvm::raw_ostream &stream) const;

private:
  std::vector<Entry> entries;
  int64_t functions = 0;
  int64_t functionsFromCache = 0;
};

} // namespace mlir::llm

#endif // LLMIR_COMPILER_COMPILEREPORT_H
