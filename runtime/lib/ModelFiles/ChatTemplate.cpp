// Implements ChatTemplate: lexer, parser and interpreter in sequence.

#include "llmir/ModelFiles/ChatTemplate.h"

#include "ChatTemplate/Interpreter.h"
#include "ChatTemplate/Lexer.h"
#include "ChatTemplate/Parser.h"

namespace llmir {

ChatTemplate::ChatTemplate(std::unique_ptr<const chat::Program> program)
    : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

StatusOr<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  StatusOr<std::vector<chat::Token>> tokens = chat::Lexer(source).run();
  if (!tokens)
    return tokens.status().withContext("chat template");
  StatusOr<chat::Program> program = chat::Parser(*std::move(tokens)).parse();
  if (!program)
    return program.status().withContext("chat template");
  return ChatTemplate(std::make_unique<const chat::Program>(*std::move(program)));
}

StatusOr<std::string> ChatTemplate::render(std::span<const ChatMessage> messages,
                                           const ChatTemplateOptions &options) const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ChatMessage &message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return renderJSON(list, options);
}

StatusOr<std::string> ChatTemplate::renderJSON(const nlohmann::ordered_json &messages,
                                               const ChatTemplateOptions &options) const {
  if (!messages.is_array())
    return invalidArgument(std::string("chat template: expected an array of messages, but got ") +
                           messages.type_name());
  chat::Scope variables;
  variables["messages"] = chat::Value::fromJSON(messages);
  variables["add_generation_prompt"] = chat::Value::boolean(options.addGenerationPrompt);
  variables["bos_token"] = chat::Value::string(options.bosToken);
  variables["eos_token"] = chat::Value::string(options.eosToken);
  variables["tools"] = chat::Value::fromJSON(options.tools);
  if (options.variables.is_object())
    for (const auto &[name, value] : options.variables.items())
      variables[name] = chat::Value::fromJSON(value);
  StatusOr<std::string> text = chat::Interpreter(std::move(variables)).run(*program_);
  if (!text)
    return text.status().withContext("chat template");
  return text;
}

} // namespace llmir
