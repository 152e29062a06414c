// PrefixKey: the name of a full block by its content: SHA-256 over the key of the block before it
// and its tokens, so that a key stands for the whole prefix. The first block's parent is the key of
// its namespace (salt, adapter, block size): two namespaces have no key in common. Why SHA-256 and
// not something faster: docs/PrefixCache.md.

#ifndef LLMIR_CACHE_PREFIXKEY_H
#define LLMIR_CACHE_PREFIXKEY_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// 256 bits; comparable, and the same on every machine of one byte order.
struct PrefixKey {
  std::array<uint64_t, 4> words{};

  friend bool operator==(const PrefixKey &, const PrefixKey &) = default;
};

/// The words of a key are random already.
struct PrefixKeyHash {
  size_t operator()(const PrefixKey &key) const { return static_cast<size_t>(key.words[1]); }
};

/// 64 hexadecimal digits.
std::string toString(const PrefixKey &key);

/// Who may share cached blocks with whom: equal namespaces do, others never.
struct PrefixNamespace {
  std::string_view salt;  ///< A tenant's secret; empty for what everybody may share.
  uint64_t adapterId = 0; ///< The fine-tuned variant that computed keys and values; 0 for none.
};

/// The parent of a prefix's first block.
PrefixKey rootKey(const PrefixNamespace &nameSpace, int64_t blockSize);

/// The key of a block of `tokens` after the block (or namespace) `parent`.
PrefixKey childKey(const PrefixKey &parent, std::span<const int32_t> tokens);

/// The keys of a sequence's full blocks; extended as the sequence grows, so that no token is hashed
/// twice.
class PrefixKeyChain {
public:
  PrefixKeyChain(const PrefixNamespace &nameSpace, int64_t blockSize)
      : PrefixKeyChain(rootKey(nameSpace, blockSize), blockSize) {}
  PrefixKeyChain(const PrefixKey &root, int64_t blockSize) : root_(root), blockSize_(blockSize) {}

  /// An empty chain again; its memory stays.
  void restart(const PrefixKey &root, int64_t blockSize);

  /// Adds the keys of full blocks that `tokens`, the whole sequence from its start, has more than
  /// the chain.
  void extend(std::span<const int32_t> tokens);

  /// Forgets the keys of blocks that do not end within the first `tokens` tokens.
  void truncate(int64_t tokens);

  const PrefixKey &root() const { return root_; }
  std::span<const PrefixKey> blocks() const { return blocks_; }
  int64_t blockSize() const { return blockSize_; }

private:
  PrefixKey root_;
  std::vector<PrefixKey> blocks_;
  int64_t blockSize_;
};

} // namespace llmir

#endif // LLMIR_CACHE_PREFIXKEY_H
