// Lexer: cuts a chat template into text and tokens and applies Jinja's white-space control.
// Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_CHATTEMPLATE_LEXER_H
#define LLMIR_LIB_MODELFILES_CHATTEMPLATE_LEXER_H

#include "llmir/Base/Status.h"

#include <string>
#include <string_view>
#include <vector>

namespace llmir::chat {

enum class TokenKind {
  Text,       ///< Output as it is.
  OpenOutput, ///< {{
  CloseOutput,
  OpenBlock, ///< {%
  CloseBlock,
  Name,
  String, ///< `text` has its escapes resolved.
  Integer,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

/// Tokens of a template up to and including an End. Comments are gone, raw blocks are text, and
/// white space around tags is as trim_blocks and lstrip_blocks leave it. Fails with the line
/// number.
class Lexer {
public:
  explicit Lexer(std::string_view source);
  StatusOr<std::vector<Token>> run();

private:
  Status lexText();
  Status lexTag(char opener);
  Status lexRaw();
  Status lexToken(std::string_view closer, int &nesting);
  Status lexString();
  void lexNumber();
  bool startsWith(std::string_view text) const {
    return std::string_view(source_).substr(position_).starts_with(text);
  }
  Status fail(const std::string &what) const;
  void push(TokenKind kind, std::string text);
  void advance(size_t count);
  void pushText(std::string_view text, char opener, char control);
  void finishTag(bool isOutput, char control);

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool isAtLineStart_ = true; // The tag before the current text ended a line.
  std::vector<Token> tokens_;
};

} // namespace llmir::chat

#endif // LLMIR_LIB_MODELFILES_CHATTEMPLATE_LEXER_H
