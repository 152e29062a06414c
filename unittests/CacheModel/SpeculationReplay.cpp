// SpeculationReplay: the same operations on the model and on the real branches, and the comparison.

#include "SpeculationReplay.h"

#include <algorithm>

namespace llmir::model {

using Kind = SpeculationOperation::Kind;

static CacheParameters parametersOf(const CacheSizes &sizes, const CacheStorage &storage) {
  CacheParameters parameters = storage.parameters;
  parameters.blockSize = sizes.blockSize;
  parameters.maxSeqLen = sizes.maxSeqLen;
  return parameters;
}

SpeculationReplay::SpeculationReplay(const SpeculationModel &start, const CacheStorage &storage)
    : elementType_(storage.elementType), model_(start),
      real_(parametersOf(start.cache.sizes, storage),
            {.maxDraftTokens = start.maxDraftTokens,
             .enableTreeAttention = true,
             .maxBranches = start.maxBranches},
            start.cache.sizes.numBlocks) {}

std::string SpeculationReplay::step(const SpeculationOperation &operation) {
  bool expected = model_.apply(operation);
  Status status = perform(operation);
  if (status.isOk() == expected)
    return "";
  return expected ? "is refused: " + status.message() : "is not refused";
}

std::string SpeculationReplay::compare() const {
  const PagedKVCache &cache = real_.cache();
  for (const Status &status : {real_.checkInvariants(), cache.checkInvariants()})
    if (!status)
      return status.message();
  if (!std::ranges::equal(cache.pool().freeBlocks(), model_.cache.pool.free))
    return "other blocks are free, or in another order";
  if (real_.numBranches() != int64_t(model_.branches.size()) ||
      cache.numSequences() != model_.cache.sequences.size())
    return "another number of branches or sequences";
  if (std::string problem = compareSequences(); !problem.empty())
    return problem;
  return model_.check();
}

std::string SpeculationReplay::clear() {
  for (int id = 0; id < model_.cache.sizes.numSequences; ++id)
    if (std::string problem = step({Kind::Free, id, 0, 0, {}}); !problem.empty())
      return "a free " + problem;
  model_.numCreated = 0;
  realBranches_.clear();
  return "";
}

std::string SpeculationReplay::compareSequences() const {
  const PagedKVCache &cache = real_.cache();
  for (const auto &[id, sequence] : model_.cache.sequences) {
    SequenceId real{id};
    if (int branch = id - SpeculationModel::forkId(0); branch >= 0) {
      int owner = model_.branches.at(branch).sequence;
      real = *real_.branchSequence(owner, realBranch(branch));
    }
    std::span<const BlockId> blocks = *cache.blocks(real);
    if (*cache.length(real) != int64_t(sequence.tokens.size()) ||
        !std::equal(blocks.begin(), blocks.end(), sequence.table.begin(), sequence.table.end(),
                    [](BlockId block, Ticket ticket) {
                      return block == BlockId{ticket.block, uint32_t(ticket.generation)};
                    }))
      return "s" + std::to_string(id) + " has another length or other blocks";
    if (std::string problem = checkTags(cache, elementType_, real, sequence.tokens);
        !problem.empty())
      return problem;
  }
  return "";
}

/// A branch that was created, or an id of none.
int32_t SpeculationReplay::realBranch(int branch) const {
  return branch < int(realBranches_.size()) ? realBranches_[size_t(branch)] : 1 << 20;
}

/// The arrays for the tokens that the model has just written, or for as many.
EncodedTags SpeculationReplay::encode(size_t tokens) const {
  std::vector<Tag> tags = model_.cache.written();
  tags.resize(tokens, 7);
  return encodeTags(real_.cache().layout(), elementType_, tags);
}

Status SpeculationReplay::perform(const SpeculationOperation &operation) {
  int32_t sequence = operation.sequence, branch = realBranch(operation.branch);
  SequenceId id{sequence};
  std::vector<int32_t> list(operation.list.begin(), operation.list.end());
  switch (operation.kind) {
  case Kind::Append: {
    EncodedTags data = encode(size_t(operation.tokens));
    return real_.cache().appendKV(data.keys.data(), data.values.data(), 1, operation.tokens,
                                  &sequence, nullptr);
  }
  case Kind::Truncate:
    return real_.cache().truncate(id, operation.tokens);
  case Kind::Free:
    return real_.freeSequence(sequence);
  case Kind::Create: {
    int32_t created = -1;
    Status status = real_.createBranch(sequence, created);
    if (status)
      realBranches_.push_back(created);
    return status;
  }
  case Kind::Draft: {
    EncodedTags data = encode(list.size());
    return real_.appendSpeculativeKV(data.keys.data(), data.values.data(), sequence, list, branch);
  }
  case Kind::Commit:
    return real_.commitSpeculation(sequence, branch, list);
  case Kind::Accept:
    return real_.commitSpeculation(sequence, branch, operation.tokens);
  case Kind::Rollback:
    return real_.rollbackSpeculation(sequence, branch);
  }
  return Status::ok();
}

} // namespace llmir::model
