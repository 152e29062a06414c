// Keeps the output of requests apart and in order.

#include "llmir/CommandLine/GenerationOutput.h"

#include <cassert>

namespace llmir {

GenerationOutput::GenerationOutput(std::span<const Prompt> prompts, const Tokenizer *tokenizer,
                                   OutputStream &stream, NpyWriter *logits,
                                   const GenerationOutputOptions &options)
    : prompts_(prompts), stream_(stream), logits_(logits), options_(options) {
  assert((tokenizer || options.form == OutputForm::TokenIds) && "text needs a tokenizer");
  states_.resize(prompts.size());
  if (tokenizer)
    for (State &state : states_)
      state.decoder.emplace(*tokenizer);
}

Proceed GenerationOutput::beforeStep() {
  return stream_.isClosed() || SignalScope::wasInterrupted() ? Proceed::Stop : Proceed::Continue;
}

/// Prints what stands before the current request's continuation, once.
Status GenerationOutput::begin() {
  if (hasBegun_)
    return Status::ok();
  hasBegun_ = true;
  std::string text;
  if (options_.form == OutputForm::Sections)
    text = std::string(current_ > 0 ? "\n" : "") + "=== prompt " + std::to_string(current_ + 1) +
           " ===\n";
  if (options_.echoesPrompt && options_.form != OutputForm::TokenIds)
    text += prompts_[current_].text;
  return stream_.write(text);
}

Status GenerationOutput::onLogits(size_t request, std::span<const float> row) {
  if (!logits_)
    return Status::ok();
  if (request == current_)
    return logits_->append(row);
  std::vector<float> &rows = states_[request].rows;
  rows.insert(rows.end(), row.begin(), row.end());
  return Status::ok();
}

Status GenerationOutput::onToken(size_t request, const GeneratedToken &token) {
  State &state = states_[request];
  if (options_.form == OutputForm::TokenIds)
    state.text += (state.hasTokens ? "," : "") + std::to_string(token.token);
  else
    state.text += state.decoder->add(token.token);
  state.hasTokens = true;
  if (request != current_)
    return Status::ok();
  LLMIR_RETURN_IF_ERROR(begin());
  LLMIR_RETURN_IF_ERROR(stream_.write(state.text));
  state.text.clear();
  return Status::ok();
}

Status GenerationOutput::onFinish(size_t request, FinishReason) {
  State &state = states_[request];
  state.hasEnded = true;
  if (options_.form != OutputForm::TokenIds)
    state.text += state.decoder->flush();
  state.text += '\n';
  while (current_ < states_.size()) {
    State &first = states_[current_];
    LLMIR_RETURN_IF_ERROR(begin());
    LLMIR_RETURN_IF_ERROR(stream_.write(first.text));
    first.text = std::string();
    if (logits_ && !first.rows.empty())
      LLMIR_RETURN_IF_ERROR(logits_->append(first.rows));
    first.rows = std::vector<float>();
    if (!first.hasEnded)
      break;
    ++current_;
    hasBegun_ = false;
  }
  return Status::ok();
}

} // namespace llmir
