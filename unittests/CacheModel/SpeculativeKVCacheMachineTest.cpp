// SpeculativeKVCache under long random runs: branches of branches' siblings, trees, commits of
// paths and of nothing, rollbacks, on a pool that is often full. A rejected draft leaves no trace.

#include "CacheReplay.h"
#include "MachineCheck.h"
#include "SpeculationModel.h"

#include "llmir/Cache/SpeculativeKVCache.h"

#include <ostream>

using namespace llmir;
using namespace llmir::model;

namespace {

using Kind = SpeculationOperation::Kind;

struct Case {
  const char *name;
  CacheSizes sizes;
  ElementType type;
  ScaleGranularity scales;
  CacheArrangement arrangement;
  int64_t operations;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

constexpr int maxDraftTokens = 9;

CacheParameters parametersOf(const Case &test) {
  CacheParameters parameters = smallStorage().parameters;
  parameters.keyType = parameters.valueType = test.type;
  parameters.keyScales = parameters.valueScales = test.scales;
  parameters.keyScaleGroup = parameters.valueScaleGroup =
      test.scales == ScaleGranularity::Group ? 4 : 0;
  parameters.arrangement = test.arrangement;
  parameters.blockSize = test.sizes.blockSize;
  parameters.maxSeqLen = test.sizes.maxSeqLen;
  return parameters;
}

class SpeculationSubject {
public:
  explicit SpeculationSubject(const Case &test)
      : arrays_(isFloatArrayType(test.type) ? test.type : ElementType::F32),
        model_(test.sizes, maxDraftTokens),
        real_(parametersOf(test), {.maxDraftTokens = maxDraftTokens, .enableTreeAttention = true},
              test.sizes.numBlocks) {}

  std::string step(const SpeculationOperation &operation) {
    bool expected = model_.apply(operation);
    Status status = perform(operation);
    if (status.isOk() == expected)
      return "";
    return expected ? "is refused: " + status.message() : "is not refused";
  }

  std::string compare() const {
    const PagedKVCache &cache = real_.cache();
    for (const Status &status : {real_.checkInvariants(), cache.checkInvariants()})
      if (!status)
        return status.message();
    if (cache.pool().numFree() != int(model_.cache.pool.free.size()))
      return std::to_string(cache.pool().numFree()) + " blocks are free instead of " +
             std::to_string(model_.cache.pool.free.size());
    if (real_.numBranches() != int64_t(model_.branches.size()) ||
        cache.numSequences() != model_.cache.sequences.size())
      return "another number of branches or sequences";
    for (const auto &[id, sequence] : model_.cache.sequences) {
      SequenceId real{id};
      if (int branch = id - SpeculationModel::forkId(0); branch >= 0) {
        int owner = model_.branches.at(branch).sequence;
        real = *real_.branchSequence(owner, realBranch(branch));
      }
      if (*cache.length(real) != int64_t(sequence.tokens.size()))
        return "s" + std::to_string(id) + " has another length";
      if (std::string problem = checkTags(cache, arrays_, real, sequence.tokens); !problem.empty())
        return problem;
    }
    return model_.check();
  }

private:
  /// A branch that was created, or an id of none.
  int32_t realBranch(int branch) const {
    return branch < int(realBranches_.size()) ? realBranches_[size_t(branch)] : 1 << 20;
  }

  /// The arrays for the tokens that the model has just written, or for as many.
  EncodedTags encode(size_t tokens) const {
    std::vector<Tag> tags = model_.cache.written();
    tags.resize(tokens, 7);
    return encodeTags(real_.cache().layout(), arrays_, tags);
  }

  Status perform(const SpeculationOperation &operation) {
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
      return real_.appendSpeculativeKV(data.keys.data(), data.values.data(), sequence, list,
                                       branch);
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

  ElementType arrays_;
  SpeculationModel model_;
  SpeculativeKVCache real_;
  std::vector<int32_t> realBranches_;
};

class SpeculativeKVCacheMachine : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(SpeculativeKVCacheMachine, FollowsTheModel) {
  const Case &test = GetParam();
  checkMachine<SpeculationModel, SpeculationSubject>(
      SpeculationModel(test.sizes, maxDraftTokens),
      [&] { return std::make_unique<SpeculationSubject>(test); },
      machineOperations(test.operations));
}

INSTANTIATE_TEST_SUITE_P(Storage, SpeculativeKVCacheMachine,
                         testing::Values(Case{"F32",
                                              {12, 4, 4, 30, 0},
                                              ElementType::F32,
                                              ScaleGranularity::None,
                                              CacheArrangement::ChannelMajorKeys,
                                              60'000},
                                         Case{"I8",
                                              {9, 3, 2, 14, 0},
                                              ElementType::I8,
                                              ScaleGranularity::Token,
                                              CacheArrangement::TokenMajorKeys,
                                              20'000},
                                         Case{"I4Groups",
                                              {10, 3, 4, 30, 0},
                                              ElementType::I4,
                                              ScaleGranularity::Group,
                                              CacheArrangement::ChannelMajorKeys,
                                              20'000},
                                         Case{"BF16Pairs",
                                              {10, 3, 4, 30, 0},
                                              ElementType::BF16,
                                              ScaleGranularity::None,
                                              CacheArrangement::Pairs,
                                              20'000}),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
