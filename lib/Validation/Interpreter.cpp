// Running functions: frames of values, blocks, structured control flow, calls, and the choice of an
// evaluator for each other op.

#include "llmir/Validation/Interpreter.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::llm;

namespace {
/// Ops that a run may execute, and calls inside each other, before it counts as endless.
constexpr int64_t kMaxOps = 20'000'000, kMaxDepth = 64;
} // namespace

Evaluated Interpreter::fail(Operation *op, const Twine &message) {
  lastError = {op, message.str(), /*unsupported=*/false};
  return Evaluated::Failed;
}

Evaluated Interpreter::unsupported(Operation *op, const Twine &why) {
  lastError = {op, ("cannot interpret '" + op->getName().getStringRef() + "'" + why).str(),
               /*unsupported=*/true};
  return Evaluated::Failed;
}

SmallVector<int64_t> Interpreter::integers(Value value) const {
  const TensorValue &numbers = tensor(value);
  SmallVector<int64_t> result;
  for (int64_t i = 0; i < numbers.size(); ++i)
    result.push_back(numbers.integer(i));
  return result;
}

TensorValue Interpreter::makeTensorFor(Value value, ArrayRef<int64_t> shape) {
  auto quantized = dyn_cast<QuantizedTensorType>(value.getType());
  return TensorValue(shape, quantized ? Type(Float32Type::get(value.getContext()))
                                      : cast<ShapedType>(value.getType()).getElementType());
}

Evaluated Interpreter::setTensor(Value value, TensorValue result) {
  auto quantized = dyn_cast<QuantizedTensorType>(value.getType());
  ArrayRef<int64_t> expected =
      quantized ? quantized.getShape() : cast<RankedTensorType>(value.getType()).getShape();
  bool fits = expected.size() == result.rank();
  for (size_t i = 0; fits && i < expected.size(); ++i)
    fits = ShapedType::isDynamic(expected[i]) || expected[i] == result.dim(i);
  if (!fits) {
    std::string message;
    llvm::raw_string_ostream stream(message);
    stream << "expected a result of type " << value.getType() << ", but it has the sizes [";
    llvm::interleaveComma(result.shape(), stream);
    stream << "]";
    return fail(value.getDefiningOp(), message);
  }
  set(value, makeTensor(std::move(result)));
  return Evaluated::Done;
}

const TensorValue &Interpreter::weight(Operation *op, FlatSymbolRefAttr name) {
  WeightOp weight = lookupWeight(op, name);
  auto [entry, isNew] = loadedWeights.try_emplace(weight.getOperation());
  if (isNew)
    entry->second = weights.load(weight);
  return entry->second;
}

FailureOr<SmallVector<RuntimeValue>> Interpreter::run(func::FuncOp function,
                                                      ArrayRef<RuntimeValue> arguments) {
  if (function.isExternal())
    return unsupported(function, ", which has no body"), failure();
  if (depth >= kMaxDepth)
    return fail(function, "expected calls to end, but they are " + Twine(depth) + " deep"),
           failure();
  Frame values;
  Frame *caller = std::exchange(frame, &values);
  ++depth;
  llvm::scope_exit leave([&] {
    frame = caller;
    --depth;
  });
  FailureOr<Operation *> end = runBlocks(function.getBody(), arguments);
  if (failed(end))
    return failure();
  SmallVector<RuntimeValue> results;
  for (Value operand : (*end)->getOperands())
    results.push_back(get(operand));
  return results;
}

FailureOr<Operation *> Interpreter::runBlocks(Region &region, ArrayRef<RuntimeValue> arguments) {
  Block *block = &region.front();
  SmallVector<RuntimeValue> incoming(arguments);
  while (true) {
    for (auto [argument, value] : llvm::zip_equal(block->getArguments(), incoming))
      set(argument, value);
    for (Operation &op : block->without_terminator())
      if (failed(runOp(&op)))
        return failure();
    Operation *terminator = block->getTerminator();
    if (++numOps > kMaxOps)
      return fail(terminator, "expected the program to end, but it runs on"), failure();
    ValueRange operands;
    if (auto branch = dyn_cast<cf::BranchOp>(terminator)) {
      block = branch.getDest();
      operands = branch.getDestOperands();
    } else if (auto branch = dyn_cast<cf::CondBranchOp>(terminator)) {
      bool taken = integer(branch.getCondition()) != 0;
      block = taken ? branch.getTrueDest() : branch.getFalseDest();
      operands = taken ? branch.getTrueDestOperands() : branch.getFalseDestOperands();
    } else if (terminator->getNumSuccessors() != 0) {
      return unsupported(terminator, ""), failure();
    } else {
      return terminator;
    }
    incoming.clear();
    for (Value operand : operands)
      incoming.push_back(get(operand));
  }
}

LogicalResult Interpreter::runRegion(Region &region, ArrayRef<RuntimeValue> arguments,
                                     SmallVectorImpl<RuntimeValue> &results) {
  FailureOr<Operation *> end = runBlocks(region, arguments);
  if (failed(end))
    return failure();
  results.clear();
  for (Value operand : (*end)->getOperands())
    results.push_back(get(operand));
  return success();
}

LogicalResult Interpreter::runOp(Operation *op) {
  if (++numOps > kMaxOps)
    return fail(op, "expected the program to end, but it runs on"), failure();
  constexpr Evaluated (*evaluators[])(Operation *, Interpreter &) = {
      evaluateArith, evaluateTensor,       evaluateLinalg,    evaluateTransformer,
      evaluateCache, evaluateQuantization, evaluateAttention, evaluateSpeculation};
  Evaluated result = evaluateControl(op);
  for (auto *evaluator : evaluators) {
    if (result != Evaluated::Unknown)
      break;
    result = evaluator(op, *this);
  }
  if (result == Evaluated::Unknown)
    result = unsupported(op, "");
  return success(result == Evaluated::Done);
}

Evaluated Interpreter::evaluateCall(func::CallOp op) {
  auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, op.getCalleeAttr());
  if (!callee)
    return unsupported(op, " of a function that is not there");
  SmallVector<RuntimeValue> arguments;
  for (Value operand : op.getOperands())
    arguments.push_back(get(operand));
  FailureOr<SmallVector<RuntimeValue>> results = run(callee, arguments);
  if (failed(results))
    return Evaluated::Failed;
  for (auto [result, value] : llvm::zip_equal(op.getResults(), *results))
    set(result, value);
  return Evaluated::Done;
}

/// The values of an op's operands.
static SmallVector<RuntimeValue> valuesOf(const Interpreter &interpreter, ValueRange operands) {
  SmallVector<RuntimeValue> values;
  for (Value operand : operands)
    values.push_back(interpreter.get(operand));
  return values;
}

Evaluated Interpreter::evaluateControl(Operation *op) {
  SmallVector<RuntimeValue> values;
  auto finish = [&] {
    for (auto [result, value] : llvm::zip_equal(op->getResults(), values))
      set(result, value);
    return Evaluated::Done;
  };
  if (auto call = dyn_cast<func::CallOp>(op))
    return evaluateCall(call);
  if (isa<WeightOp>(op))
    return Evaluated::Done;
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    bool taken = integer(branch.getCondition()) != 0;
    Region &region = taken ? branch.getThenRegion() : branch.getElseRegion();
    if (!region.empty() && failed(runRegion(region, {}, values)))
      return Evaluated::Failed;
    return finish();
  }
  if (auto body = dyn_cast<scf::ExecuteRegionOp>(op))
    return failed(runRegion(body.getRegion(), {}, values)) ? Evaluated::Failed : finish();
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    int64_t upper = integer(loop.getUpperBound()), step = integer(loop.getStep());
    if (step <= 0)
      return fail(op, "expected a positive step, but got " + Twine(step));
    values = valuesOf(*this, loop.getInitArgs());
    for (int64_t i = integer(loop.getLowerBound()); i < upper; i += step) {
      SmallVector<RuntimeValue> arguments = {Scalar{0, i}};
      arguments.append(values);
      if (failed(runRegion(loop.getRegion(), arguments, values)))
        return Evaluated::Failed;
    }
    return finish();
  }
  if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    values = valuesOf(*this, loop.getInits());
    while (true) {
      if (failed(runRegion(loop.getBefore(), SmallVector<RuntimeValue>(values), values)))
        return Evaluated::Failed;
      bool again = std::get<Scalar>(values.front()).integer != 0;
      values.erase(values.begin());
      if (!again)
        return finish();
      if (failed(runRegion(loop.getAfter(), SmallVector<RuntimeValue>(values), values)))
        return Evaluated::Failed;
    }
  }
  return Evaluated::Unknown;
}
