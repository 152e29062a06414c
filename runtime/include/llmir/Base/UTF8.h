// Steps through UTF-8 text that may be broken, one character or one ill-formed stretch at a time.

#ifndef LLMIR_BASE_UTF8_H
#define LLMIR_BASE_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llmir {

/// What stands at a position of a text.
enum class UTF8Kind {
  Character, ///< A well-formed character.
  Partial,   ///< The text ends within a character that is well formed so far.
  Invalid    ///< Bytes that no continuation makes well formed.
};

/// The next step: `length` bytes (at least 1) of `kind`; `codePoint` of a Character.
struct UTF8Step {
  UTF8Kind kind;
  size_t length;
  char32_t codePoint;
};

/// Reads at `position` < text.size(). Surrogates, overlong forms and values above U+10FFFF are
/// Invalid; an Invalid or Partial step is the longest stretch that could have begun a character
/// (Unicode's "maximal subpart"), so that one replacement character stands for it.
UTF8Step nextUTF8(std::string_view text, size_t position);

/// Appends the UTF-8 form of a code point up to U+10FFFF.
void appendUTF8(std::string &text, char32_t codePoint);

/// U+FFFD in UTF-8, which stands for bytes that are no character.
inline constexpr std::string_view replacementCharacter = "\xef\xbf\xbd";

} // namespace llmir

#endif // LLMIR_BASE_UTF8_H
