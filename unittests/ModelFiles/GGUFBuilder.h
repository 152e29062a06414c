// GGUFBuilder: writes small GGUF files into memory for tests, wrong ones included.

#ifndef LLMIR_UNITTESTS_MODELFILES_GGUFBUILDER_H
#define LLMIR_UNITTESTS_MODELFILES_GGUFBUILDER_H

#include "llmir/ModelFiles/GGUF.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// Appends little-endian values; a test composes a file field by field.
class ByteWriter {
public:
  template <typename T> ByteWriter &put(T value) {
    size_t at = bytes.size();
    bytes.resize(at + sizeof(T));
    std::memcpy(bytes.data() + at, &value, sizeof(T));
    return *this;
  }
  ByteWriter &text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes.insert(bytes.end(), text.begin(), text.end());
    return *this;
  }
  ByteWriter &append(const std::vector<uint8_t> &other) {
    bytes.insert(bytes.end(), other.begin(), other.end());
    return *this;
  }

  std::vector<uint8_t> bytes;
};

/// Collects metadata entries and tensors, then lays out a whole file.
class GGUFBuilder {
public:
  template <typename T> GGUFBuilder &scalar(std::string_view key, GGUFValueType type, T value) {
    startValue(key, type).put(value);
    return *this;
  }
  GGUFBuilder &string(std::string_view key, std::string_view value) {
    startValue(key, GGUFValueType::String).text(value);
    return *this;
  }
  template <typename T>
  GGUFBuilder &array(std::string_view key, GGUFValueType type, const std::vector<T> &elements) {
    startArray(key, type, elements.size());
    for (T element : elements)
      values_.put(element);
    return *this;
  }
  GGUFBuilder &strings(std::string_view key, const std::vector<std::string> &elements) {
    startArray(key, GGUFValueType::String, elements.size());
    for (const std::string &element : elements)
      values_.text(element);
    return *this;
  }
  /// `shape` innermost first, as the file has it; `data` is placed at the next multiple of 32.
  GGUFBuilder &tensor(std::string_view name, uint32_t type, const std::vector<uint64_t> &shape,
                      const std::vector<uint8_t> &data) {
    data_.bytes.resize((data_.bytes.size() + 31) / 32 * 32);
    return tensorAt(name, type, shape, data_.bytes.size()).addData(data);
  }
  GGUFBuilder &tensorAt(std::string_view name, uint32_t type, const std::vector<uint64_t> &shape,
                        uint64_t offset) {
    tensors_.text(name).put<uint32_t>(static_cast<uint32_t>(shape.size()));
    for (uint64_t size : shape)
      tensors_.put(size);
    tensors_.put(type).put(offset);
    ++numTensors;
    return *this;
  }
  GGUFBuilder &addData(const std::vector<uint8_t> &data) {
    data_.append(data);
    return *this;
  }

  std::vector<uint8_t> build() const {
    ByteWriter file;
    file.append({'G', 'G', 'U', 'F'}).put(version).put(numTensors).put(numValues);
    file.append(values_.bytes).append(tensors_.bytes);
    file.bytes.resize((file.bytes.size() + 31) / 32 * 32);
    return file.append(data_.bytes).bytes;
  }

  uint32_t version = 3;
  uint64_t numTensors = 0;
  uint64_t numValues = 0;

private:
  ByteWriter &startValue(std::string_view key, GGUFValueType type) {
    ++numValues;
    return values_.text(key).put(static_cast<uint32_t>(type));
  }
  void startArray(std::string_view key, GGUFValueType type, uint64_t count) {
    startValue(key, GGUFValueType::Array).put(static_cast<uint32_t>(type)).put(count);
  }

  ByteWriter values_, tensors_, data_;
};

} // namespace llmir

#endif // LLMIR_UNITTESTS_MODELFILES_GGUFBUILDER_H
