// Dense attention in a step: every worker takes its share of the tasks, with scratch of its own.

#include "DenseAttention.h"
#include "StepPlanner.h"

namespace mlir::llm {

LogicalResult StepPlanner::plan(AttentionOp op) {
  Value keyLengths = op.getCuKeyLengths() ? op.getCuKeyLengths() : op.getCuLengths();
  FailureOr<Place> query = getPlace(op, op.getQuery());
  FailureOr<Place> keys = getPlace(op, op.getKeys());
  FailureOr<Place> values = getPlace(op, op.getValues());
  FailureOr<InputOperand> cuLengths = getInput(op, op.getCuLengths());
  FailureOr<InputOperand> cuKeyLengths = getInput(op, keyLengths);
  if (failed(query) || failed(keys) || failed(values) || failed(cuLengths) || failed(cuKeyLengths))
    return failure();
  SmallVector<PlanOperand> sinks;
  if (Value logits = op.getSinkLogits()) {
    auto offset = loadedWeights.find(logits);
    if (offset == loadedWeights.end())
      return op.emitOpError("expected sink_logits of an llm.load_weight in a step, but got ")
             << logits;
    sinks = {InputOperand{StepInput::Weights, 0, {}}, ConstantOperand{offset->second}};
  }
  Place output = createRows(op.getOutput(), columnsOf(op.getOutput()));
  DenseAttentionKernel kernel =
      getDenseAttentionKernel(op, AttentionTechnique::Flash, query->operand.type,
                              keys->operand.type, values->operand.type, output.operand.type);
  int64_t scratch = DenseTiling(kernel, library.target().lanes).size;
  result.scratchElements = std::max(result.scratchElements, scratch);
  PlanCall &call = addCall(getKernel(library, kernel), Partition::RoundRobin,
                           {query->operand, keys->operand, values->operand, output.operand,
                            InputOperand{StepInput::NumSequences, 0, {}}, *cuLengths, *cuKeyLengths,
                            InputOperand{StepInput::Scratch, 0, {}}});
  call.operands.append(sinks);
  return success();
}

} // namespace mlir::llm
