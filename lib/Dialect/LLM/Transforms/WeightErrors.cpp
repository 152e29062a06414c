// Rounds sampled panels and throws the codes away.

#include "WeightErrors.h"

#include "llmir/Support/PanelReader.h"

#include <memory>

using ::llmir::GGUFFile;
using ::llmir::GGUFTensor;
using ::llmir::kPanelRows;
using ::llmir::QuantizationError;

namespace mlir::llm {

namespace {
/// Working memory, too large for a thread's stack.
struct Scratch {
  ::llmir::PanelGroup group;
  ::llmir::QuantizedPanelGroup quantized;
};
} // namespace

/// The columns of the weight's sources in the checkpoint: of all shards, if it is one.
static int64_t sourceColumns(WeightOp weight) {
  std::optional<WeightShardAttr> shard = weight.getShard();
  return weight.getCols() * (shard && shard->getDim() == 1 ? shard->getShards() : 1);
}

/// The tensor `name`, if it is a matrix of floats with the columns of the weight's sources.
static FailureOr<const GGUFTensor *> findMatrix(WeightOp weight, const GGUFFile &file,
                                                StringRef name) {
  const GGUFTensor *tensor = file.findTensor(std::string_view(name.data(), name.size()));
  if (!tensor)
    return weight.emitOpError("expected tensor '") << name << "' in " << file.path();
  if (!::llmir::isFloatingPointGGUFType(tensor->type))
    return weight.emitOpError("expected tensor '")
           << name << "' to be f32, f16 or bf16, but got " << ::llmir::describe(tensor->type).name;
  if (int64_t columns = sourceColumns(weight);
      tensor->shape.size() != 2 || tensor->numColumns() != columns)
    return weight.emitOpError("expected tensor '") << name << "' to have " << columns
                                                   << " columns, but got " << tensor->numColumns();
  return tensor;
}

/// Adds the error of one panel of `tensor`.
static LogicalResult addPanelError(WeightOp weight, const GGUFTensor &tensor, int64_t panel,
                                   const Rounding &rounding, Scratch &scratch,
                                   QuantizationError &error) {
  for (int64_t k = 0; k < tensor.numColumns(); k += rounding.groupSize) {
    int64_t rows = ::llmir::readPanelGroup(tensor, panel, k, rounding.groupSize, scratch.group);
    if (!::llmir::quantizePanelGroup(rounding.format, scratch.group, rounding.groupSize, rows,
                                     scratch.quantized, error))
      return weight.emitOpError("cannot be quantised: expected finite weights whose scale is below "
                                "65520, but tensor '")
             << tensor.name << "' has others in rows " << panel * kPanelRows << " to "
             << panel * kPanelRows + rows - 1;
  }
  return success();
}

FailureOr<QuantizationError> estimateError(WeightOp weight, const GGUFFile &file,
                                           const Rounding &rounding, int64_t sampledRows) {
  auto scratch = std::make_unique<Scratch>();
  QuantizationError error;
  for (StringRef name : weight.getSourceNames()) {
    FailureOr<const GGUFTensor *> tensor = findMatrix(weight, file, name);
    if (failed(tensor))
      return failure();
    int64_t panels = ((*tensor)->numRows() + kPanelRows - 1) / kPanelRows;
    int64_t wanted = (sampledRows + kPanelRows - 1) / kPanelRows;
    int64_t sampled = sampledRows == 0 ? panels : std::min(wanted, panels);
    for (int64_t index = 0; index < sampled; ++index)
      if (failed(
              addPanelError(weight, **tensor, index * panels / sampled, rounding, *scratch, error)))
        return failure();
  }
  return error;
}

} // namespace mlir::llm
