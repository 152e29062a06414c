// Reads prompts from arguments and files, and turns text into tokens.

#include "llmir/CommandLine/Prompts.h"

#include "llmir/Base/MappedFile.h"
#include "llmir/CommandLine/ChatRenderer.h"
#include "llmir/CommandLine/Terminal.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <unistd.h>

namespace llmir {

static StatusOr<std::string> readStandardInput() {
  std::string text;
  char buffer[65536];
  while (true) {
    ssize_t length = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (length == 0)
      return text;
    if (length > 0)
      text.append(buffer, static_cast<size_t>(length));
    else if (errno == EINTR && SignalScope::wasInterrupted())
      return failedPrecondition("interrupted while reading the standard input");
    else if (errno != EINTR)
      return internalError(std::string("cannot read the standard input: ") + std::strerror(errno));
  }
}

StatusOr<std::string> readTextFile(const std::string &path) {
  if (path == "-" || path == "/dev/stdin")
    return readStandardInput();
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  std::span<const uint8_t> bytes = file->bytes();
  return std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

std::vector<std::string_view> splitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

StatusOr<std::vector<int32_t>> parseTokenIds(std::string_view text) {
  constexpr std::string_view separators = ", \t\r\n";
  std::vector<int32_t> tokens;
  while (true) {
    size_t start = text.find_first_not_of(separators);
    if (start == std::string_view::npos)
      return tokens;
    text.remove_prefix(start);
    std::string_view word = text.substr(0, text.find_first_of(separators));
    int32_t token = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc() || end != word.data() + word.size())
      return invalidArgument("expected token ids separated by commas, but got '" +
                             std::string(word) + "'");
    tokens.push_back(token);
    text.remove_prefix(word.size());
  }
}

/// Prompts of ids have no text but the one that the tokenizer, if there is one, makes of them.
static StatusOr<std::vector<Prompt>> readTokenPrompts(const std::string &argument,
                                                      const StatusOr<Tokenizer> &tokenizer) {
  std::string text = argument;
  if (argument.starts_with('@')) {
    StatusOr<std::string> content = readTextFile(argument.substr(1));
    if (!content)
      return content.status();
    text = std::move(*content);
  } else {
    std::replace(text.begin(), text.end(), '\n', ' ');
  }
  std::vector<Prompt> prompts;
  for (std::string_view line : splitLines(text)) {
    std::string where = "--tokens, line " + std::to_string(prompts.size() + 1);
    StatusOr<std::vector<int32_t>> tokens = parseTokenIds(line);
    if (!tokens)
      return tokens.status().withContext(where);
    if (tokens->empty())
      return invalidArgument(where + ": the prompt is empty: expected at least one token id");
    std::string decoded = tokenizer ? tokenizer->decode(*tokens, SpecialText::Show) : "";
    prompts.push_back({std::move(*tokens), std::move(decoded)});
  }
  if (prompts.empty())
    return invalidArgument("--tokens: the prompt is empty: expected at least one token id");
  return prompts;
}

/// The texts of the prompts, with their place for messages.
static StatusOr<std::vector<std::string>> readTexts(const RunOptions &options) {
  if (options.prompt)
    return std::vector<std::string>{*options.prompt};
  StatusOr<std::string> content =
      readTextFile(options.promptFile ? *options.promptFile : *options.batchFile);
  if (!content)
    return content.status();
  if (options.promptFile)
    return std::vector<std::string>{std::move(*content)};
  std::vector<std::string> texts;
  for (std::string_view line : splitLines(*content)) {
    if (line.empty())
      return invalidArgument(*options.batchFile + ": line " + std::to_string(texts.size() + 1) +
                             " is empty: expected a prompt in each line");
    texts.emplace_back(line);
  }
  if (texts.empty())
    return invalidArgument(*options.batchFile +
                           ": expected a prompt a line, but the file is empty");
  return texts;
}

StatusOr<std::vector<Prompt>> readPrompts(const RunOptions &options,
                                          const StatusOr<Tokenizer> &tokenizer,
                                          const GGUFFile &metadata) {
  if (options.tokens)
    return readTokenPrompts(*options.tokens, tokenizer);
  if (!tokenizer)
    return tokenizer.status();
  StatusOr<std::vector<std::string>> texts = readTexts(options);
  if (!texts)
    return texts.status();

  std::optional<ChatRenderer> chat;
  if (options.usesChatTemplate) {
    StatusOr<ChatRenderer> loaded = ChatRenderer::create(metadata, *tokenizer);
    if (!loaded)
      return loaded.status();
    chat.emplace(std::move(*loaded));
  }
  std::vector<Prompt> prompts;
  for (std::string &text : *texts) {
    Prompt prompt;
    if (chat) {
      auto messages = nlohmann::ordered_json::array();
      if (options.systemMessage)
        messages.push_back({{"role", "system"}, {"content", *options.systemMessage}});
      messages.push_back({{"role", "user"}, {"content", text}});
      StatusOr<std::string> rendered = chat->render(messages);
      if (!rendered)
        return rendered.status();
      prompt.tokens = tokenizer->encode(*rendered, {AddBOS::No, ParseSpecial::Yes});
    } else {
      prompt.tokens = tokenizer->encode(text, {AddBOS::AsModelSays, ParseSpecial::No});
    }
    prompt.text = std::move(text);
    if (prompt.tokens.empty())
      return invalidArgument("the prompt is empty: expected some text");
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

} // namespace llmir
