// ByteWriter and ByteReader: little-endian numbers and counted arrays of them, for the files of
// checkpoints. The reader is made for hostile bytes: it never reads past the end, allocates no more
// than the bytes can fill, and keeps the first error, after which everything reads as zero.

#ifndef LLMIR_LIB_CACHE_BYTESTREAM_H
#define LLMIR_LIB_CACHE_BYTESTREAM_H

#include "llmir/Base/Status.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace llmir {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

class ByteWriter {
public:
  template <typename T> void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    putBytes({reinterpret_cast<const uint8_t *>(&value), sizeof value});
  }
  void putBytes(std::span<const uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  /// A count, then the elements.
  template <typename T> void putArray(std::span<const T> values) {
    static_assert(std::is_arithmetic_v<T>);
    put<uint64_t>(values.size());
    putBytes({reinterpret_cast<const uint8_t *>(values.data()), values.size_bytes()});
  }
  void putString(std::string_view text) {
    putArray<uint8_t>({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  }

  std::vector<uint8_t> take() { return std::move(bytes_); }

private:
  std::vector<uint8_t> bytes_;
};

class ByteReader {
public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes), size_(bytes.size()) {}

  const Status &status() const { return status_; }
  size_t remaining() const { return bytes_.size(); }
  size_t position() const { return size_ - bytes_.size(); }

  template <typename T> T get(const char *what) {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    if (std::span<const uint8_t> bytes = getBytes(sizeof(T), what); !bytes.empty())
      std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  /// `count` bytes; none after an error.
  std::span<const uint8_t> getBytes(size_t count, const char *what) {
    if (status_.isOk() && count > bytes_.size())
      fail(std::string("expected ") + std::to_string(count) + " bytes of '" + what +
           "' at offset " + std::to_string(position()) + ", but " + std::to_string(bytes_.size()) +
           " are left");
    if (!status_.isOk())
      return {};
    std::span<const uint8_t> result = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return result;
  }

  /// A count of things that take at least `bytesEach` bytes, so never more than can follow.
  size_t getCount(size_t bytesEach, const char *what) {
    auto count = get<uint64_t>(what);
    if (status_.isOk() && count > bytes_.size() / bytesEach)
      fail("expected at most " + std::to_string(bytes_.size() / bytesEach) + " entries of '" +
           what + "' in the remaining bytes, but got " + std::to_string(count));
    return status_.isOk() ? static_cast<size_t>(count) : 0;
  }

  template <typename T> std::vector<T> getArray(const char *what) {
    std::vector<T> values(getCount(sizeof(T), what));
    if (std::span<const uint8_t> bytes = getBytes(values.size() * sizeof(T), what); !bytes.empty())
      std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  std::string getString(const char *what) {
    std::span<const uint8_t> bytes = getBytes(getCount(1, what), what);
    return {bytes.begin(), bytes.end()};
  }

  /// Keeps the first error.
  void fail(std::string message) {
    if (status_.isOk())
      status_ = dataLoss(std::move(message));
  }

private:
  std::span<const uint8_t> bytes_;
  size_t size_;
  Status status_;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_BYTESTREAM_H
