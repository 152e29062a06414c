// Bufferisation of the ops on caches and of attention: the same op on buffers.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/InterfaceImplementations.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::llm;

namespace {

template <typename OpTy>
struct CacheOpBufferization
    : public BufferizableOpInterface::ExternalModel<CacheOpBufferization<OpTy>, OpTy> {
  bool bufferizesToAllocation(Operation *, Value) const { return true; }

  bool bufferizesToMemoryRead(Operation *, OpOperand &, const AnalysisState &) const {
    return true;
  }

  bool bufferizesToMemoryWrite(Operation *, OpOperand &, const AnalysisState &) const {
    return false;
  }

  AliasingValueList getAliasingValues(Operation *, OpOperand &, const AnalysisState &) const {
    return {};
  }

  /// Results are new, and so have no gaps.
  FailureOr<BufferLikeType> getBufferType(Operation *, Value value, const BufferizationOptions &,
                                          const BufferizationState &, SmallVector<Value> &) const {
    auto type = cast<RankedTensorType>(value.getType());
    return cast<BufferLikeType>(MemRefType::get(type.getShape(), type.getElementType()));
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options, BufferizationState &state) const {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        operands.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
    }
    SmallVector<Type> types;
    for (Type type : op->getResultTypes()) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      types.push_back(tensor ? MemRefType::get(tensor.getShape(), tensor.getElementType()) : type);
    }
    Operation *onBuffers = rewriter.insert(Operation::create(
        op->getLoc(), op->getName(), types, operands, op->getDiscardableAttrDictionary(),
        op->getPropertiesStorage(), BlockRange(), 0));
    replaceOpWithBufferizedValues(rewriter, op, onBuffers->getResults());
    return success();
  }
};

template <typename... OpTypes> void attachModels(MLIRContext *context) {
  (OpTypes::template attachInterface<CacheOpBufferization<OpTypes>>(*context), ...);
}

} // namespace

void llm::registerBufferizableOpInterfaceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, LLMDialect *) {
    context->loadDialect<BufferizationDialect>();
    attachModels<AppendKVOp, AttentionOp, BlockTableOp, CommitOp, ForkOp, FreeSequencesOp,
                 LookupKVOp, PagedAttentionOp, ReserveKVOp, RollbackOp, SequenceLengthsOp,
                 StoreKVOp>(context);
  });
}
