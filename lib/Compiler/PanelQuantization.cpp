// Reads, rounds and stores one panel, group by group.

#include "PanelQuantization.h"
#include "llmir/Support/PanelReader.h"
#include <cstring>
#include <memory>

using namespace mlir::llm;
using ::llmir::GGUFTensor;
using ::llmir::kPanelRows;
using ::llmir::PackedLayout;
using ::llmir::Status;

namespace {
/// Working memory of one panel, too large for a thread's stack.
struct Scratch {
  ::llmir::PanelGroup group;
  ::llmir::QuantizedPanelGroup quantized;
};
} // namespace

Status mlir::llm::quantizePanel(const GGUFTensor &tensor, const PackedLayout &layout, int64_t panel,
                                uint8_t *destination, ::llmir::QuantizationError &error) {
  std::memset(destination, 0, layout.panelBytes());
  int64_t groupSize = layout.groupSize;
  auto scratch = std::make_unique<Scratch>();
  for (int64_t k = 0; k < layout.cols; k += groupSize) {
    int64_t rows = ::llmir::readPanelGroup(tensor, panel, k, groupSize, scratch->group);
    if (!::llmir::quantizePanelGroup(layout.format, scratch->group, groupSize, rows,
                                     scratch->quantized, error))
      return ::llmir::invalidArgument(
          "tensor '" + tensor.name + "', rows " + std::to_string(panel * kPanelRows) + " to " +
          std::to_string(panel * kPanelRows + rows - 1) + ", columns " + std::to_string(k) +
          " to " + std::to_string(k + groupSize - 1) +
          ": expected finite weights whose scale is below 65520, but got others; keep this weight "
          "as it is");
    ::llmir::storePanelGroup(layout, scratch->quantized, k, destination);
  }
  return Status::ok();
}
