// Operations on UTF-8 text that chat templates use, with Python's meaning. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_TEXT_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_TEXT_H

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace llmir::chat {

/// The characters of a text; bytes that are none count as one each.
std::vector<std::string_view> charactersOf(std::string_view text);

/// Which ends strip works on.
enum class StripSide { Both, Left, Right };
/// Removes the characters in `set`, or white space when it is empty, from the ends.
std::string_view strip(std::string_view text, std::string_view set, StripSide side);

/// Letter by letter, by Unicode's simple mappings.
std::string toUpper(std::string_view text);
std::string toLower(std::string_view text);
/// The first letter of the text upper case, the rest lower; or so for each word.
std::string capitalize(std::string_view text);
std::string titleCase(std::string_view text);

/// Splits at `separator`, or at runs of white space when it is empty, at most `limit` times (below
/// 0: everywhere), from the left.
std::vector<std::string> split(std::string_view text, std::string_view separator, long limit);
/// The lines without their ends.
std::vector<std::string> splitLines(std::string_view text);

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_TEXT_H
