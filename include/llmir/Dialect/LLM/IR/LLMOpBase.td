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

/// An op that refers to weights by name; its uses are verified against the module's symbols.
class LLM_WeightUserOp<string mnemonic, list<Trait> traits = []>
    : LLM_StepOp<mnemonic, !listconcat(traits, [
        Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>])>;

// Effects on caches are on one resource, so that reads stay between the writes around them.
def LLM_KVCacheResource : Resource<"::mlir::llm::KVCacheResource">;
def LLM_ReadsCache : MemRead<LLM_KVCacheResource>;
def LLM_WritesCache : MemWrite<LLM_KVCacheResource>;
def LLM_AllocatesCache : MemAlloc<LLM_KVCacheResource>;
def LLM_FreesCache : MemFree<LLM_KVCacheResource>;

// Collectives happen in one order on all ranks.
def LLM_CollectiveResource : Resource<"::mlir::llm::CollectiveResource">;

def LLM_Indices : 1DTensorOf<[I32]>;
def LLM_IndexTable : 2DTensorOf<[I32]>;
def LLM_Vector : 1DTensorOf<[F32]>;
def LLM_TreeMask : 1DTensorOf<[I64]>;
def LLM_AttentionMask : TensorRankOf<[I1, F32], [4]>;
def LLM_FeatureTensor : TensorRankOf<[F32], [2]>;
def LLM_ActivationTensor : TensorRankOf<[F32], [2, 3]>;
def LLM_HeadsTensor : TensorRankOf<[F32], [3]>;
def LLM_KVTensor : TensorRankOf<[F32, F16, BF16], [3]>;
def LLM_PaddedKVTensor : TensorRankOf<[F32, F16, BF16], [4]>;
def LLM_AnyKVTensor : TensorRankOf<[F32, F16, BF16], [3, 4]>;

def LLM_QuantizableTensor : RankedTensorOf<[F32, F16, BF16]>;
def LLM_ShardableTensor : RankedTensorOf<[F32, F16, BF16]>;

#endif // LLMIR_DIALECT_LLM_IR_LLMOPBASE_TD
