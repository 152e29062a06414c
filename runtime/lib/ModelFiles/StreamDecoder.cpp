// Implements StreamDecoder: lets whole characters through and keeps an unfinished one back.

#include "llmir/Base/UTF8.h"
#include "llmir/ModelFiles/Tokenizer.h"

namespace llmir {

std::string StreamDecoder::add(int32_t id) {
  if (special_ == SpecialText::Hide && tokenizer_->isControl(id))
    return {};
  waiting_ += tokenizer_->tokenText(id);
  std::string ready;
  size_t position = 0;
  while (position < waiting_.size()) {
    UTF8Step step = nextUTF8(waiting_, position);
    if (step.kind == UTF8Kind::Partial)
      break;
    if (step.kind == UTF8Kind::Character)
      ready.append(waiting_, position, step.length);
    else
      ready += replacementCharacter;
    position += step.length;
  }
  waiting_.erase(0, position);
  return ready;
}

std::string StreamDecoder::flush() {
  bool isUnfinished = !waiting_.empty();
  waiting_.clear();
  return isUnfinished ? std::string(replacementCharacter) : std::string();
}

} // namespace llmir
