// Verification of the ops of speculative decoding.

#include "OpAssembly.h"
#include "VerifyHelpers.h"

using namespace mlir;
using namespace mlir::llm;

#define GET_OP_CLASSES
#include "llmir/Dialect/LLM/IR/SpeculationOps.cpp.inc"

static int64_t getSize(Value value) { return cast<ShapedType>(value.getType()).getDimSize(0); }

OpOperand &ForkOp::getConsumedCache() { return getCacheMutable(); }
OpOperand &CommitOp::getConsumedCache() { return getCacheMutable(); }
OpOperand &RollbackOp::getConsumedCache() { return getCacheMutable(); }

LogicalResult ForkOp::verify() {
  // (SPEC-2)
  return verifyDim(*this, "children", getChildren(), 0, getSize(getParents()),
                   "the number of parents");
}

LogicalResult VerifyOp::verify() {
  int64_t tokens = getSize(getDraftTokens());
  // (SPEC-3)
  if (failed(verifyDim(*this, "logits", getLogits(), 0, tokens, "the number of tokens")))
    return failure();
  // (SPEC-4)
  for (auto [name, value] : {std::pair("parents", getParents()),
                             {"uniforms", getUniforms()},
                             {"draft_probabilities", getDraftProbabilities()}})
    if (value && failed(verifyDim(*this, name, value, 0, tokens, "the number of tokens")))
      return failure();
  // (SPEC-5)
  if (getDraftProbabilities() && !getUniforms())
    return emitOpError("expected 'uniforms' with 'draft_probabilities'");
  // (SPEC-6)
  auto logits = cast<ShapedType>(getLogits().getType());
  if (getDraftProbabilities() &&
      failed(verifyDim(*this, "draft_probabilities", getDraftProbabilities(), 1,
                       logits.getDimSize(1), "the size of the vocabulary")))
    return failure();
  // (SPEC-7)
  int64_t sequences = getSize(getAccepted());
  if (!ShapedType::isDynamic(sequences) &&
      failed(verifyDim(*this, "cu_lengths", getCuLengths(), 0, sequences + 1,
                       "one more than the number of sequences,")))
    return failure();
  // (SPEC-8)
  if (failed(verifyDim(*this, "path", getPath(), 0, sequences, "the number of sequences")))
    return failure();
  return verifyDim(*this, "next_tokens", getNextTokens(), 0, sequences, "the number of sequences");
}

LogicalResult CommitOp::verify() {
  // (SPEC-9)
  int64_t sequences = getSize(getSeqIds());
  for (auto [name, value] : {std::pair<StringRef, Value>("drafted", getDrafted()),
                             {"accepted", getAccepted()},
                             {"path", getPath()}})
    if (value && failed(verifyDim(*this, name, value, 0, sequences, "the number of sequences")))
      return failure();
  return success();
}

LogicalResult RollbackOp::verify() {
  // (SPEC-10)
  return verifyDim(*this, "lengths", getLengths(), 0, getSize(getSeqIds()),
                   "the number of sequences");
}
