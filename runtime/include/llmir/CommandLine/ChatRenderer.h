// ChatRenderer: a model's chat template together with the token texts that it refers to.

#ifndef LLMIR_COMMANDLINE_CHATRENDERER_H
#define LLMIR_COMMANDLINE_CHATRENDERER_H

#include "llmir/Base/Status.h"
#include "llmir/ModelFiles/ChatTemplate.h"
#include "llmir/ModelFiles/GGUF.h"
#include "llmir/ModelFiles/Tokenizer.h"

namespace llmir {

/// Renders conversations up to where the assistant's turn begins. Immutable.
class ChatRenderer {
public:
  /// Reads the template of a checkpoint's metadata. NotFound when it has none.
  static StatusOr<ChatRenderer> create(const GGUFFile &metadata, const Tokenizer &tokenizer);

  /// The text of a JSON array of messages; to be encoded with ParseSpecial::Yes. Errors are the
  /// template's.
  StatusOr<std::string> render(const nlohmann::ordered_json &messages) const {
    return template_.renderJSON(messages, options_);
  }

private:
  ChatRenderer(ChatTemplate chatTemplate, ChatTemplateOptions options)
      : template_(std::move(chatTemplate)), options_(std::move(options)) {}

  ChatTemplate template_;
  ChatTemplateOptions options_;
};

} // namespace llmir

#endif // LLMIR_COMMANDLINE_CHATRENDERER_H
