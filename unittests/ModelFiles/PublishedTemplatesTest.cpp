// Chat templates as published with their models; the expected texts were rendered by Python's
// jinja2.

#include "llmir/ModelFiles/ChatTemplate.h"

#include "TestData.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

namespace llmir {
namespace {

/// The template of SmolLM2-135M-Instruct.
constexpr const char *smolTemplate =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

std::string renderOrError(const std::string &source, const nlohmann::ordered_json &messages,
                          const ChatTemplateOptions &options) {
  StatusOr<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed)
    return parsed.status().message();
  StatusOr<std::string> text = parsed->renderJSON(messages, options);
  return text ? *text : text.status().message();
}

TEST(PublishedTemplatesTest, SmolLM2) {
  StatusOr<ChatTemplate> parsed = ChatTemplate::parse(smolTemplate);
  ASSERT_TRUE(parsed.isOk()) << parsed.status().message();
  const ChatMessage question[] = {{"user", "What is 2 + 2?"}};
  EXPECT_EQ(*parsed->render(question),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n");
  const ChatMessage turns[] = {{"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Hello!"}};
  ChatTemplateOptions closed;
  closed.addGenerationPrompt = false;
  EXPECT_EQ(*parsed->render(turns, closed),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello!<|im_end|>\n");
}

/// A template of the shared data and what it makes of one conversation.
struct Published {
  const char *file;
  const char *expected;
};

const Published published[] = {
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja",
     "<s><|im_start|>system\n"
     "You are a function calling AI model. You are provided with function signatures within "
     "<tools></tools> XML tags. You may call one or more functions to assist with the user query. "
     "Don't make assumptions about what values to plug into functions. Here are the available "
     "tools: <tools>  </tools>Use the following pydantic model json schema for each tool call you "
     "will make: {\"properties\": {\"name\": {\"title\": \"Name\", \"type\": \"string\"}, "
     "\"arguments\": {\"title\": \"Arguments\", \"type\": \"object\"}}, \"required\": [\"name\", "
     "\"arguments\"], \"title\": \"FunctionCall\", \"type\": \"object\"}}\n"
     "For each function call return a json object with function name and arguments within "
     "<tool_call></tool_call> XML tags as follows:\n"
     "<tool_call>\n"
     "{\"name\": <function-name>, \"arguments\": <args-dict>}\n"
     "</tool_call><|im_end|>\n"
     "<|im_start|>system\n"
     "Be brief.<|im_end|>\n"
     "<|im_start|>user\n"
     "Hi<|im_end|>\n"
     "<|im_start|>assistant\n"
     "Hello!<|im_end|>\n"
     "<|im_start|>user\n"
     " Weather? <|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"Qwen-Qwen2.5-7B-Instruct.jinja", "<|im_start|>system\n"
                                       "Be brief.<|im_end|>\n"
                                       "<|im_start|>user\n"
                                       "Hi<|im_end|>\n"
                                       "<|im_start|>assistant\n"
                                       "Hello!<|im_end|>\n"
                                       "<|im_start|>user\n"
                                       " Weather? <|im_end|>\n"
                                       "<|im_start|>assistant\n"},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
     "<s>Be brief.<｜User｜>Hi<｜Assistant｜>Hello!<｜end▁of▁sentence｜><｜User｜> Weather? "
     "<｜Assistant｜><think>\n"},
    {"google-gemma-2-2b-it.jinja", "<s><start_of_turn>user\n"
                                   "Hi<end_of_turn>\n"
                                   "<start_of_turn>model\n"
                                   "Hello!<end_of_turn>\n"
                                   "<start_of_turn>user\n"
                                   "Weather?<end_of_turn>\n"
                                   "<start_of_turn>model\n"},
    {"meta-llama-Llama-3.1-8B-Instruct.jinja",
     "<s><|start_header_id|>system<|end_header_id|>\n"
     "\n"
     "Cutting Knowledge Date: December 2023\n"
     "Today Date: 1 Jan 2025\n"
     "\n"
     "Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
     "\n"
     "Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
     "\n"
     "Hello!<|eot_id|><|start_header_id|>user<|end_header_id|>\n"
     "\n"
     "Weather?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
     "\n"},
    {"microsoft-Phi-3.5-mini-instruct.jinja", "<|system|>\n"
                                              "Be brief.<|end|>\n"
                                              "<|user|>\n"
                                              "Hi<|end|>\n"
                                              "<|assistant|>\n"
                                              "Hello!<|end|>\n"
                                              "<|user|>\n"
                                              " Weather? <|end|>\n"
                                              "<|assistant|>\n"},
    {"mistralai-Mistral-Nemo-Instruct-2407.jinja", "<s>[INST]Hi[/INST]Hello!</s>[INST]Be brief.\n"
                                                   "\n"
                                                   " Weather? [/INST]"},
};

std::string readTemplate(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class PublishedTemplateTest : public testing::TestWithParam<Published> {};

TEST_P(PublishedTemplateTest, RendersAsJinjaDoes) {
  std::string path = sharedDataPath(std::string("templates/") + GetParam().file);
  std::string source = readTemplate(path);
  if (source.empty())
    GTEST_SKIP() << path << " is not there";
  nlohmann::ordered_json messages = {{{"role", "system"}, {"content", "Be brief."}},
                                     {{"role", "user"}, {"content", "Hi"}},
                                     {{"role", "assistant"}, {"content", "Hello!"}},
                                     {{"role", "user"}, {"content", " Weather? "}}};
  ChatTemplateOptions options;
  options.bosToken = "<s>";
  options.eosToken = "</s>";
  options.variables = {{"date_string", "1 Jan 2025"}};
  std::string file = GetParam().file;
  if (file.starts_with("google-gemma")) {
    EXPECT_EQ(renderOrError(source, messages, options),
              "chat template: line 1: the chat template refuses the conversation: System role not "
              "supported");
    messages.erase(messages.begin());
  }
  if (file.starts_with("NousResearch"))
    options.tools = nlohmann::ordered_json::array();
  EXPECT_EQ(renderOrError(source, messages, options), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(Shared, PublishedTemplateTest, testing::ValuesIn(published),
                         [](const auto &info) {
                           std::string name;
                           for (char c : std::string(info.param.file))
                             if (std::isalnum(static_cast<unsigned char>(c)))
                               name += c;
                           return name;
                         });

TEST(PublishedTemplatesTest, QwenWithTools) {
  std::string path = sharedDataPath("templates/Qwen-Qwen2.5-7B-Instruct.jinja");
  std::string source = readTemplate(path);
  if (source.empty())
    GTEST_SKIP() << path << " is not there";
  ChatTemplateOptions options;
  options.tools = nlohmann::ordered_json::parse(
      R"([{"type": "function", "function": {"name": "get_weather", "parameters": {}}}])");
  auto messages = nlohmann::ordered_json::parse(R"([{"role": "user", "content": "weather?"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdefghi", "type": "function",
       "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": [1, 2.5, true, null]}}}]},
      {"role": "tool", "content": "sunny"}])");
  EXPECT_EQ(
      renderOrError(source, messages, options),
      "<|im_start|>system\n"
      "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.\n"
      "\n"
      "# Tools\n"
      "\n"
      "You may call one or more functions to assist with the user query.\n"
      "\n"
      "You are provided with function signatures within <tools></tools> XML tags:\n"
      "<tools>\n"
      "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"parameters\": {}}}\n"
      "</tools>\n"
      "\n"
      "For each function call, return a json object with function name and arguments within "
      "<tool_call></tool_call> XML tags:\n"
      "<tool_call>\n"
      "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n"
      "</tool_call><|im_end|>\n"
      "<|im_start|>user\n"
      "weather?<|im_end|>\n"
      "<|im_start|>assistant\n"
      "<tool_call>\n"
      "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\", \"days\": [1, 2.5, true, "
      "null]}}\n"
      "</tool_call><|im_end|>\n"
      "<|im_start|>user\n"
      "<tool_response>\n"
      "sunny\n"
      "</tool_response><|im_end|>\n"
      "<|im_start|>assistant\n");
}

} // namespace
} // namespace llmir
