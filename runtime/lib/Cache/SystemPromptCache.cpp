// SystemPromptCache: names to pinned prefixes.

#include "llmir/Cache/SystemPromptCache.h"

namespace llmir {

static Status unknownPrompt(const std::string &name) {
  return notFound("unknown system prompt '" + name + "'");
}

SystemPromptCache::~SystemPromptCache() {
  for (const auto &[name, prompt] : prompts_)
    (void)tree_.unpin(prompt.keys);
}

Status SystemPromptCache::registerSystemPrompt(const std::string &name, const int32_t *tokens,
                                               int64_t length, const PrefixNamespace &nameSpace) {
  LLMIR_RETURN_IF_ERROR(tree_.status());
  if (length < 1 || !tokens)
    return invalidArgument("expected system prompt '" + name +
                           "' to have 1 or more tokens, but got " +
                           std::to_string(tokens ? length : 0));
  if (prompts_.count(name) != 0)
    return failedPrecondition("system prompt '" + name + "' exists");
  Prompt prompt{{tokens, tokens + length},
                PrefixKeyChain(nameSpace, tree_.cache().layout().block_size)};
  prompt.keys.extend(prompt.tokens);
  LLMIR_RETURN_IF_ERROR(tree_.pin(prompt.keys).withContext("system prompt '" + name + "'"));
  prompts_.emplace(name, std::move(prompt));
  return Status::ok();
}

Status SystemPromptCache::unregisterSystemPrompt(const std::string &name) {
  auto found = prompts_.find(name);
  if (found == prompts_.end())
    return unknownPrompt(name);
  LLMIR_RETURN_IF_ERROR(tree_.unpin(found->second.keys));
  prompts_.erase(found);
  return Status::ok();
}

StatusOr<std::span<const int32_t>> SystemPromptCache::tokens(const std::string &name) const {
  auto found = prompts_.find(name);
  if (found == prompts_.end())
    return unknownPrompt(name);
  return std::span<const int32_t>(found->second.tokens);
}

StatusOr<int64_t> SystemPromptCache::keptLength(const std::string &name) const {
  auto found = prompts_.find(name);
  if (found == prompts_.end())
    return unknownPrompt(name);
  const PrefixKeyChain &keys = found->second.keys;
  return static_cast<int64_t>(keys.blocks().size()) * keys.blockSize();
}

} // namespace llmir
