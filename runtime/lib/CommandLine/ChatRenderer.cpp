// Takes the template and the texts of the special tokens from a checkpoint.

#include "llmir/CommandLine/ChatRenderer.h"

namespace llmir {

StatusOr<ChatRenderer> ChatRenderer::create(const GGUFFile &metadata, const Tokenizer &tokenizer) {
  constexpr const char *key = "tokenizer.chat_template";
  if (!metadata.has(key))
    return notFound("the model has no chat template (metadata key '" + std::string(key) +
                    "'); run it without --chat");
  StatusOr<std::string_view> source = metadata.getString(key);
  if (!source)
    return source.status();
  StatusOr<ChatTemplate> chatTemplate = ChatTemplate::parse(*source);
  if (!chatTemplate)
    return chatTemplate.status().withContext("chat template");
  ChatTemplateOptions options;
  const SpecialTokens &special = tokenizer.specialTokens();
  if (special.bos)
    options.bosToken = tokenizer.tokenText(*special.bos);
  if (special.eos)
    options.eosToken = tokenizer.tokenText(*special.eos);
  return ChatRenderer(std::move(*chatTemplate), std::move(options));
}

} // namespace llmir
