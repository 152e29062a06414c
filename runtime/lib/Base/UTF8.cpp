// Implements the UTF-8 steps after table 3-7 of the Unicode standard (well-formed byte sequences).

#include "llmir/Base/UTF8.h"

namespace llmir {

/// What a first byte announces: the character's length and the range of its second byte.
struct LeadByte {
  size_t length;
  uint8_t secondLow, secondHigh;
};

static LeadByte classifyLead(uint8_t lead) {
  if (lead < 0x80)
    return {1, 0, 0};
  if (lead < 0xc2 || lead > 0xf4)
    return {0, 0, 0};
  if (lead < 0xe0)
    return {2, 0x80, 0xbf};
  if (lead < 0xf0)
    return {3, static_cast<uint8_t>(lead == 0xe0 ? 0xa0 : 0x80),
            static_cast<uint8_t>(lead == 0xed ? 0x9f : 0xbf)};
  return {4, static_cast<uint8_t>(lead == 0xf0 ? 0x90 : 0x80),
          static_cast<uint8_t>(lead == 0xf4 ? 0x8f : 0xbf)};
}

UTF8Step nextUTF8(std::string_view text, size_t position) {
  uint8_t lead = static_cast<uint8_t>(text[position]);
  auto [length, low, high] = classifyLead(lead);
  if (length == 0)
    return {UTF8Kind::Invalid, 1, 0};
  char32_t codePoint = length == 1 ? lead : lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (position + i == text.size())
      return {UTF8Kind::Partial, i, 0};
    uint8_t byte = static_cast<uint8_t>(text[position + i]);
    if (byte < low || byte > high)
      return {UTF8Kind::Invalid, i, 0};
    codePoint = codePoint << 6 | (byte & 0x3fu);
    low = 0x80;
    high = 0xbf;
  }
  return {UTF8Kind::Character, length, codePoint};
}

void appendUTF8(std::string &text, char32_t codePoint) {
  auto append = [&](char32_t bits) { text += static_cast<char>(bits); };
  if (codePoint < 0x80) {
    append(codePoint);
  } else if (codePoint < 0x800) {
    append(0xc0 | codePoint >> 6);
    append(0x80 | (codePoint & 0x3f));
  } else if (codePoint < 0x10000) {
    append(0xe0 | codePoint >> 12);
    append(0x80 | (codePoint >> 6 & 0x3f));
    append(0x80 | (codePoint & 0x3f));
  } else {
    append(0xf0 | codePoint >> 18);
    append(0x80 | (codePoint >> 12 & 0x3f));
    append(0x80 | (codePoint >> 6 & 0x3f));
    append(0x80 | (codePoint & 0x3f));
  }
}

} // namespace llmir
