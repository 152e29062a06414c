// What all op families of the `llm` dialect share: base classes, operand types, the cache resource.

#ifndef LLMIR_DIALECT_LLM_IR_LLMOPBASE_TD
#define LLMIR_DIALECT_LLM_IR_LLMOPBASE_TD

include "llmir/Dialect/LLM/IR/LLMInterfaces.td"
include "llmir/Dialect/LLM/IR/LLMTypes.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class LLM_Op<string mnemonic, list<Trait> traits = []> : Op<LLM_Dialect, mnemonic, traits>;

/// An op that does something in a step: it has a cost.
class LLM_StepOp<string mnemonic, list<Trait> traits = []>
    : LLM_Op<mnemonic, !listconcat(traits, [DeclareOpInterfaceMethods<LLM_CostOpInterface>])>;

// An op of a step is on tensors or, after bufferisation, on buffers. Quantised tensors and caches are
// the same values in both forms. (BUF-1)
def LLM_OneForm : NativeOpTrait<"OneForm"> {
  let cppNamespace = "::mlir::llm";
}

/// An op of either form. On tensors it has no effects but those on caches; a buffer that is an
/// operand is read, and one that is a result is new and the caller's to free.
class LLM_TwoFormOp<string mnemonic, list<Trait> traits = []>
    : LLM_StepOp<mnemonic, !listconcat(traits, [
        LLM_OneForm, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>])> {
  let extraClassDefinition = [{
    void $cppClass::getEffects(::llvm::SmallVectorImpl<
        ::mlir::SideEffects::EffectInstance<::mlir::MemoryEffects::Effect>> &effects) {
      ::mlir::llm::addOpEffects(*this, effects);
    }
  }];
}

/// An op that reads or extends a cache, or attends.
class LLM_CacheOp<string mnemonic, list<Trait> traits = []> : LLM_TwoFormOp<mnemonic, traits>;

/// An op that only computes: pure on tensors.
class LLM_ComputeOp<string mnemonic, list<Trait> traits = []>
    : LLM_TwoFormOp<mnemonic, !listconcat(traits, [AlwaysSpeculatable])>;

/// An op that refers to weights by name; its uses are verified against the module's symbols.
class LLM_WeightUserOp<string mnemonic, list<Trait> traits = []>
    : LLM_ComputeOp<mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<SymbolUserOpInterface>])>;

// Effects on caches are on one resource, so that reads stay between the writes around them.
def LLM_KVCacheResource : Resource<"::mlir::llm::KVCacheResource">;
def LLM_WritesCache : MemWrite<LLM_KVCacheResource>;
def LLM_AllocatesCache : MemAlloc<LLM_KVCacheResource>;
def LLM_FreesCache : MemFree<LLM_KVCacheResource>;

// Collectives happen in one order on all ranks.
def LLM_CollectiveResource : Resource<"::mlir::llm::CollectiveResource">;

/// A tensor or a buffer of one of the ranks.
class LLM_TensorOrBuffer<list<Type> elements, list<int> ranks>
    : AnyTypeOf<[TensorRankOf<elements, ranks>, MemRefRankOf<elements, ranks>], "",
                "::mlir::ShapedType">;

// Bufferisation copies what has gaps for all ops but those on caches and attention. (BUF-2)
def LLM_HasNoGapsPred : CPred<"::llvm::cast<::mlir::MemRefType>($_self).getLayout().isIdentity()">;
class LLM_WithoutGaps<Type buffer> : ConfinedType<buffer, [LLM_HasNoGapsPred],
    buffer.summary # " without gaps", "::mlir::MemRefType">;

/// As LLM_TensorOrBuffer; a buffer's elements lie one after another.
class LLM_TensorOrDenseBuffer<list<Type> elements, list<int> ranks>
    : AnyTypeOf<[TensorRankOf<elements, ranks>,
                 LLM_WithoutGaps<MemRefRankOf<elements, ranks>>], "", "::mlir::ShapedType">;
class LLM_RankedTensorOrDenseBuffer<list<Type> elements>
    : AnyTypeOf<[RankedTensorOf<elements>, LLM_WithoutGaps<MemRefOf<elements>>], "",
                "::mlir::ShapedType">;

def LLM_Indices : LLM_TensorOrDenseBuffer<[I32], [1]>;
def LLM_IndexTable : LLM_TensorOrDenseBuffer<[I32], [2]>;
def LLM_Vector : LLM_TensorOrDenseBuffer<[F32], [1]>;
def LLM_FeatureTensor : LLM_TensorOrDenseBuffer<[F32], [2]>;
def LLM_ActivationTensor : LLM_TensorOrDenseBuffer<[F32], [2, 3]>;
def LLM_HeadsTensor : LLM_TensorOrDenseBuffer<[F32], [3]>;
def LLM_QuantizableTensor : LLM_RankedTensorOrDenseBuffer<[F32, F16, BF16]>;
def LLM_ShardableTensor : LLM_RankedTensorOrDenseBuffer<[F32, F16, BF16]>;

def LLM_AnyIndices : LLM_TensorOrBuffer<[I32], [1]>;
def LLM_AnyIndexTable : LLM_TensorOrBuffer<[I32], [2]>;
def LLM_AnyVector : LLM_TensorOrBuffer<[F32], [1]>;
def LLM_AnyTreeMask : LLM_TensorOrBuffer<[I64], [1]>;
def LLM_AnyAttentionMask : LLM_TensorOrBuffer<[I1, F32], [4]>;
def LLM_RaggedHeads : LLM_TensorOrBuffer<[F32, F16, BF16], [3]>;
def LLM_PaddedHeads : LLM_TensorOrBuffer<[F32, F16, BF16], [4]>;
def LLM_AnyHeads : LLM_TensorOrBuffer<[F32, F16, BF16], [3, 4]>;

#endif // LLMIR_DIALECT_LLM_IR_LLMOPBASE_TD
