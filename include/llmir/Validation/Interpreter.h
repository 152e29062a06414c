// An interpreter of `llm` IR before bufferisation: llm, arith, math, tensor, linalg, func, scf and
// cf over tensors, in double precision. It is an oracle: naive, and without code in common with any
// lowering. An op that it does not know, or that does something forbidden, ends the run with one
// message; nothing is skipped.

#ifndef LLMIR_VALIDATION_INTERPRETER_H
#define LLMIR_VALIDATION_INTERPRETER_H

#include "llmir/Validation/RuntimeValue.h"
#include "llmir/Validation/WeightValues.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"

#include <map>
#include <string>

namespace mlir::llm {

/// Why a run ended early.
struct InterpreterError {
  /// The op at fault.
  Operation *op = nullptr;
  std::string message;
  /// Whether the interpreter does not know the op, or this form of it; otherwise the program did
  /// what it must not do.
  bool unsupported = false;
};

/// Whether an evaluator knows an op, and could compute it.
enum class Evaluated { Unknown, Done, Failed };

/// Runs functions of one module. Not for use by several threads.
class Interpreter {
public:
  /// The module and the weights must outlive it.
  Interpreter(ModuleOp module, const WeightValues &weights) : module(module), weights(weights) {}

  /// The results of `function` for `arguments`, one for each of its arguments. On failure error()
  /// says why.
  FailureOr<SmallVector<RuntimeValue>> run(func::FuncOp function, ArrayRef<RuntimeValue> arguments);
  const InterpreterError &error() const { return lastError; }

  //===--- For the evaluators of op families ---===//

  const RuntimeValue &get(Value value) const { return frame->find(value)->second; }
  const TensorValue &tensor(Value value) const {
    return *std::get<std::shared_ptr<const TensorValue>>(get(value));
  }
  Scalar scalar(Value value) const { return std::get<Scalar>(get(value)); }
  int64_t integer(Value value) const { return scalar(value).integer; }
  /// The numbers of a rank-1 integer tensor.
  SmallVector<int64_t> integers(Value value) const;

  void set(Value value, RuntimeValue result) { (*frame)[value] = std::move(result); }
  /// Sets a tensor after a check of its sizes against the value's type.
  Evaluated setTensor(Value value, TensorValue result);
  /// A tensor of zeros with the element type of `value`.
  static TensorValue makeTensorFor(Value value, ArrayRef<int64_t> shape);

  /// The weight that `name` refers to from `op`: [rows, columns] or [elements].
  const TensorValue &weight(Operation *op, FlatSymbolRefAttr name);

  Evaluated fail(Operation *op, const Twine &message);
  Evaluated unsupported(Operation *op, const Twine &why);

  /// Runs a region of one block with the given block arguments; `results` are the operands of its
  /// terminator.
  LogicalResult runRegion(Region &region, ArrayRef<RuntimeValue> arguments,
                          SmallVectorImpl<RuntimeValue> &results);
  /// Runs one op.
  LogicalResult runOp(Operation *op);

private:
  /// Runs the blocks of a region from its entry to an op without successors, which it returns.
  FailureOr<Operation *> runBlocks(Region &region, ArrayRef<RuntimeValue> arguments);
  Evaluated evaluateControl(Operation *op);
  Evaluated evaluateCall(func::CallOp op);

  ModuleOp module;
  const WeightValues &weights;
  /// A map whose entries stay where they are: evaluators hold several.
  std::map<Operation *, TensorValue> loadedWeights;
  using Frame = DenseMap<Value, RuntimeValue>;
  Frame *frame = nullptr;
  int64_t numOps = 0;
  int64_t depth = 0;
  InterpreterError lastError;
};

// The evaluators, each of a family of ops. Operands are set; results are set on Done.
Evaluated evaluateArith(Operation *op, Interpreter &interpreter);
Evaluated evaluateTensor(Operation *op, Interpreter &interpreter);
Evaluated evaluateLinalg(Operation *op, Interpreter &interpreter);
Evaluated evaluateTransformer(Operation *op, Interpreter &interpreter);
Evaluated evaluateQuantization(Operation *op, Interpreter &interpreter);
Evaluated evaluateCache(Operation *op, Interpreter &interpreter);
Evaluated evaluateAttention(Operation *op, Interpreter &interpreter);
Evaluated evaluateSpeculation(Operation *op, Interpreter &interpreter);

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_INTERPRETER_H
