// WeightPacker: streams the packed weights of a compiled module, in the order of their offsets, out
// of the checkpoint that it was imported from. docs/PackedWeights.md draws the bytes; WeightLayout
// and PackedLayout say where they go.

#ifndef LLMIR_COMPILER_WEIGHTPACKER_H
#define LLMIR_COMPILER_WEIGHTPACKER_H

#include "llmir/Base/Status.h"
#include "llmir/Compiler/QuantizationReport.h"
#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/ModelFiles/GGUF.h"
#include "mlir/IR/BuiltinOps.h"
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace mlir::llm {

struct WeightPackingOptions {
  /// Threads that pack; the caller's thread hands the results on meanwhile. At least 1.
  unsigned numThreads = 2;
  /// Told (bytes done, bytes in all) from the caller's thread.
  std::function<void(int64_t done, int64_t total)> progress;
  /// Where the errors of the weights that are quantised go; not needed.
  QuantizationReport *report = nullptr;
};

/// The weights of one module and the tensors that they come from. The file must outlive it. A
/// quantised weight whose tensors hold floats (llm-quantize-weights makes such) is rounded on the
/// way; every other is the checkpoint's, bit by bit.
class WeightPacker {
public:
  /// Takes down the `llm.weight` ops of `module`, which carry offsets, and finds their sources in
  /// `file`. NotFound or InvalidArgument names the tensor that is absent or of another shape or
  /// type; an op without a layout also gets a diagnostic.
  static ::llmir::StatusOr<WeightPacker> create(ModuleOp module, const ::llmir::GGUFFile &file);

  /// Bytes of all packed weights: the end of the last one.
  int64_t totalBytes() const { return numBytes; }

  /// Passes all bytes to `sink`, in order, in pieces of about a megabyte, of which a few are in
  /// memory at a time. Stops at the first error of `sink` and returns it.
  ::llmir::Status pack(llvm::function_ref<::llmir::Status(std::span<const uint8_t>)> sink,
                       const WeightPackingOptions &options) const;

private:
  /// One panel of a weight in the file's order.
  struct Panel {
    const ::llmir::GGUFTensor *tensor;
    int64_t index; ///< Among the tensor's panels.
  };
  /// One weight at its place.
  struct Weight {
    std::string name;
    int64_t offset;
    WeightLayout layout;
    std::vector<const ::llmir::GGUFTensor *> tensors;
    std::vector<Panel> panels; ///< Matrices only.
  };
  /// A piece of the stream: panels of a matrix, a whole vector, or padding (no weight).
  struct Chunk {
    const Weight *weight;
    int64_t firstPanel;
    int64_t numPanels;
    int64_t numBytes;
  };
  /// The errors of the weights that were rounded.
  using QuantizationErrors = std::unordered_map<const Weight *, ::llmir::QuantizationError>;
  class Pipeline;

  ::llmir::Status addWeight(WeightOp op, const ::llmir::GGUFFile &file);
  ::llmir::Status sortAndCheckOffsets();
  std::vector<Chunk> splitIntoChunks() const;
  static ::llmir::Status packChunk(const Chunk &chunk, uint8_t *destination,
                                   ::llmir::QuantizationError &error);
  QuantizationReport makeReport(const QuantizationErrors &errors) const;

  std::vector<Weight> weights;
  int64_t numBytes = 0;
};

} // namespace mlir::llm

#endif // LLMIR_COMPILER_WEIGHTPACKER_H
