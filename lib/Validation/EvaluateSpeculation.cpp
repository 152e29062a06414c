// Evaluation of the choice of tokens: sampling, and the verification of drafts without chance.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/Interpreter.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace mlir::llm;

/// The column with the highest score, ties to the lower one.
static int64_t largestOf(const TensorValue &scores, int64_t row) {
  int64_t best = 0;
  for (int64_t i = 1; i < scores.dim(1); ++i)
    if (scores.real(row * scores.dim(1) + i) > scores.real(row * scores.dim(1) + best))
      best = i;
  return best;
}

/// A token by chance, as llm.sample describes it.
static int64_t sampleRow(SampleOp op, const TensorValue &scores, int64_t row, double uniform) {
  double temperature = op.getTemperature() ? op.getTemperature()->convertToDouble() : 1;
  std::vector<double> probabilities(static_cast<size_t>(scores.dim(1)));
  double largest = scores.real(row * scores.dim(1) + largestOf(scores, row)), sum = 0;
  for (auto [i, probability] : llvm::enumerate(probabilities))
    sum += probability = std::exp(
        (scores.real(row * scores.dim(1) + static_cast<int64_t>(i)) - largest) / temperature);
  std::vector<size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order, [&](size_t a, size_t b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  size_t count = op.getTopK() ? std::min<size_t>(*op.getTopK(), order.size()) : order.size();
  double before = 0, share = 0;
  size_t kept = 0;
  for (; kept < count; ++kept) {
    double probability = probabilities[order[kept]] / sum;
    if ((op.getTopP() && before >= op.getTopP()->convertToDouble()) ||
        (op.getMinP() &&
         probability < op.getMinP()->convertToDouble() * probabilities[order[0]] / sum))
      break;
    before += probability;
  }
  for (size_t i = 0; i < kept; ++i) {
    share += probabilities[order[i]] / sum / before;
    if (share > uniform)
      return static_cast<int64_t>(order[i]);
  }
  return static_cast<int64_t>(order[kept - 1]);
}

static Evaluated evaluate(SampleOp op, Interpreter &in) {
  const TensorValue &scores = in.tensor(op.getLogits());
  if (scores.dim(1) == 0)
    return in.fail(op, "expected at least one token to choose from");
  TensorValue result = Interpreter::makeTensorFor(op, {scores.dim(0)});
  for (int64_t row = 0; row < scores.dim(0); ++row)
    result.setInteger(row, op.getUniforms()
                               ? sampleRow(op, scores, row, in.tensor(op.getUniforms()).real(row))
                               : largestOf(scores, row));
  return in.setTensor(op, std::move(result));
}

static Evaluated evaluate(VerifyOp op, Interpreter &in) {
  if (op.getUniforms())
    return in.unsupported(op, " with uniforms");
  const TensorValue &scores = in.tensor(op.getLogits());
  SmallVector<int64_t> tokens = in.integers(op.getDraftTokens()),
                       cu = in.integers(op.getCuLengths());
  SmallVector<int64_t> parents =
      op.getParents() ? in.integers(op.getParents()) : SmallVector<int64_t>();
  auto sequences = static_cast<int64_t>(cu.size()) - 1;
  int64_t width = cast<RankedTensorType>(op.getPath().getType()).getDimSize(1);
  if (ShapedType::isDynamic(width)) {
    width = 0;
    for (int64_t s = 0; s < sequences; ++s)
      width = std::max(width, cu[static_cast<size_t>(s) + 1] - cu[static_cast<size_t>(s)] - 1);
  }
  TensorValue accepted = Interpreter::makeTensorFor(op.getAccepted(), {sequences});
  TensorValue path = Interpreter::makeTensorFor(op.getPath(), {sequences, width});
  TensorValue next = Interpreter::makeTensorFor(op.getNextTokens(), {sequences});
  for (int64_t i = 0; i < path.size(); ++i)
    path.setInteger(i, -1);
  for (int64_t s = 0; s < sequences; ++s) {
    int64_t first = cu[static_cast<size_t>(s)], end = cu[static_cast<size_t>(s) + 1];
    if (first < 0 || first >= end || end > scores.dim(0))
      return in.fail(op, "expected at least one token of each sequence");
    int64_t kept = 0, last = 0;
    for (int64_t i = 1; first + i < end; ++i) {
      int64_t parent = parents.empty() ? i - 1 : parents[static_cast<size_t>(first + i)];
      bool follows = parent == last;
      if (!follows || tokens[static_cast<size_t>(first + i)] != largestOf(scores, first + last))
        continue;
      if (kept == width)
        return in.fail(op, "expected a path of more than " + Twine(width) + " drafts");
      // A draft's number does not count the token before all drafts.
      path.setInteger(s * width + kept++, i - 1);
      last = i;
    }
    accepted.setInteger(s, kept);
    next.setInteger(s, largestOf(scores, first + last));
  }
  if (in.setTensor(op.getAccepted(), std::move(accepted)) == Evaluated::Failed ||
      in.setTensor(op.getPath(), std::move(path)) == Evaluated::Failed)
    return Evaluated::Failed;
  return in.setTensor(op.getNextTokens(), std::move(next));
}

Evaluated llm::evaluateSpeculation(Operation *op, Interpreter &interpreter) {
  if (auto sample = dyn_cast<SampleOp>(op))
    return evaluate(sample, interpreter);
  if (auto verify = dyn_cast<VerifyOp>(op))
    return evaluate(verify, interpreter);
  return Evaluated::Unknown;
}
