// TagCodec: writing tags and comparing what comes back.

#include "TagCodec.h"

namespace llmir::model {

namespace {

enum class Side : uint32_t { Keys, Values };

void encode(Tag tag, int64_t layer, int64_t head, int64_t channels, Side side, ElementType type,
            std::vector<uint8_t> &to) {
  // The first channels of keys hold the tag. All others hold it mixed with their place, so that one
  // of them in the place of another is seen.
  auto place = static_cast<uint32_t>(layer * 40503 + head * 977) + static_cast<uint32_t>(side);
  uint32_t mixed = tag * 2654435761u + place;
  uint32_t plain = tag ^ static_cast<uint32_t>(layer * 3 + head);
  uint32_t one = type == ElementType::F16 ? 0x3c00 : 0x3f80;
  for (int64_t channel = 0; channel < channels; ++channel) {
    uint32_t bits = channel < 32 && side == Side::Keys ? plain : mixed;
    bool negative = (bits >> (channel % 32)) & 1;
    if (type == ElementType::F32)
      to.insert(to.end(), {0, 0});
    to.push_back(static_cast<uint8_t>(one));
    to.push_back(static_cast<uint8_t>(one >> 8 | (negative ? 0x80 : 0)));
  }
}

/// Signs are what quantised storage keeps for certain; they are in every element's last byte.
bool haveOtherSigns(const std::vector<uint8_t> &a, const std::vector<uint8_t> &b, size_t size,
                    size_t count) {
  for (size_t i = size - 1; i < count; i += size)
    if ((a[i] ^ b[i]) & 0x80)
      return true;
  return false;
}

} // namespace

EncodedTags encodeTags(const llmir_cache_layout &layout, ElementType type,
                       std::span<const Tag> tags) {
  EncodedTags encoded;
  for (int64_t layer = 0; layer < layout.num_layers; ++layer)
    for (Tag tag : tags)
      for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
        encode(tag, layer, head, layout.key_head_dim, Side::Keys, type, encoded.keys);
        encode(tag, layer, head, layout.value_head_dim, Side::Values, type, encoded.values);
      }
  encoded.keys.push_back(0); // so that no array is null
  encoded.values.push_back(0);
  return encoded;
}

std::string checkTags(const PagedKVCache &cache, ElementType type, SequenceId sequence,
                      std::span<const Tag> tags) {
  std::string name = "s" + std::to_string(static_cast<int32_t>(sequence));
  std::vector<int32_t> blocks;
  for (size_t i = 0; i < tags.size(); ++i) {
    StatusOr<int32_t> slot = cache.slot(sequence, static_cast<int64_t>(i));
    if (!slot)
      return name + ": " + slot.status().message();
    blocks.push_back(*slot / cache.layout().block_size);
  }
  if (tags.empty())
    return "";
  EncodedTags expected = encodeTags(cache.layout(), type, tags), actual = expected;
  auto length = static_cast<int32_t>(tags.size());
  Status status =
      cache.lookupKV(blocks.data(), &length, 1, actual.keys.data(), actual.values.data());
  if (!status)
    return name + ": " + status.message();
  auto size = static_cast<size_t>(elementSize(type));
  if (haveOtherSigns(actual.keys, expected.keys, size, expected.keys.size() - 1) ||
      haveOtherSigns(actual.values, expected.values, size, expected.values.size() - 1))
    return name + " reads what it did not write";
  return "";
}

} // namespace llmir::model
