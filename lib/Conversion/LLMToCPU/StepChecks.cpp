// Which steps have CPU code: see CPUOpChecks.h. A step's arguments mean what their places say, so
// an op that takes another one would read the wrong numbers; and the runtime reads logits and
// caches where it put them, so a step that returns anything else would mean something that does not
// happen.

#include "CPUOpChecks.h"
#include "CacheOpKernels.h"
#include "DenseAttention.h"
#include "StepArguments.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::llm {

LogicalResult emitNoStepForm(Operation *op) {
  return op->emitOpError("cannot be lowered in a step; expected llm ops over ragged batches, or "
                         "arith.addf on tensors");
}

namespace {
class StepChecker {
public:
  explicit StepChecker(const StepArguments &arguments) : arguments(arguments) {
    for (Value cache : arguments.caches()) {
      latest.push_back(cache);
      numbers[cache] = static_cast<int64_t>(numbers.size());
    }
  }

  LogicalResult check(Operation *op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<EmbeddingOp, LogitsOp, RopeOp, RopeStoreKVOp, StoreKVOp, PagedAttentionOp,
              AttentionOp, func::ReturnOp>(
            [&](auto typed) { return failed(checkSizes(op)) ? failure() : checkUses(typed); })
        .Case<LoadWeightOp, RMSNormOp, LinearOp, SwiGLUOp, AllReduceOp, arith::AddFOp>(
            [&](Operation *) { return checkSizes(op); })
        .Default([](Operation *other) { return emitNoStepForm(other); });
  }

private:
  /// All dimensions of a result are known but the number of tokens or rows.
  static LogicalResult checkSizes(Operation *op) {
    for (Type type : op->getResultTypes()) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (isa<BaseMemRefType>(type))
        return op->emitOpError("expected tensors in a step, but got ") << type;
      if (tensor && tensor.getRank() > 1 &&
          llvm::any_of(tensor.getShape().drop_front(), ShapedType::isDynamic))
        return op->emitOpError("expected a result of known sizes but for the first, but got ")
               << type;
    }
    return success();
  }

  LogicalResult checkInput(Operation *op, StringRef name, Value value, StepInput input,
                           int64_t cache = 0) {
    std::optional<InputOperand> found = arguments.find(value);
    if (found && found->input == input && found->cache == cache)
      return success();
    InFlightDiagnostic error = op->emitOpError("expected '")
                               << name << "' to be the step's " << describe(input);
    if (input == StepInput::Slots || input == StepInput::Table)
      error << " of cache " << cache;
    error << ", but got ";
    if (auto argument = dyn_cast<BlockArgument>(value))
      return error << "argument " << argument.getArgNumber();
    return error << "a result of '" << value.getDefiningOp()->getName() << "'";
  }

  static StringRef describe(StepInput input) {
    switch (input) {
    case StepInput::Tokens:
      return "tokens";
    case StepInput::Positions:
      return "positions";
    case StepInput::CuLengths:
      return "cumulative lengths";
    case StepInput::ContextLengths:
      return "context lengths";
    case StepInput::Rows:
      return "rows";
    case StepInput::Slots:
      return "slots";
    case StepInput::Table:
      return "table";
    default:
      return "tree mask";
    }
  }

  FailureOr<int64_t> getCache(Operation *op, Value cache) {
    auto found = numbers.find(cache);
    if (found == numbers.end())
      return op->emitOpError("expected a cache that the step received, but got ") << cache;
    return found->second;
  }

  LogicalResult checkUses(EmbeddingOp op) {
    return checkInput(op, "tokens", op.getTokens(), StepInput::Tokens);
  }
  LogicalResult checkUses(RopeOp op) {
    return checkInput(op, "positions", op.getPositions(), StepInput::Positions);
  }
  LogicalResult checkUses(LogitsOp op) {
    if (logits)
      return op.emitOpError("expected one llm.logits in a step, but got a second one");
    logits = op;
    return checkInput(op, "rows", op.getRows(), StepInput::Rows);
  }
  LogicalResult checkUses(RopeStoreKVOp op) {
    if (failed(checkInput(op, "positions", op.getPositions(), StepInput::Positions)))
      return failure();
    return checkStore(op);
  }
  LogicalResult checkUses(StoreKVOp op) { return checkStore(op); }
  template <typename OpTy> LogicalResult checkStore(OpTy op) {
    FailureOr<int64_t> cache = getCache(op, op.getCache());
    if (failed(cache) || failed(checkInput(op, "slots", op.getSlots(), StepInput::Slots, *cache)))
      return failure();
    numbers[op.getNewCache()] = *cache;
    latest[static_cast<size_t>(*cache)] = op.getNewCache();
    return success();
  }
  LogicalResult checkUses(PagedAttentionOp op) {
    if (!op.getCuLengths())
      return op.emitOpError("expected a ragged query with cu_lengths in a step, but got ")
             << op.getQuery().getType();
    FailureOr<int64_t> cache = getCache(op, op.getCache());
    if (failed(cache) ||
        failed(checkInput(op, "block_table", op.getBlockTable(), StepInput::Table, *cache)) ||
        failed(checkInput(op, "seq_lens", op.getSeqLens(), StepInput::ContextLengths)) ||
        failed(checkInput(op, "cu_lengths", op.getCuLengths(), StepInput::CuLengths)))
      return failure();
    if (op.getTreeMask() &&
        failed(checkInput(op, "tree_mask", op.getTreeMask(), StepInput::TreeMask)))
      return failure();
    if (op.getPositions() &&
        failed(checkInput(op, "positions", op.getPositions(), StepInput::Positions)))
      return failure();
    return checkAttention(op);
  }

  LogicalResult checkUses(AttentionOp op) {
    if (!op.getCuLengths())
      return op.emitOpError("expected a ragged query with cu_lengths in a step, but got ")
             << op.getQuery().getType();
    if (failed(checkInput(op, "cu_lengths", op.getCuLengths(), StepInput::CuLengths)))
      return failure();
    if (op.getCuKeyLengths() &&
        failed(checkInput(op, "cu_key_lengths", op.getCuKeyLengths(), StepInput::CuLengths)))
      return failure();
    return checkDenseAttention(op);
  }

  /// The logits, if the step computes any, then the caches in order, each as its last op left it.
  LogicalResult checkUses(func::ReturnOp op) {
    SmallVector<Value> expected;
    if (logits)
      expected.push_back(logits.getOutput());
    expected.append(latest);
    if (op.getNumOperands() != expected.size())
      return op.emitOpError("expected ")
             << expected.size() << " results of a step, " << (logits ? "its logits and " : "")
             << "its caches in order, but got " << op.getNumOperands();
    for (auto [number, value] : llvm::enumerate(op.getOperands())) {
      if (value == expected[number])
        continue;
      InFlightDiagnostic error = op.emitOpError("expected result ")
                                 << number << " of a step to be ";
      if (logits && number == 0)
        error << "its logits";
      else
        error << "cache " << number - (logits ? 1 : 0) << " as its last op left it";
      return error << ", but got " << value;
    }
    return success();
  }

  const StepArguments &arguments;
  DenseMap<Value, int64_t> numbers; ///< Of caches, in all their states.
  SmallVector<Value> latest;        ///< Of each cache: its state after the ops so far.
  LogitsOp logits;
};
} // namespace

LogicalResult checkStepForCPU(func::FuncOp step) {
  FailureOr<StepArguments> arguments = StepArguments::bind(step);
  if (failed(arguments))
    return failure();
  if (!llvm::hasSingleElement(step.getBody()))
    return step.emitError("expected a step of one block, but got ")
           << step.getBody().getBlocks().size();
  StepChecker checker(*arguments);
  for (Operation &op : step.front())
    if (failed(checker.check(&op)))
      return failure();
  return success();
}

} // namespace mlir::llm
