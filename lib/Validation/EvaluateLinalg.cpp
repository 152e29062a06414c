// Evaluation of linalg: every structured op by its maps and body, and the softmax, which has none.

#include "llmir/Validation/Interpreter.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <cmath>

using namespace mlir;
using namespace mlir::llm;

/// The sizes of all loops, read off the operands' sizes.
static std::optional<SmallVector<int64_t>> getLoopSizes(linalg::LinalgOp op, Interpreter &in) {
  SmallVector<int64_t> flat;
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType()))
      llvm::append_range(flat, in.tensor(operand).shape());
  AffineMap map = op.getShapesToLoopsMap();
  if (!map || map.getNumDims() != flat.size())
    return std::nullopt;
  return map.compose(flat);
}

/// Whether every operand has the sizes that its map gives to the loops' last iteration.
static bool fitsLoops(linalg::LinalgOp op, ArrayRef<int64_t> loops, Interpreter &in) {
  SmallVector<int64_t> last(loops);
  for (int64_t &size : last)
    --size;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<RankedTensorType>(operand.get().getType()))
      continue;
    SmallVector<int64_t> index = op.getMatchingIndexingMap(&operand).compose(last);
    for (auto [position, size] : llvm::zip_equal(index, in.tensor(operand.get()).shape()))
      if (position >= size)
        return false;
  }
  return true;
}

/// Runs the body's ops of one iteration; linalg.index is the iteration's.
static LogicalResult runBody(Block &body, ArrayRef<int64_t> iteration, Interpreter &in) {
  for (Operation &op : body.without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      in.set(index, Scalar{0, iteration[index.getDim()]});
    else if (failed(in.runOp(&op)))
      return failure();
  }
  return success();
}

static Evaluated evaluateStructured(linalg::LinalgOp op, Interpreter &in) {
  if (!op.hasPureTensorSemantics())
    return in.unsupported(op, " on buffers");
  std::optional<SmallVector<int64_t>> loops = getLoopSizes(op, in);
  if (!loops)
    return in.unsupported(op, " whose loops its operands do not bound");
  SmallVector<TensorValue> outputs;
  for (Value init : op.getDpsInits())
    outputs.push_back(in.tensor(init));
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  size_t numInputs = op->getNumOperands() - outputs.size();
  Block &body = op->getRegion(0).front();
  if (!llvm::is_contained(*loops, 0)) {
    if (!fitsLoops(op, *loops, in))
      return in.fail(op, "expected operands whose sizes agree");
    SmallVector<int64_t> iteration(loops->size(), 0);
    do {
      for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
        Scalar element;
        if (i >= numInputs)
          element =
              outputs[i - numInputs][outputs[i - numInputs].offsetOf(maps[i].compose(iteration))];
        else if (isa<RankedTensorType>(operand.getType()))
          element = in.tensor(operand)[in.tensor(operand).offsetOf(maps[i].compose(iteration))];
        else
          element = in.scalar(operand);
        in.set(body.getArgument(static_cast<unsigned>(i)), element);
      }
      if (failed(runBody(body, iteration, in)))
        return Evaluated::Failed;
      for (auto [i, yielded] : llvm::enumerate(body.getTerminator()->getOperands()))
        outputs[i][outputs[i].offsetOf(maps[numInputs + i].compose(iteration))] =
            in.scalar(yielded);
    } while (nextIndex(iteration, *loops));
  }
  for (auto [result, output] : llvm::zip_equal(op->getResults(), outputs))
    if (in.setTensor(result, std::move(output)) == Evaluated::Failed)
      return Evaluated::Failed;
  return Evaluated::Done;
}

static Evaluated evaluateSoftmax(linalg::SoftmaxOp op, Interpreter &in) {
  const TensorValue &input = in.tensor(op.getInput());
  auto dim = static_cast<size_t>(op.getDimension());
  TensorValue result = Interpreter::makeTensorFor(op.getResult()[0], input.shape());
  int64_t inner = 1;
  for (size_t i = dim + 1; i < input.rank(); ++i)
    inner *= input.dim(i);
  int64_t length = input.dim(dim);
  for (int64_t start = 0; length > 0 && start < input.size(); ++start) {
    if (start / inner % length != 0)
      continue;
    double largest = -HUGE_VAL, sum = 0;
    for (int64_t i = 0; i < length; ++i)
      largest = std::fmax(largest, input.real(start + i * inner));
    for (int64_t i = 0; i < length; ++i)
      sum += std::exp(input.real(start + i * inner) - largest);
    for (int64_t i = 0; i < length; ++i)
      result.setReal(start + i * inner, std::exp(input.real(start + i * inner) - largest) / sum);
  }
  return in.setTensor(op.getResult()[0], std::move(result));
}

Evaluated llm::evaluateLinalg(Operation *op, Interpreter &interpreter) {
  if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
    return softmax->getNumResults() == 1 ? evaluateSoftmax(softmax, interpreter)
                                         : interpreter.unsupported(op, " on buffers");
  if (auto structured = dyn_cast<linalg::LinalgOp>(op))
    return evaluateStructured(structured, interpreter);
  return Evaluated::Unknown;
}
