// Where the KV caches of a function end: names of a cache, and a search of the paths that follow
// each consumer for further uses of any of them.

#include "llmir/Dialect/LLM/Analysis/CacheLifetimes.h"
#include "llmir/Dialect/LLM/IR/LLMInterfaces.h"
#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"

using namespace mlir;
using namespace mlir::llm;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static bool isCache(Value value) { return isa<PagedKVCacheType>(value.getType()); }

CacheLifetimes::CacheLifetimes(Operation *root) : root(root) {
  root->walk([&](Operation *op) { recordAliases(op); });
}

void CacheLifetimes::recordAlias(Value from, Value to) {
  if (!from || !isCache(from) || !isCache(to))
    return;
  targets[from].push_back(to);
  sources[to].push_back(from);
}

void CacheLifetimes::recordAliases(Operation *op) {
  if (auto branch = dyn_cast<BranchOpInterface>(op)) {
    for (auto [index, block] : llvm::enumerate(op->getSuccessors())) {
      SuccessorOperands operands = branch.getSuccessorOperands(index);
      for (BlockArgument argument : block->getArguments())
        if (argument.getArgNumber() < operands.size())
          recordAlias(operands[argument.getArgNumber()], argument);
    }
    return;
  }
  if (auto branch = dyn_cast<RegionBranchOpInterface>(op)) {
    for (RegionBranchPoint point : branch.getAllRegionBranchPoints()) {
      SmallVector<RegionSuccessor> successors;
      branch.getSuccessorRegions(point, successors);
      for (RegionSuccessor successor : successors)
        for (auto [operand, input] : llvm::zip(branch.getSuccessorOperands(point, successor),
                                               successor.getSuccessorInputs()))
          recordAlias(operand, input);
    }
    return;
  }
  if (isa<CacheConsumerOpInterface, CallOpInterface>(op))
    return;
  // A select or a cast: each result may be any of the operands.
  for (Value operand : op->getOperands())
    for (Value result : op->getResults())
      recordAlias(operand, result);
}

SetVector<Value> CacheLifetimes::getAliases(Value value) const {
  SetVector<Value> aliases;
  aliases.insert(value);
  auto close = [&](const DenseMap<Value, SmallVector<Value>> &edges) {
    for (size_t i = 0; i < aliases.size(); ++i)
      if (auto it = edges.find(aliases[i]); it != edges.end())
        aliases.insert(it->second.begin(), it->second.end());
  };
  close(sources); // What it may come from,
  close(targets); // and what else that may be called.
  return aliases;
}

//===----------------------------------------------------------------------===//
// Paths
//===----------------------------------------------------------------------===//

namespace {

/// Searches the paths that start after an op for uses of a value. A path ends where the value is
/// defined anew.
class UseSearch {
public:
  explicit UseSearch(Value value) : value(value) {}

  /// The first use on each path from after `op`.
  SmallVector<OpOperand *> run(Operation *op) {
    enterAfter(op);
    while (!worklist.empty())
      visit(worklist.pop_back_val());
    return std::move(uses);
  }

private:
  /// Adds the op that follows `op`, unless the path ends at `op`'s results.
  void enterAfter(Operation *op) {
    if (!llvm::is_contained(op->getResults(), value))
      enter(op->getNextNode());
  }

  void enter(Block &block) {
    if (!block.empty() && !llvm::is_contained(block.getArguments(), value))
      enter(&block.front());
  }

  void enter(Operation *op) {
    if (op && visited.insert(op).second)
      worklist.push_back(op);
  }

  void enter(ArrayRef<RegionSuccessor> successors, Operation *parent) {
    for (const RegionSuccessor &successor : successors) {
      if (successor.isParent())
        enterAfter(parent);
      else if (!successor.getSuccessor()->empty())
        enter(successor.getSuccessor()->front());
    }
  }

  void enterRegions(Operation *op) {
    for (Region &region : op->getRegions())
      if (!region.empty())
        enter(region.front());
  }

  void visit(Operation *op) {
    for (OpOperand &operand : op->getOpOperands()) {
      if (operand.get() == value) {
        uses.push_back(&operand);
        return;
      }
    }
    if (auto branch = dyn_cast<RegionBranchOpInterface>(op)) {
      SmallVector<RegionSuccessor> successors;
      branch.getSuccessorRegions(RegionBranchPoint::parent(), successors);
      enter(successors, op);
      return;
    }
    for (Block *successor : op->getSuccessors())
      enter(*successor);
    if (op->getNumSuccessors() == 0 && op->getBlock()->getParent() && !op->getNextNode())
      leaveRegion(op);
    if (!op->hasTrait<OpTrait::IsIsolatedFromAbove>())
      enterRegions(op);
    enterAfter(op);
  }

  /// Continues from the last op of a block without successors.
  void leaveRegion(Operation *last) {
    Operation *parent = last->getParentOp();
    if (!parent || parent->hasTrait<OpTrait::IsIsolatedFromAbove>())
      return;
    auto branch = dyn_cast<RegionBranchOpInterface>(parent);
    if (!branch) {
      enterRegions(parent);
      enterAfter(parent);
      return;
    }
    if (auto terminator = dyn_cast<RegionBranchTerminatorOpInterface>(last)) {
      SmallVector<RegionSuccessor> successors;
      branch.getSuccessorRegions(terminator, successors);
      enter(successors, parent);
    }
  }

  Value value;
  SmallVector<Operation *> worklist;
  DenseSet<Operation *> visited;
  SmallVector<OpOperand *> uses;
};

} // namespace

/// The caches that `op` consumes.
static SmallVector<Value> getConsumedCaches(Operation *op) {
  if (auto consumer = dyn_cast<CacheConsumerOpInterface>(op))
    return {consumer.getConsumedCache().get()};
  SmallVector<Value> caches;
  if (auto call = dyn_cast<CallOpInterface>(op))
    llvm::copy_if(call.getArgOperands(), std::back_inserter(caches), isCache);
  return caches;
}

SmallVector<CacheUseViolation> CacheLifetimes::findViolations() {
  SmallVector<CacheUseViolation> violations;
  DenseSet<OpOperand *> reported;
  root->walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (Value cache : getConsumedCaches(op))
      for (Value alias : getAliases(cache))
        for (OpOperand *use : UseSearch(alias).run(op))
          if (reported.insert(use).second)
            violations.push_back({op, use});
  });
  return violations;
}
