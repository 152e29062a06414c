// Checking memory accesses: see AccessChecks.h.

#include "AccessChecks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::llm {

namespace {
/// A load or store, whatever its op.
struct Access {
  Operation *op;
  Value memref;
  ValueRange indices;
  int64_t lanes; ///< Elements in the last dimension.
  bool isWrite;
};
} // namespace

static int64_t lanesOf(VectorType type) { return type.getRank() == 0 ? 1 : type.getShape().back(); }

static std::optional<Access> asAccess(Operation *op) {
  if (auto load = dyn_cast<memref::LoadOp>(op))
    return Access{op, load.getMemRef(), load.getIndices(), 1, false};
  if (auto store = dyn_cast<memref::StoreOp>(op))
    return Access{op, store.getMemRef(), store.getIndices(), 1, true};
  if (auto load = dyn_cast<vector::LoadOp>(op))
    return Access{op, load.getBase(), load.getIndices(), lanesOf(load.getVectorType()), false};
  if (auto store = dyn_cast<vector::StoreOp>(op))
    return Access{op, store.getBase(), store.getIndices(), lanesOf(store.getVectorType()), true};
  return std::nullopt;
}

namespace {
class CheckEmitter {
public:
  CheckEmitter(const Access &access, Value thread, SIMTRuntime &runtime)
      : access(access), thread(thread), runtime(runtime),
        b(access.op->getLoc(), access.op->getContext()) {
    b.setInsertionPoint(access.op);
  }

  /// Notes each element's access to `buffer`.
  void note(const WorkgroupBuffer &buffer) {
    auto type = cast<MemRefType>(access.memref.getType());
    unsigned bits = type.getElementType().isIndex() ? 64 : type.getElementTypeBitWidth();
    int64_t size = llvm::divideCeil(bits, 8);
    Value linear = index(0);
    for (auto [position, extent] : llvm::zip_equal(access.indices, type.getShape())) {
      linear = arith::MulIOp::create(b, linear, index(extent));
      linear = arith::AddIOp::create(b, linear, position);
    }
    for (int64_t lane = 0; lane < access.lanes; ++lane) {
      Value offset = arith::AddIOp::create(b, linear, index(lane));
      offset = arith::MulIOp::create(b, offset, index(size));
      offset = arith::AddIOp::create(b, offset, index(buffer.offset));
      runtime.emitWorkgroupAccess(b, thread, offset, access.isWrite, access.op);
    }
  }

  /// Moves the access into the branch where its indices are inside.
  void guard() {
    if (access.indices.empty())
      return;
    Value inside;
    SmallVector<std::pair<Value, Value>> limits; ///< Index, size.
    auto rank = static_cast<int64_t>(access.indices.size());
    for (int64_t d = 0; d < rank; ++d) {
      Value at = access.indices[static_cast<size_t>(d)];
      if (d == rank - 1 && access.lanes > 1)
        at = arith::AddIOp::create(b, at, index(access.lanes - 1));
      Value size = memref::DimOp::create(b, access.memref, d);
      Value isIn = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, at, size);
      inside = inside ? Value(arith::AndIOp::create(b, inside, isIn)) : isIn;
      limits.emplace_back(at, size);
    }
    Operation *op = access.op;
    auto guarded = scf::IfOp::create(b, op->getResultTypes(), inside, /*withElseRegion=*/true);
    op->replaceAllUsesWith(guarded.getResults());
    if (op->getNumResults() == 0) {
      op->moveBefore(guarded.thenBlock()->getTerminator());
    } else {
      op->moveBefore(guarded.thenBlock(), guarded.thenBlock()->end());
      b.setInsertionPointToEnd(guarded.thenBlock());
      scf::YieldOp::create(b, op->getResults());
    }
    b.setInsertionPointToStart(guarded.elseBlock());
    // The first dimension that is out of bounds.
    Value at = limits.back().first, size = limits.back().second;
    for (auto [position, extent] : llvm::reverse(ArrayRef(limits).drop_back())) {
      Value isIn = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, extent);
      at = arith::SelectOp::create(b, isIn, at, position);
      size = arith::SelectOp::create(b, isIn, size, extent);
    }
    runtime.emitOutOfBounds(b, thread, at, size, op);
    if (op->getNumResults() > 0) {
      Value zero = arith::ConstantOp::create(b, b.getZeroAttr(op->getResult(0).getType()));
      scf::YieldOp::create(b, zero);
    }
  }

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }

  const Access &access;
  Value thread;
  SIMTRuntime &runtime;
  ImplicitLocOpBuilder b;
};
} // namespace

void addAccessChecks(func::FuncOp function, Value thread, ArrayRef<WorkgroupBuffer> buffers,
                     SIMTRuntime &runtime) {
  SmallVector<Access> accesses;
  function.walk([&](Operation *op) {
    if (std::optional<Access> access = asAccess(op))
      accesses.push_back(*access);
  });
  for (const Access &access : accesses) {
    CheckEmitter emitter(access, thread, runtime);
    for (const WorkgroupBuffer &buffer : buffers)
      if (buffer.memref == access.memref)
        emitter.note(buffer);
    emitter.guard();
  }
}

} // namespace mlir::llm
