// SystemPromptCache: prompts by name whose blocks stay in memory: those that are there and those
// that a request will compute. It holds pins and tokens, no keys or values.

#ifndef LLMIR_CACHE_SYSTEMPROMPTCACHE_H
#define LLMIR_CACHE_SYSTEMPROMPTCACHE_H

#include "llmir/Cache/PrefixTree.h"

#include <map>
#include <string>
#include <vector>

namespace llmir {

class SystemPromptCache {
public:
  /// Pins prefixes in `tree`, which must outlive this object.
  explicit SystemPromptCache(PrefixTree &tree) : tree_(tree) {}
  /// Unpins all prompts.
  ~SystemPromptCache();
  SystemPromptCache(const SystemPromptCache &) = delete;
  SystemPromptCache &operator=(const SystemPromptCache &) = delete;

  /// Keeps the full blocks of the prompt from now on, or from when they are computed.
  /// FailedPrecondition when the name is taken, InvalidArgument for an empty prompt, and the errors
  /// of PrefixTree::pin; nothing is changed then.
  Status registerSystemPrompt(const std::string &name, const int32_t *tokens, int64_t length,
                              const PrefixNamespace &nameSpace = {});
  /// Lets the prompt's blocks be evicted again. NotFound for an unknown name.
  Status unregisterSystemPrompt(const std::string &name);

  size_t size() const { return prompts_.size(); }
  /// The tokens of a prompt, to begin requests with; NotFound for an unknown name.
  StatusOr<std::span<const int32_t>> tokens(const std::string &name) const;
  /// Of those, the ones in full blocks: the most that is kept.
  StatusOr<int64_t> keptLength(const std::string &name) const;

private:
  struct Prompt {
    std::vector<int32_t> tokens;
    PrefixKeyChain keys;
  };

  PrefixTree &tree_;
  std::map<std::string, Prompt> prompts_;
};

} // namespace llmir

#endif // LLMIR_CACHE_SYSTEMPROMPTCACHE_H
