// Implements the text operations of chat templates; case mappings come from utf8proc.

#include "Text.h"

#include "llmir/Base/UTF8.h"

#include <algorithm>
#include <utf8proc.h>

namespace llmir::chat {

std::vector<std::string_view> charactersOf(std::string_view text) {
  std::vector<std::string_view> characters;
  for (size_t position = 0; position < text.size();) {
    size_t length = nextUTF8(text, position).length;
    characters.push_back(text.substr(position, length));
    position += length;
  }
  return characters;
}

/// What Python's str.isspace says of one character.
static bool isSpace(std::string_view character) {
  char32_t c = nextUTF8(character, 0).codePoint;
  return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

std::string_view strip(std::string_view text, std::string_view set, StripSide side) {
  std::vector<std::string_view> characters = charactersOf(text);
  std::vector<std::string_view> stripped = charactersOf(set);
  auto isStripped = [&](std::string_view character) {
    return set.empty() ? isSpace(character)
                       : std::find(stripped.begin(), stripped.end(), character) != stripped.end();
  };
  size_t first = 0, last = characters.size();
  while (side != StripSide::Right && first < last && isStripped(characters[first]))
    text.remove_prefix(characters[first++].size());
  while (side != StripSide::Left && last > first && isStripped(characters[last - 1]))
    text.remove_suffix(characters[--last].size());
  return text;
}

/// One character mapped by `map`; what is no character stays.
template <typename Map>
static void appendMapped(std::string &out, std::string_view character, Map map) {
  UTF8Step step = nextUTF8(character, 0);
  if (step.kind == UTF8Kind::Character)
    appendUTF8(out, static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(step.codePoint))));
  else
    out += character;
}

std::string toUpper(std::string_view text) {
  std::string upper;
  for (std::string_view character : charactersOf(text))
    appendMapped(upper, character, utf8proc_toupper);
  return upper;
}

std::string toLower(std::string_view text) {
  std::string lower;
  for (std::string_view character : charactersOf(text))
    appendMapped(lower, character, utf8proc_tolower);
  return lower;
}

std::string capitalize(std::string_view text) {
  if (text.empty())
    return {};
  size_t first = nextUTF8(text, 0).length;
  return toUpper(text.substr(0, first)) + toLower(text.substr(first));
}

static bool isLetter(std::string_view character) {
  UTF8Step step = nextUTF8(character, 0);
  if (step.kind != UTF8Kind::Character)
    return false;
  utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(step.codePoint));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

std::string titleCase(std::string_view text) {
  std::string title;
  bool isInWord = false;
  for (std::string_view character : charactersOf(text)) {
    appendMapped(title, character, isInWord ? utf8proc_tolower : utf8proc_toupper);
    isInWord = isLetter(character);
  }
  return title;
}

static std::vector<std::string> splitAtSpaces(std::string_view text, long limit) {
  std::vector<std::string> parts;
  text = strip(text, "", StripSide::Left);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<long>(parts.size()) >= limit) {
      parts.emplace_back(strip(text, "", StripSide::Right));
      break;
    }
    size_t end = 0;
    while (end < text.size() && !isSpace(text.substr(end)))
      end += nextUTF8(text, end).length;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    while (!text.empty() && isSpace(text))
      text.remove_prefix(nextUTF8(text, 0).length);
  }
  return parts;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, long limit) {
  if (separator.empty())
    return splitAtSpaces(text, limit);
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t found; (limit < 0 || static_cast<long>(parts.size()) < limit) &&
                     (found = text.find(separator, start)) != std::string_view::npos;
       start = found + separator.size())
    parts.emplace_back(text.substr(start, found - start));
  parts.emplace_back(text.substr(start));
  return parts;
}

std::vector<std::string> splitLines(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    size_t end = std::min(text.find_first_of("\r\n", start), text.size());
    lines.emplace_back(text.substr(start, end - start));
    bool isPair = end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n';
    start = end + (isPair ? 2 : 1);
  }
  return lines;
}

} // namespace llmir::chat
