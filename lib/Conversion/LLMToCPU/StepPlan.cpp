// Barriers and loops of a step's plan: see StepPlan.h.

#include "StepPlan.h"

#include <algorithm>

namespace mlir::llm {

/// The barrier between two successive calls. A redundant or preparing call of a small batch writes
/// what the worker alone reads, so nobody waits for it, but reads what others wrote; calls over
/// tokens hand each token to the same worker.
static Barrier barrierBetween(const PlanCall &first, const PlanCall &second) {
  if (second.merges)
    return Barrier::Splits;
  if (first.redundant || first.prepares)
    return first.partition == Partition::Rows ? Barrier::LargeRows : Barrier::LargeTokens;
  if (second.prepares && !first.headTiles.empty())
    return Barrier::UnlessOwn;
  if (first.partition == Partition::Tokens &&
      (second.partition == Partition::Tokens || second.prepares))
    return second.redundant || second.prepares ? Barrier::SmallTokens : Barrier::Never;
  return Barrier::Always;
}

void StepPlan::placeBarriers() {
  for (size_t i = 0; i + 1 < calls.size(); ++i)
    calls[i].barrierAfter = barrierBetween(calls[i], calls[i + 1]);
}

/// Whether two calls are the same but for constants.
static bool isSameCall(const PlanCall &a, const PlanCall &b) {
  if (a.function != b.function || a.partition != b.partition || a.tiles != b.tiles ||
      a.redundant != b.redundant || a.merges != b.merges || a.prepares != b.prepares ||
      a.count != b.count || a.headTiles != b.headTiles || a.kvHeads != b.kvHeads ||
      a.sumsOverRanks != b.sumsOverRanks || a.barrierAfter != b.barrierAfter ||
      a.operands.size() != b.operands.size())
    return false;
  for (auto [left, right] : llvm::zip_equal(a.operands, b.operands)) {
    bool bothConstant = std::holds_alternative<ConstantOperand>(left) &&
                        std::holds_alternative<ConstantOperand>(right);
    if (!bothConstant && !(left == right))
      return false;
  }
  return true;
}

/// How much each constant grows from `a` to `b`.
static SmallVector<int64_t> stepsBetween(const PlanCall &a, const PlanCall &b) {
  SmallVector<int64_t> steps;
  for (auto [left, right] : llvm::zip_equal(a.operands, b.operands)) {
    const auto *from = std::get_if<ConstantOperand>(&left);
    steps.push_back(from ? std::get<ConstantOperand>(right).value - from->value : 0);
  }
  return steps;
}

namespace {
/// A run of `count` repetitions of `period` calls.
struct Run {
  size_t start = 0, period = 0, count = 0;
  size_t saved() const { return count < 2 ? 0 : (count - 1) * period; }
};
} // namespace

/// How often the `period` calls from `start` repeat before `end`.
static size_t countRepetitions(ArrayRef<PlanCall> calls, size_t start, size_t period, size_t end) {
  size_t count = 1;
  while (start + (count + 1) * period <= end) {
    for (size_t i = start; i < start + period; ++i) {
      const PlanCall &previous = calls[i + (count - 1) * period];
      const PlanCall &next = calls[i + count * period];
      if (!isSameCall(previous, next) ||
          stepsBetween(calls[i], calls[i + period]) != stepsBetween(previous, next))
        return count;
    }
    ++count;
  }
  return count;
}

static void formLoops(ArrayRef<PlanCall> calls, size_t begin, size_t end,
                      std::vector<PlanSegment> &segments) {
  if (begin >= end)
    return;
  Run best;
  for (size_t start = begin; start < end; ++start) {
    for (size_t period = 1; start + 2 * period <= end; ++period) {
      if (!isSameCall(calls[start], calls[start + period]))
        continue;
      Run run{start, period, countRepetitions(calls, start, period, end)};
      if (run.saved() > best.saved())
        best = run;
    }
  }
  if (best.saved() == 0) {
    segments.push_back({std::vector<PlanCall>(calls.begin() + begin, calls.begin() + end), 1, {}});
    return;
  }
  formLoops(calls, begin, best.start, segments);
  PlanSegment loop;
  loop.repetitions = static_cast<int64_t>(best.count);
  for (size_t i = best.start; i < best.start + best.period; ++i) {
    loop.calls.push_back(calls[i]);
    loop.steps.push_back(stepsBetween(calls[i], calls[i + best.period]));
  }
  segments.push_back(std::move(loop));
  formLoops(calls, best.start + best.count * best.period, end, segments);
}

std::vector<PlanSegment> StepPlan::formLoops() const {
  std::vector<PlanSegment> segments;
  llm::formLoops(calls, 0, calls.size(), segments);
  return segments;
}

} // namespace mlir::llm
