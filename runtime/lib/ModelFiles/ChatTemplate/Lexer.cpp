// Implements the template lexer.

#include "Lexer.h"

#include "llmir/Base/UTF8.h"

#include <array>
#include <charconv>
#include <cstdint>

namespace llmir::chat {

static bool isSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}
static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Unifies line ends and drops the last one, as Jinja does.
Lexer::Lexer(std::string_view source) {
  source_.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      source_ += '\n';
      i += i + 1 < source.size() && source[i + 1] == '\n';
    } else {
      source_ += source[i];
    }
  }
  if (source_.ends_with('\n'))
    source_.pop_back();
}

Status Lexer::fail(const std::string &what) const {
  return invalidArgument("line " + std::to_string(line_) + ": " + what);
}

void Lexer::push(TokenKind kind, std::string text) {
  tokens_.push_back({kind, std::move(text), line_});
}

void Lexer::advance(size_t count) {
  for (size_t i = 0; i < count; ++i)
    line_ += source_[position_ + i] == '\n';
  position_ += count;
}

/// Pushes the text before a tag: `-` strips all white space at its end; without `+`, a block or
/// comment tag alone on its line so far takes the line's indentation away.
void Lexer::pushText(std::string_view text, char opener, char control) {
  if (control == '-') {
    while (!text.empty() && isSpace(text.back()))
      text.remove_suffix(1);
  } else if (control != '+' && opener != '{') {
    size_t newline = text.rfind('\n');
    size_t lineStart = newline == std::string_view::npos ? 0 : newline + 1;
    bool startsLine = newline != std::string_view::npos || isAtLineStart_;
    size_t end = text.size();
    while (end > lineStart && isSpace(text[end - 1]))
      --end;
    if (startsLine && end == lineStart)
      text = text.substr(0, lineStart);
  }
  if (!text.empty())
    push(TokenKind::Text, std::string(text));
}

/// Steps over the white space that a tag's end takes away: all of it after `-`, else one line end
/// after a block or a comment.
void Lexer::finishTag(bool isOutput, char control) {
  size_t start = position_;
  if (control == '-') {
    size_t end = position_;
    while (end < source_.size() && isSpace(source_[end]))
      ++end;
    advance(end - position_);
  } else if (!isOutput && control != '+' && startsWith("\n")) {
    advance(1);
  }
  isAtLineStart_ = position_ > start && source_[position_ - 1] == '\n';
}

Status Lexer::lexText() {
  size_t start = position_;
  size_t found = start;
  for (;; ++found) {
    found = source_.find('{', found);
    if (found == std::string::npos) {
      if (start < source_.size())
        push(TokenKind::Text, source_.substr(start));
      advance(source_.size() - start);
      return Status::ok();
    }
    if (found + 1 < source_.size() &&
        (source_[found + 1] == '{' || source_[found + 1] == '%' || source_[found + 1] == '#'))
      break;
  }
  char opener = source_[found + 1];
  char control = found + 2 < source_.size() ? source_[found + 2] : ' ';
  bool isControl = control == '-' || control == '+';
  pushText(std::string_view(source_).substr(start, found - start), opener, control);
  advance(found - start + (isControl ? 3 : 2));
  return lexTag(opener);
}

Status Lexer::lexTag(char opener) {
  if (opener == '#') {
    size_t end = source_.find("#}", position_);
    if (end == std::string::npos)
      return fail("expected '#}' after '{#'");
    char control = end > position_ ? source_[end - 1] : ' ';
    advance(end + 2 - position_);
    finishTag(false, control);
    return Status::ok();
  }
  bool isOutput = opener == '{';
  std::string_view closer = isOutput ? "}}" : "%}";
  push(isOutput ? TokenKind::OpenOutput : TokenKind::OpenBlock, "");
  size_t first = tokens_.size();
  int nesting = 0;
  while (true) {
    while (position_ < source_.size() && isSpace(source_[position_]))
      advance(1);
    if (position_ == source_.size())
      return fail("expected '" + std::string(closer) + "', but the template ends");
    char control = startsWith("-") || startsWith("+") ? source_[position_] : ' ';
    size_t closerAt = position_ + (control == ' ' ? 0 : 1);
    if (nesting == 0 && std::string_view(source_).substr(closerAt).starts_with(closer)) {
      advance(closerAt + 2 - position_);
      push(isOutput ? TokenKind::CloseOutput : TokenKind::CloseBlock, "");
      finishTag(isOutput, control);
      break;
    }
    LLMIR_RETURN_IF_ERROR(lexToken(closer, nesting));
  }
  bool isRaw = !isOutput && tokens_.size() == first + 2 && tokens_[first].kind == TokenKind::Name &&
               tokens_[first].text == "raw";
  if (!isRaw)
    return Status::ok();
  tokens_.resize(first - 1);
  return lexRaw();
}

/// Copies everything up to `{% endraw %}` as text.
Status Lexer::lexRaw() {
  for (size_t open = source_.find("{%", position_); open != std::string::npos;
       open = source_.find("{%", open + 2)) {
    size_t at = open + 2;
    char control = at < source_.size() ? source_[at] : ' ';
    at += control == '-' || control == '+';
    while (at < source_.size() && isSpace(source_[at]))
      ++at;
    if (!std::string_view(source_).substr(at).starts_with("endraw"))
      continue;
    at += 6;
    while (at < source_.size() && isSpace(source_[at]))
      ++at;
    char endControl = at < source_.size() ? source_[at] : ' ';
    at += endControl == '-' || endControl == '+';
    if (!std::string_view(source_).substr(at).starts_with("%}"))
      continue;
    pushText(std::string_view(source_).substr(position_, open - position_), '%', control);
    advance(at + 2 - position_);
    finishTag(false, endControl);
    return Status::ok();
  }
  return fail("expected 'endraw' after 'raw'");
}

Status Lexer::lexString() {
  char quote = source_[position_];
  std::string text;
  size_t at = position_ + 1;
  for (; at < source_.size() && source_[at] != quote; ++at) {
    if (source_[at] != '\\' || at + 1 == source_.size()) {
      text += source_[at];
      continue;
    }
    char escape = source_[++at];
    static constexpr std::string_view names = "nrtfvab\\'\"", values = "\n\r\t\f\v\a\b\\'\"";
    if (size_t index = names.find(escape); index != std::string_view::npos) {
      text += values[index];
    } else if (escape == 'x' || escape == 'u' || escape == 'U') {
      size_t digits = escape == 'x' ? 2 : escape == 'u' ? 4 : 8;
      uint32_t codePoint = 0;
      const char *begin = source_.data() + at + 1;
      size_t available = source_.size() - at - 1;
      if (available < digits ||
          std::from_chars(begin, begin + digits, codePoint, 16).ptr != begin + digits ||
          codePoint > 0x10ffff)
        return fail("expected " + std::to_string(digits) + " hexadecimal digits after '\\" +
                    std::string(1, escape) + "'");
      appendUTF8(text, codePoint);
      at += digits;
    } else if (escape != '\n') {
      text += '\\';
      text += escape;
    }
  }
  if (at == source_.size())
    return fail("expected " + std::string(1, quote) + " at the end of a string");
  push(TokenKind::String, std::move(text));
  advance(at + 1 - position_);
  return Status::ok();
}

void Lexer::lexNumber() {
  size_t end = position_;
  auto skipDigits = [&] {
    while (end < source_.size() && (isDigit(source_[end]) || source_[end] == '_'))
      ++end;
  };
  skipDigits();
  bool isFloat = end + 1 < source_.size() && source_[end] == '.' && isDigit(source_[end + 1]);
  if (isFloat) {
    ++end;
    skipDigits();
  }
  size_t exponent = end;
  if (exponent < source_.size() && (source_[exponent] == 'e' || source_[exponent] == 'E')) {
    ++exponent;
    if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
      ++exponent;
    if (exponent < source_.size() && isDigit(source_[exponent])) {
      isFloat = true;
      end = exponent;
      skipDigits();
    }
  }
  std::string digits;
  for (char c : source_.substr(position_, end - position_))
    if (c != '_')
      digits += c;
  push(isFloat ? TokenKind::Float : TokenKind::Integer, std::move(digits));
  advance(end - position_);
}

Status Lexer::lexToken(std::string_view closer, int &nesting) {
  char c = source_[position_];
  if (c == '\'' || c == '"')
    return lexString();
  if (isDigit(c)) {
    lexNumber();
    return Status::ok();
  }
  if (isNameStart(c)) {
    size_t end = position_;
    while (end < source_.size() && (isNameStart(source_[end]) || isDigit(source_[end])))
      ++end;
    push(TokenKind::Name, source_.substr(position_, end - position_));
    advance(end - position_);
    return Status::ok();
  }
  static constexpr std::array<std::string_view, 26> operators = {
      "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "=", "<",
      ">",  ".",  ":",  "|",  ",",  "~",  "(", ")", "[", "]", "{", "}", ";"};
  for (std::string_view text : operators) {
    if (!startsWith(text))
      continue;
    nesting += text == "(" || text == "[" || text == "{";
    nesting -= text == ")" || text == "]" || text == "}";
    if (nesting < 0)
      return fail("expected '" + std::string(closer) + "', but got '" + std::string(text) + "'");
    push(TokenKind::Operator, std::string(text));
    advance(text.size());
    return Status::ok();
  }
  return fail("expected an expression, but got the character '" +
              (static_cast<unsigned char>(c) < 0x20 ? std::string("?") : std::string(1, c)) + "'");
}

StatusOr<std::vector<Token>> Lexer::run() {
  while (position_ < source_.size())
    LLMIR_RETURN_IF_ERROR(lexText());
  push(TokenKind::End, "");
  return std::move(tokens_);
}

} // namespace llmir::chat
