// Prefix keys by OpenSSL's SHA-256. The functions used are those that OpenSSL 3 calls deprecated:
// they allocate nothing and cannot fail, and a static program takes only them and not the whole
// library of providers; for 96 bytes they are twice as fast as the others.

#define OPENSSL_SUPPRESS_DEPRECATED
#include "llmir/Cache/PrefixKey.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace llmir {

namespace {

/// A running SHA-256.
class Digest {
public:
  Digest() { SHA256_Init(&context_); }

  void update(const void *bytes, size_t size) { SHA256_Update(&context_, bytes, size); }

  PrefixKey finish() {
    PrefixKey key;
    static_assert(sizeof(key) == SHA256_DIGEST_LENGTH);
    SHA256_Final(reinterpret_cast<unsigned char *>(key.words.data()), &context_);
    return key;
  }

private:
  SHA256_CTX context_;
};

} // namespace

std::string toString(const PrefixKey &key) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < sizeof(key); ++i) {
    uint8_t byte;
    std::memcpy(&byte, reinterpret_cast<const char *>(&key) + i, 1);
    text += {digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

PrefixKey rootKey(const PrefixNamespace &nameSpace, int64_t blockSize) {
  // A root hashes a text that no block starts with by chance, and fields of fixed size before the
  // salt, so that no two namespaces run into the same bytes.
  static constexpr char domain[] = "llmir prefix namespace 1";
  Digest digest;
  digest.update(domain, sizeof(domain));
  digest.update(&blockSize, sizeof(blockSize));
  digest.update(&nameSpace.adapterId, sizeof(nameSpace.adapterId));
  digest.update(nameSpace.salt.data(), nameSpace.salt.size());
  return digest.finish();
}

PrefixKey childKey(const PrefixKey &parent, std::span<const int32_t> tokens) {
  Digest digest;
  digest.update(parent.words.data(), sizeof(parent.words));
  digest.update(tokens.data(), tokens.size_bytes());
  return digest.finish();
}

void PrefixKeyChain::restart(const PrefixKey &root, int64_t blockSize) {
  root_ = root;
  blockSize_ = blockSize;
  blocks_.clear();
}

void PrefixKeyChain::extend(std::span<const int32_t> tokens) {
  auto size = static_cast<size_t>(blockSize_);
  for (size_t block = blocks_.size(); (block + 1) * size <= tokens.size(); ++block)
    blocks_.push_back(
        childKey(block == 0 ? root_ : blocks_.back(), tokens.subspan(block * size, size)));
}

void PrefixKeyChain::truncate(int64_t tokens) {
  auto most = static_cast<size_t>(std::max<int64_t>(tokens, 0) / blockSize_);
  blocks_.resize(std::min(blocks_.size(), most));
}

} // namespace llmir
