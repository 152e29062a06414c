// llm-quantize-weights: gives float matrices the types of packed codes. Decides types only; the
// packer rounds the checkpoint's rows when it writes them.

#include "WeightErrors.h"

#include "llmir/Dialect/LLM/Analysis/WeightLayout.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Threading.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/GlobPattern.h"

#include <cmath>
#include <memory>

using ::llmir::PackedFormat;
using ::llmir::QuantizationError;

namespace mlir::llm {

#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "llmir/Dialect/LLM/Transforms/Passes.h.inc"

namespace {

/// A weight that gets another type, and the estimated errors of its roundings.
struct Candidate {
  WeightOp weight;
  bool isHead;
  Rounding rounding;
  QuantizationError error;
};

class QuantizeWeightsPass : public impl::QuantizeWeightsPassBase<QuantizeWeightsPass>,
                            public CountingPass {
public:
  using Base::Base;
  void runOnOperation() override;

private:
  LogicalResult checkOptions();
  LogicalResult openCheckpoint();
  void findHeads();
  std::optional<std::string> whyKept(WeightOp weight) const;
  void findCandidates();
  LogicalResult estimate(PackedFormat fourBits);
  LogicalResult chooseFourBitFormat();
  void convert(const Candidate &candidate);
  void countErrors();

  SmallVector<llvm::GlobPattern> kept;
  /// Shared because passes are copied.
  std::shared_ptr<const ::llmir::GGUFFile> file;
  DenseSet<StringAttr> heads;
  std::vector<Candidate> candidates;
};

} // namespace

/// Asymmetric codes take a ninth more bytes (20 in place of 18 for 32 weights). They are chosen
/// where their squared error is below this share of the symmetric ones'.
static constexpr double kWorthMinima = 0.75;

static Type makeType(RankedTensorType type, const Rounding &rounding) {
  MLIRContext *context = type.getContext();
  Type half = Float16Type::get(context);
  unsigned bits = rounding.format == PackedFormat::Q8_0 ? 8 : 4;
  bool hasMinimum = rounding.format == PackedFormat::Q4_1;
  return QuantizedTensorType::get(context, IntegerType::get(context, bits), type.getShape(),
                                  /*symmetric=*/!hasMinimum, /*perChannel=*/true, /*axis=*/1,
                                  rounding.groupSize, bits, type.getElementType(), half,
                                  hasMinimum ? half : Type(), Packing::Dense);
}

LogicalResult QuantizeWeightsPass::checkOptions() {
  ModuleOp module = getOperation();
  if (groupSize != 32 && groupSize != 64 && groupSize != 128)
    return module.emitError("llm-quantize-weights: expected 'group-size' to be 32, 64 or 128, but "
                            "got ")
           << groupSize.getValue();
  if (sampleRows < 0)
    return module.emitError("llm-quantize-weights: expected 'sample-rows' to be at least 0, but "
                            "got ")
           << sampleRows.getValue();
  kept.clear();
  for (const std::string &text : keep) {
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(text);
    if (!pattern)
      return module.emitError("llm-quantize-weights: expected 'keep' to be patterns, but '")
             << text << "' is not: " << llvm::toString(pattern.takeError());
    kept.push_back(std::move(*pattern));
  }
  return success();
}

LogicalResult QuantizeWeightsPass::openCheckpoint() {
  file.reset();
  if (checkpoint.empty())
    return success();
  auto opened = ::llmir::GGUFFile::open(checkpoint);
  if (!opened)
    return getOperation().emitError("llm-quantize-weights: ") << opened.status().message();
  file = std::make_shared<const ::llmir::GGUFFile>(*std::move(opened));
  return success();
}

/// The weights that an embedding or the logits read.
void QuantizeWeightsPass::findHeads() {
  heads.clear();
  getOperation().walk([&](Operation *op) {
    if (auto embedding = dyn_cast<EmbeddingOp>(op))
      heads.insert(embedding.getWeightAttr().getAttr());
    else if (auto logits = dyn_cast<LogitsOp>(op))
      heads.insert(logits.getWeightAttr().getAttr());
  });
}

/// Why a matrix of floats is not quantised, or nothing.
std::optional<std::string> QuantizeWeightsPass::whyKept(WeightOp weight) const {
  for (const llvm::GlobPattern &pattern : kept)
    if (pattern.match(weight.getSymName()))
      return std::string("asked for");
  if (weight.getCols() % groupSize != 0)
    return std::to_string(weight.getCols()) + " columns are not whole groups of " +
           std::to_string(groupSize);
  return std::nullopt;
}

void QuantizeWeightsPass::findCandidates() {
  candidates.clear();
  for (WeightOp weight : getOperation().getOps<WeightOp>()) {
    auto type = dyn_cast<RankedTensorType>(weight.getType());
    if (!type || !weight.isMatrix() || !getPackedFormat(type))
      continue;
    if (std::optional<std::string> reason = whyKept(weight)) {
      count("weights-kept");
      if (verbose)
        weight.emitRemark("keeps its type: ") << *reason;
      continue;
    }
    bool isHead = heads.contains(weight.getSymNameAttr());
    bool isEightBits = (isHead ? headStorage : storage) == WeightStorage::I8;
    Rounding rounding{isEightBits ? PackedFormat::Q8_0 : PackedFormat::Q4_1, groupSize};
    candidates.push_back({weight, isHead, rounding, {}});
  }
}

/// Estimates the errors of all candidates, with `fourBits` as the format of 4-bit codes.
LogicalResult QuantizeWeightsPass::estimate(PackedFormat fourBits) {
  return failableParallelForEach(&getContext(), candidates, [&](Candidate &candidate) {
    if (candidate.rounding.format != PackedFormat::Q8_0)
      candidate.rounding.format = fourBits;
    FailureOr<QuantizationError> error =
        estimateError(candidate.weight, *file, candidate.rounding, sampleRows);
    if (succeeded(error))
      candidate.error = *error;
    return LogicalResult(error);
  });
}

/// The sum of the squared errors of 4-bit candidates, each relative to its weight's squares.
static double sumFourBitErrors(ArrayRef<Candidate> candidates) {
  double sum = 0.0;
  for (const Candidate &candidate : candidates)
    if (candidate.rounding.format != PackedFormat::Q8_0)
      sum += std::pow(candidate.error.relative(), 2);
  return sum;
}

/// One format for all 4-bit weights, so that projections can be fused and layers stay alike.
LogicalResult QuantizeWeightsPass::chooseFourBitFormat() {
  PackedFormat format =
      symmetry == WeightSymmetry::Symmetric ? PackedFormat::Q4_0 : PackedFormat::Q4_1;
  if (!file) {
    for (Candidate &candidate : candidates)
      if (candidate.rounding.format != PackedFormat::Q8_0)
        candidate.rounding.format = format;
    return success();
  }
  bool hasFourBits = llvm::any_of(candidates, [](const Candidate &candidate) {
    return candidate.rounding.format != PackedFormat::Q8_0;
  });
  if (symmetry != WeightSymmetry::Best || !hasFourBits)
    return estimate(format);
  if (failed(estimate(PackedFormat::Q4_0)))
    return failure();
  std::vector<Candidate> symmetric = candidates;
  double symmetricError = sumFourBitErrors(symmetric);
  if (failed(estimate(PackedFormat::Q4_1)))
    return failure();
  double asymmetricError = sumFourBitErrors(candidates);
  bool worthMinima = asymmetricError < kWorthMinima * symmetricError;
  if (!worthMinima)
    candidates = std::move(symmetric);
  if (verbose)
    getOperation().emitRemark("4-bit weights are ")
        << (worthMinima ? "asymmetric" : "symmetric") << ": minima reduce the squared error to "
        << llvm::formatv("{0:P1}", symmetricError > 0 ? asymmetricError / symmetricError : 1.0)
               .str()
        << ", and are worth their bytes below " << llvm::formatv("{0:P0}", kWorthMinima).str();
  return success();
}

void QuantizeWeightsPass::convert(const Candidate &candidate) {
  WeightOp weight = candidate.weight;
  auto type = cast<RankedTensorType>(weight.getType());
  Type rounded = makeType(type, candidate.rounding);
  int64_t before = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  int64_t after = ::llmir::PackedLayout{candidate.rounding.format, weight.getRows(),
                                        weight.getCols(), candidate.rounding.groupSize}
                      .totalBytes();
  weight.setTypeAttr(TypeAttr::get(rounded));
  count("weights-quantized");
  count("bytes-before", before);
  count("bytes-after", after);
  if (!verbose)
    return;
  InFlightDiagnostic remark = weight.emitRemark("quantised to ")
                              << ::llmir::getName(candidate.rounding.format) << " in groups of "
                              << candidate.rounding.groupSize << ": " << before << " bytes to "
                              << after;
  if (candidate.error.count != 0)
    remark << llvm::formatv(", rms error {0:E2} ({1:P2} of the weight's), largest {2:E2}",
                            candidate.error.rms(), candidate.error.relative(),
                            candidate.error.largest)
                  .str();
}

/// In parts per million of the weights' root mean square: counts are integers.
void QuantizeWeightsPass::countErrors() {
  QuantizationError all;
  for (const Candidate &candidate : candidates)
    all.merge(candidate.error);
  if (all.squaredWeight == 0.0)
    return;
  double scale = std::sqrt(all.squaredWeight / static_cast<double>(all.count));
  count("rms-error-ppm", std::llround(1e6 * all.relative()));
  count("largest-error-ppm", std::llround(1e6 * all.largest / scale));
}

void QuantizeWeightsPass::runOnOperation() {
  if (failed(checkOptions()) || failed(openCheckpoint()))
    return signalPassFailure();
  findHeads();
  findCandidates();
  if (failed(chooseFourBitFormat()))
    return signalPassFailure();
  for (const Candidate &candidate : candidates)
    convert(candidate);
  countErrors();
}

} // namespace mlir::llm
