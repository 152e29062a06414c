// Prints the errors of quantised weights.

#include "llmir/Compiler/QuantizationReport.h"
#include "llvm/Support/Format.h"
#include <algorithm>

using namespace mlir::llm;
using ::llmir::QuantizationError;

static double megabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

void QuantizationReport::printSummary(llvm::raw_ostream &stream) const {
  if (weights.empty())
    return;
  QuantizationError all;
  int64_t before = 0, after = 0;
  const QuantizedWeight *worst = &weights.front();
  for (const QuantizedWeight &weight : weights) {
    all.merge(weight.error);
    before += weight.bytesBefore;
    after += weight.bytesAfter;
    if (weight.error.largest > worst->error.largest)
      worst = &weight;
  }
  stream << "quantised " << weights.size() << " weights: "
         << llvm::format("%.1f MB to %.1f MB, rms error %.3g (%.3f %% of the weights'), largest "
                         "error %.3g in '",
                         megabytes(before), megabytes(after), all.rms(), 100 * all.relative(),
                         worst->error.largest)
         << worst->name << "'\n";
}

void QuantizationReport::printTable(llvm::raw_ostream &stream) const {
  size_t width = 6;
  for (const QuantizedWeight &weight : weights)
    width = std::max(width, weight.name.size());
  if (!weights.empty())
    stream << llvm::left_justify("weight", width)
           << "  format  group  bytes before   bytes after   rms error  relative     largest\n";
  for (const QuantizedWeight &weight : weights)
    stream << llvm::left_justify(weight.name, width) << "  "
           << llvm::left_justify(::llmir::getName(weight.format), 6)
           << llvm::format("  %5d  %12lld  %12lld  %10.3g  %6.3f %%  %10.3g\n",
                           static_cast<int>(weight.groupSize),
                           static_cast<long long>(weight.bytesBefore),
                           static_cast<long long>(weight.bytesAfter), weight.error.rms(),
                           100 * weight.error.relative(), weight.error.largest);
}
