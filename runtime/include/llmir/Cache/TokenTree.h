// TokenTree: draft tokens that continue one context in several ways, computed in one step. It says
// which token follows which, at which positions, and who sees whom; it holds no tokens.

#ifndef LLMIR_CACHE_TOKENTREE_H
#define LLMIR_CACHE_TOKENTREE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// Nodes in an order in which parents come before children. A chain is a tree too.
class TokenTree {
public:
  /// What a mask of 64 bits can tell apart (llmir_step_args.tree_mask).
  static constexpr int64_t maxBranchingTokens = 64;
  /// The parent of a token that follows the context.
  static constexpr int32_t context = -1;

  /// Adds a token after token `parent`, or after the context.
  Status add(int32_t parent);
  /// Adds `count` tokens, each after the last one.
  void addChain(int64_t count);
  void clear() { parents_.clear(), depths_.clear(), isChain_ = true; }

  int64_t size() const { return static_cast<int64_t>(parents_.size()); }
  int32_t parent(int64_t token) const { return parents_[static_cast<size_t>(token)]; }
  /// Tokens between the context and this one.
  int64_t depth(int64_t token) const { return depths_[static_cast<size_t>(token)]; }
  /// Whether each token follows the one before it, so that no mask is needed.
  bool isChain() const { return isChain_; }

  /// The bits of the token and of those it follows, in the meaning of llmir_step_args.tree_mask for
  /// a step that computes the whole tree. The tree must have at most maxBranchingTokens.
  uint64_t mask(int64_t token) const;
  /// The masks and the positions of all tokens after a context of `contextLength`.
  void appendMasks(std::vector<uint64_t> &masks) const;
  void appendPositions(int64_t contextLength, std::vector<int32_t> &positions) const;

  /// Ok when `path` begins after the context and each token of it follows the one before it;
  /// otherwise InvalidArgument.
  Status checkPath(std::span<const int32_t> path) const;
  /// The tokens from the context to `token`.
  std::vector<int32_t> pathTo(int32_t token) const;
  /// The same into a vector whose memory is used again.
  void findPathTo(int32_t token, std::vector<int32_t> &path) const;

private:
  std::vector<int32_t> parents_;
  std::vector<int32_t> depths_;
  bool isChain_ = true;
};

} // namespace llmir

#endif // LLMIR_CACHE_TOKENTREE_H
