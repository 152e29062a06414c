// SpeculationModel: what branches of draft tokens mean: a branch is a fork of its sequence;
// committing makes a path of its tokens the sequence's, and everything else leaves no trace. It is
// built on CacheModel and shares no code with SpeculativeKVCache.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONMODEL_H
#define LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONMODEL_H

#include "CacheModel.h"

namespace llmir::model {

struct SpeculationOperation {
  enum class Kind {
    Append,   ///< `tokens` tokens to `sequence`, which has no branches
    Free,     ///< `sequence` with its branches
    Create,   ///< a branch of `sequence`
    Draft,    ///< tokens after those of `list` (parents) on `branch` of `sequence`
    Commit,   ///< the path `list`
    Accept,   ///< the first `tokens` tokens
    Rollback, ///< `branch`
    Truncate  ///< `sequence`, which has no branches
  };
  Kind kind{};
  int sequence = 0;
  int branch = 0; ///< The how-manieth to be created.
  int tokens = 0;
  std::vector<int> list;
};

std::string describe(const SpeculationOperation &operation);

class SpeculationModel {
public:
  using Operation = SpeculationOperation;
  struct Branch {
    int sequence = 0;
    int contextLength = 0;
    std::vector<int> parents; ///< Of its draft tokens; -1: the context.
  };

  SpeculationModel(const CacheSizes &sizes, int maxDraftTokens, int maxBranches = 1024)
      : cache(sizes), maxDraftTokens(maxDraftTokens), maxBranches(maxBranches) {}

  /// What Exploration and checkMachine ask for.
  std::vector<Operation> operations() const;
  std::string key() const;
  bool isValid(const Operation &operation) const;
  Operation choose(const std::function<int(int)> &choose) const;
  bool apply(const Operation &operation);
  std::string check() const;

  /// The id in `cache` of a branch's tokens.
  static int forkId(int branch) { return 1000 + branch; }

  CacheModel cache;
  std::map<int, Branch> branches;
  int maxDraftTokens;
  int maxBranches; ///< Of all sequences together.
  int numCreated = 0;

private:
  bool hasBranches(int sequence) const;
  std::vector<int> branchesOf(int sequence) const;
  std::vector<int> pathTo(const Branch &branch, int token) const;
  void addBranchOperations(int id, std::vector<Operation> &all) const;
  std::string keyInOrder(const std::vector<int> &sequences, const std::vector<int> &order) const;
  bool create(int sequence);
  bool draft(int id, const std::vector<int> &parents);
  bool commit(int id, const std::vector<int> &path);
  void dropBranches(int sequence);

  using Kind = CacheOperation::Kind;
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONMODEL_H
