// Bufferisation of the ops of a step: the same op on buffers. Quantised tensors and caches are the
// same values in both forms.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/InterfaceImplementations.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::llm;

namespace {

/// The buffers that an op takes.
enum class Operands {
  Any,        ///< of any strides
  WithoutGaps ///< whose elements lie one after another; others are copied (BUF-2)
};

/// A new buffer of the type of `tensor`, without gaps.
MemRefType getDenseBufferType(RankedTensorType tensor) {
  return MemRefType::get(tensor.getShape(), tensor.getElementType());
}

/// `buffer` itself if it has no gaps, otherwise a copy that has none.
FailureOr<Value> removeGaps(OpBuilder &builder, Location loc, Value buffer,
                            const BufferizationOptions &options) {
  auto type = cast<MemRefType>(buffer.getType());
  if (type.getLayout().isIdentity())
    return buffer;
  SmallVector<Value> sizes;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (type.isDynamicDim(dim))
      sizes.push_back(memref::DimOp::create(builder, loc, buffer, dim));
  FailureOr<Value> copy = options.createAlloc(
      builder, loc, MemRefType::get(type.getShape(), type.getElementType()), sizes);
  if (failed(copy) || failed(options.createMemCpy(builder, loc, buffer, *copy)))
    return failure();
  return copy;
}

/// An op that reads its tensors, writes none, and gives new ones.
template <typename OpTy, Operands operandForm>
struct StepOpBufferization
    : public BufferizableOpInterface::ExternalModel<StepOpBufferization<OpTy, operandForm>, OpTy> {
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

  FailureOr<BufferLikeType> getBufferType(Operation *, Value value, const BufferizationOptions &,
                                          const BufferizationState &, SmallVector<Value> &) const {
    return cast<BufferLikeType>(getDenseBufferType(cast<RankedTensorType>(value.getType())));
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
      if (succeeded(buffer) && operandForm == Operands::WithoutGaps)
        buffer = removeGaps(rewriter, op->getLoc(), *buffer, options);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
    }
    SmallVector<Type> types;
    for (Type type : op->getResultTypes()) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      types.push_back(tensor ? getDenseBufferType(tensor) : type);
    }
    Operation *onBuffers = rewriter.insert(Operation::create(
        op->getLoc(), op->getName(), types, operands, op->getDiscardableAttrDictionary(),
        op->getPropertiesStorage(), BlockRange(), 0));
    replaceOpWithBufferizedValues(rewriter, op, onBuffers->getResults());
    return success();
  }
};

template <Operands operandForm, typename... OpTypes> void attachModels(MLIRContext *context) {
  (OpTypes::template attachInterface<StepOpBufferization<OpTypes, operandForm>>(*context), ...);
}

} // namespace

void llm::registerBufferizableOpInterfaceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, LLMDialect *) {
    context->loadDialect<BufferizationDialect, memref::MemRefDialect>();
    attachModels<Operands::Any, AppendKVOp, AttentionOp, BlockTableOp, CommitOp, ForkOp,
                 FreeSequencesOp, LookupKVOp, PagedAttentionOp, ReserveKVOp, RollbackOp,
                 SequenceLengthsOp, StoreKVOp>(context);
    attachModels<Operands::WithoutGaps, AllGatherOp, AllReduceOp, DequantizeOp, EmbeddingOp,
                 GeGLUOp, LayerNormOp, LinearOp, LoadWeightOp, LogitsOp, MoEOp, QuantizeOp,
                 QuantizedMatmulOp, RMSNormOp, RecvOp, ReduceScatterOp, RopeOp, RopeStoreKVOp,
                 SampleOp, SendOp, ShardedLinearOp, SwiGLUOp, VerifyOp>(context);
  });
}
