// GenerationRun: prompts that start with what earlier ones have computed. A request waits while a
// running one computes blocks that both start with, so no two sequences compute the same block and
// what the tree holds of a running sequence is in that sequence's table. Therefore every block that
// no table names can be evicted, and what was promised to admitted requests is there.

#include "GenerationRun.h"

#include <algorithm>

namespace llmir {

/// Its rows of logits are wanted, so everything is computed.
static bool computesAll(const GenerationRequest &request) {
  return request.logits == LogitsCollection::All;
}

const PrefixKeyChain &GenerationRun::waitingKeys() {
  if (keyedRequest_ != numAdmitted_) {
    int64_t blockSize = context_.options.prefixTree->cache().layout().block_size;
    waitingKeys_.restart(rootKey({}, blockSize), blockSize);
    waitingKeys_.extend(requests_[numAdmitted_].prompt);
    keyedRequest_ = numAdmitted_;
  }
  return waitingKeys_;
}

bool GenerationRun::waitsForPrefix() {
  if (!context_.options.prefixTree || computesAll(requests_[numAdmitted_]))
    return false;
  std::span<const PrefixKey> wanted = waitingKeys().blocks();
  return std::any_of(running_.begin(), running_.end(), [&](const Sequence &sequence) {
    std::span<const PrefixKey> keys = sequence.keys.blocks();
    int64_t common = std::ranges::mismatch(wanted, keys).in1 - wanted.begin();
    return !sequence.hasEnded && sequence.phase() == SequencePhase::Prompt &&
           common * waitingKeys_.blockSize() > sequence.numReused;
  });
}

Status GenerationRun::reusePrefix(Sequence &sequence) {
  PrefixTree *tree = context_.options.prefixTree;
  if (!tree)
    return Status::ok();
  sequence.keys = waitingKeys();
  if (computesAll(*sequence.request))
    return Status::ok();
  PrefixMatch match = tree->match(sequence.keys, sequence.request->prompt);
  if (match.length == 0)
    return Status::ok();
  LLMIR_RETURN_IF_ERROR(tree->cache().attach(sequence.id(), match.blocks, match.length));
  sequence.numComputed = sequence.numReused = match.length;
  context_.statistics.reusedTokens += match.length;
  return Status::ok();
}

Status GenerationRun::rememberPrompt(const Sequence &sequence) {
  PrefixTree *tree = context_.options.prefixTree;
  if (!tree)
    return Status::ok();
  StatusOr<std::span<const BlockId>> blocks = tree->cache().blocks(sequence.id());
  if (!blocks)
    return blocks.status();
  return tree->insert(sequence.keys, sequence.request->prompt, *blocks).status();
}

} // namespace llmir
