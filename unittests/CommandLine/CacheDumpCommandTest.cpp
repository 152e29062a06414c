// `llmir run --dump-cache`: who had which block when the pool was fullest, also of a run that waits
// for blocks and of one that is refused for lack of them.

#include "CommandLineFixture.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;

namespace {
class CacheDumpCommandTest : public ::testing::Test {
protected:
  void SetUp() override {
    char path[] = "/tmp/llmir-dump-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  CommandResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"run", model_.path()});
    return runCommand(std::move(arguments));
  }
  static std::string contentOf(const std::string &path) {
    std::ostringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
  }

  TemporaryFile model_{makeFakeLanguageArtifact(LLMIR_FAKE_LANGUAGE)};
  std::string folder_;
};
} // namespace

TEST_F(CacheDumpCommandTest, HoldsTheFullestMoment) {
  // 5, 4 and 6 tokens are fed back or given: 2, 1 and 2 blocks of 4, all at once.
  TemporaryFile ids("5,6\n7\n8,9,10\n");
  std::vector<std::string> arguments = {"--tokens", "@" + ids.path(), "-n",
                                        "4",        "--print-tokens", "--ignore-eos"};
  CommandResult without = run(arguments);
  std::string file = folder_ + "/pool.json";
  arguments.insert(arguments.end(), {"--kv-blocks", "5", "--dump-cache", file});
  CommandResult result = run(arguments);
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  EXPECT_EQ(result.output, without.output);
  auto json = nlohmann::json::parse(contentOf(file));
  EXPECT_EQ(json["kind"], "cache dump");
  EXPECT_THAT(json["source"].get<std::string>(), HasSubstr("live pool at its fullest, in step "));
  EXPECT_EQ(json["pool"]["free"], 0);
  EXPECT_EQ(json["pool"]["of_one_sequence"], 5);
  ASSERT_EQ(json["sequences"].size(), 3u);
  EXPECT_EQ(json["sequences"][0]["length"], 5);
  EXPECT_EQ(json["sequences"][1]["length"], 4);
  EXPECT_EQ(json["sequences"][2]["length"], 6);
  EXPECT_EQ(json["blocks"][4]["age"], 0);

  CommandResult text = runCommand({"inspect", "cache", file});
  EXPECT_EQ(text.exitCode, 0) << text.errors;
  EXPECT_THAT(text.output, HasSubstr("age of blocks in use"));
}

TEST_F(CacheDumpCommandTest, ShowsWhoHasTheBlocksThatOthersWaitFor) {
  // 9 tokens of context are 3 blocks: one request at a time.
  TemporaryFile ids("5\n7\n");
  std::string file = folder_ + "/pool.svg";
  CommandResult result = run({"--tokens", "@" + ids.path(), "-n", "9", "--print-tokens",
                              "--ignore-eos", "--kv-blocks", "4", "--dump-cache", file});
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  std::string svg = contentOf(file);
  EXPECT_THAT(svg, HasSubstr("<svg xmlns"));
  EXPECT_THAT(svg, HasSubstr("75.0 % of 4 blocks in use"));
  EXPECT_THAT(svg, HasSubstr("0: 9 tokens, 3 blocks"));
}

TEST_F(CacheDumpCommandTest, IsWrittenWhenARequestIsRefused) {
  std::string file = folder_ + "/pool.json";
  CommandResult result =
      run({"--tokens", "1,2,3,4,5", "-n", "20", "--kv-blocks", "2", "--dump-cache", file});
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_THAT(result.errors, HasSubstr("block pool exhausted"));
  auto json = nlohmann::json::parse(contentOf(file));
  EXPECT_EQ(json["source"], "live pool, never used");
  EXPECT_EQ(json["pool"]["free"], 2);
}

TEST_F(CacheDumpCommandTest, HasTheTreeOfAPrefixCache) {
  TemporaryFile ids("1,2,3,4,5,6,7,8,20\n1,2,3,4,5,6,7,8,30\n1,2,3,4,40\n");
  std::string file = folder_ + "/pool.json";
  std::vector<std::string> arguments = {"--tokens",       "@" + ids.path(), "-n",          "6",
                                        "--print-tokens", "--ignore-eos",   "--stats=json"};
  CommandResult without = run(arguments);
  EXPECT_FALSE(nlohmann::json::parse(without.errors).contains("cached_tokens"));
  arguments.insert(arguments.end(), {"--prefix-cache", "--dump-cache", file});
  CommandResult result = run(arguments);
  ASSERT_EQ(result.exitCode, 0) << result.errors;
  EXPECT_EQ(result.output, without.output);
  auto stats = nlohmann::json::parse(result.errors);
  EXPECT_EQ(stats["cached_tokens"], 8 + 4);
  EXPECT_EQ(stats["prompt_tokens"], 9 + 1 + 1);
  auto json = nlohmann::json::parse(contentOf(file));
  EXPECT_GT(json["pool"]["shared"], 0);
  EXPECT_EQ(json["tree"].size(), 2u);
  EXPECT_EQ(json["statistics"]["tokens_matched"], 8 + 4);
}

TEST_F(CacheDumpCommandTest, SaysWhyItCannotBeWritten) {
  CommandResult result = run({"--tokens", "1", "-n", "1", "--print-tokens", "--dump-cache",
                              folder_ + "/missing/pool.json"});
  EXPECT_EQ(result.exitCode, 1);
  EXPECT_THAT(result.errors, HasSubstr("missing/pool.json"));
  TemporaryFile text("ab");
  CommandResult perplexity =
      run({"--perplexity", text.path(), "--dump-cache", folder_ + "/pool.json"});
  EXPECT_EQ(perplexity.exitCode, 2);
  EXPECT_THAT(perplexity.errors, HasSubstr("--dump-cache do not go with it"));
  EXPECT_THAT(run({"--perplexity", text.path(), "--prefix-cache"}).errors,
              HasSubstr("--prefix-cache does not go with it"));
}
