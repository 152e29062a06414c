// ChatTemplate: renders the conversation template that a checkpoint carries (a Jinja program) to
// the text that the model was trained on.

#ifndef LLMIR_MODELFILES_CHATTEMPLATE_H
#define LLMIR_MODELFILES_CHATTEMPLATE_H

#include "llmir/Base/Status.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace llmir {

namespace chat {
struct Program;
}

/// One turn of a conversation with plain text.
struct ChatMessage {
  std::string role; ///< "system", "user", "assistant", "tool".
  std::string content;
};

/// What a template sees besides the messages.
struct ChatTemplateOptions {
  /// Ends the text where the assistant's next turn begins (`add_generation_prompt`).
  bool addGenerationPrompt = true;
  /// The texts of the tokens, as `bos_token` and `eos_token`.
  std::string bosToken, eosToken;
  /// An array of tool descriptions (`tools`), or null.
  nlohmann::ordered_json tools;
  /// An object whose members become further variables; they win over the ones above.
  nlohmann::ordered_json variables;
};

/// A parsed template. It understands the part of Jinja that published chat templates use, with the
/// settings under which they are written: block tags trim the line they stand on (trim_blocks,
/// lstrip_blocks), `tojson` keeps the order of keys and escapes nothing beyond JSON, and
/// `raise_exception`, `strftime_now`, `break` and `continue` exist. docs: Jinja 3.1, "Template
/// Designer Documentation". Nesting, output and work are bounded, so a hostile template ends in an
/// error. Immutable; threads may share it.
class ChatTemplate {
public:
  /// `source` is the value of `tokenizer.chat_template`. Unimplemented or InvalidArgument, with the
  /// line and the construct, for what is not understood.
  static StatusOr<ChatTemplate> parse(std::string_view source);

  ChatTemplate(ChatTemplate &&) noexcept;
  ChatTemplate &operator=(ChatTemplate &&) noexcept;
  ChatTemplate(const ChatTemplate &) = delete;
  ChatTemplate &operator=(const ChatTemplate &) = delete;
  ~ChatTemplate();

  /// Renders a conversation of plain messages. InvalidArgument when the template refuses it
  /// (`raise_exception`) or uses a value in a way its type does not allow.
  StatusOr<std::string> render(std::span<const ChatMessage> messages,
                               const ChatTemplateOptions &options = {}) const;
  /// The same for messages with further members (`tool_calls`, lists of parts): a JSON array of
  /// objects.
  StatusOr<std::string> renderJSON(const nlohmann::ordered_json &messages,
                                   const ChatTemplateOptions &options = {}) const;

private:
  explicit ChatTemplate(std::unique_ptr<const chat::Program> program);

  std::unique_ptr<const chat::Program> program_;
};

} // namespace llmir

#endif // LLMIR_MODELFILES_CHATTEMPLATE_H
