// TokenTree: parents, depths, masks and paths.

#include "llmir/Cache/TokenTree.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace llmir {

Status TokenTree::add(int32_t parent) {
  if (parent < context || parent >= size())
    return invalidArgument("expected token " + std::to_string(size()) +
                           " of a tree to follow the context (-1) or an earlier token, but got " +
                           std::to_string(parent));
  isChain_ = isChain_ && parent == size() - 1;
  depths_.push_back(parent == context ? 0 : depths_[static_cast<size_t>(parent)] + 1);
  parents_.push_back(parent);
  return Status::ok();
}

void TokenTree::addChain(int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    (void)add(static_cast<int32_t>(size()) - 1);
}

uint64_t TokenTree::mask(int64_t token) const {
  assert(size() <= maxBranchingTokens);
  uint64_t bits = 0;
  for (auto current = static_cast<int32_t>(token); current != context; current = parent(current))
    bits |= uint64_t(1) << current;
  return bits;
}

void TokenTree::appendMasks(std::vector<uint64_t> &masks) const {
  for (int64_t token = 0; token < size(); ++token)
    masks.push_back(mask(token));
}

void TokenTree::appendPositions(int64_t contextLength, std::vector<int32_t> &positions) const {
  for (int32_t depth : depths_)
    positions.push_back(static_cast<int32_t>(contextLength) + depth);
}

Status TokenTree::checkPath(std::span<const int32_t> path) const {
  int32_t before = context;
  for (int32_t token : path) {
    if (token < 0 || token >= size())
      return invalidArgument("expected tokens of 0 to " + std::to_string(size() - 1) +
                             " in a path, but got " + std::to_string(token));
    if (parent(token) != before)
      return invalidArgument("token " + std::to_string(token) + " follows token " +
                             std::to_string(parent(token)) + ", but is in a path after token " +
                             std::to_string(before));
    before = token;
  }
  return Status::ok();
}

std::vector<int32_t> TokenTree::pathTo(int32_t token) const {
  std::vector<int32_t> path;
  findPathTo(token, path);
  return path;
}

void TokenTree::findPathTo(int32_t token, std::vector<int32_t> &path) const {
  path.clear();
  for (; token != context; token = parent(token))
    path.push_back(token);
  std::ranges::reverse(path);
}

} // namespace llmir
