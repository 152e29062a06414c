// Claiming tiles: in large batches a worker that is late (another process has its core, or its
// core is slower) leaves tiles of its share to those who have done theirs.
//
// Each worker has, in its private area, two counters in lines of their own: how many chunks of its
// share of the present op have been claimed. Whoever claims a chunk (an atomic addition) computes
// it; the owner begins with its own, then everybody goes round the others. Who computes a tile does
// not matter to its bytes. Ops take turns with the two counters: in one op, each worker clears its
// counter of the other set, which nobody touches, because the barrier behind the op before has been
// passed by all and that before the next op by none. The additions need no order of their own: what
// a tile reads and writes is ordered by the barriers before and behind the op.
//
// Small batches do without: their ops are so short that a core that is lost in the middle of a
// chunk costs more than all of the others' tiles, and asking costs a miss for each op.

#include "StepEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::llm {

/// Panels of a claim: what the kernel keeps at hand (LinearKernel.cpp), so that cutting a share
/// into chunks costs a call for each and no more reading.
static constexpr int64_t kTilesAtOnce = 4;

/// The counter of a worker in one of the two sets.
Value StepEmitter::emitClaimCounter(Value ofWorker, Value set) {
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value shared = b.sub(privateArea, b.mul(worker, b.index(plan.workspace.perWorker)));
  Value at = b.add(shared, b.mul(ofWorker, b.index(plan.workspace.perWorker)));
  at = b.add(b.add(at, b.index(plan.claimsOffset)), b.mul(set, b.index(kClaimSetBytes)));
  Value offset = arith::IndexCastOp::create(b, b.getI64Type(), at);
  return LLVM::GEPOp::create(b, pointer, b.getI8Type(), workspacePointer,
                             ArrayRef<LLVM::GEPArg>{offset});
}

void StepEmitter::emitResetClaims(Value set) {
  Value zero = LLVM::ConstantOp::create(b, b.getI64Type(), b.getI64IntegerAttr(0));
  LLVM::StoreOp::create(b, zero, emitClaimCounter(worker, set), /*alignment=*/8,
                        /*isVolatile=*/false, /*isNonTemporal=*/false, /*isInvariantGroup=*/false,
                        LLVM::AtomicOrdering::monotonic);
}

void StepEmitter::emitClaimedTiles(const PlanCall &call, ArrayRef<Value> operands,
                                   Value iteration) {
  // Whose turn it is: ops are counted from the step's begin.
  Value number = b.index(claimsBefore + claimsInSegment++);
  if (iteration)
    number = b.add(number, b.mul(iteration, b.index(claimsOfRepetition)));
  Value set = b.rem(number, b.index(2));
  emitResetClaims(b.sub(b.index(1), set));

  b.loop(b.index(0), workers, 1, [&](Value turn) {
    Value owner = b.rem(b.add(worker, turn), workers);
    auto [begin, end] = emitShare(b.index(call.tiles), owner);
    Value counter = emitClaimCounter(owner, set);
    Value one = LLVM::ConstantOp::create(b, b.getI64Type(), b.getI64IntegerAttr(1));
    auto claim = [&]() -> Value {
      Value chunk = LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::add, counter, one,
                                              LLVM::AtomicOrdering::monotonic);
      Value index = arith::IndexCastOp::create(b, b.getIndexType(), chunk);
      return b.add(begin, b.mul(index, b.index(kTilesAtOnce)));
    };
    scf::WhileOp::create(
        b, TypeRange{b.getIndexType()}, ValueRange{},
        [&](OpBuilder &, Location, ValueRange) {
          Value first = claim();
          Value isLeft = b.compare(arith::CmpIPredicate::ult, first, end);
          scf::ConditionOp::create(b, isLeft, ValueRange{first});
        },
        [&](OpBuilder &, Location, ValueRange claimed) {
          SmallVector<Value> own(operands);
          own[0] = claimed[0];
          own[1] = b.minimum(b.add(claimed[0], b.index(kTilesAtOnce)), end);
          func::CallOp::create(b, call.function, own);
          scf::YieldOp::create(b);
        });
  });
}

} // namespace mlir::llm
