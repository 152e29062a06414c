// `llmir inspect cache` on a manifest, a folder of checkpoints and a dump: text, JSON, pictures,
// and files that are none of them.

#include "CommandLineFixture.h"

#include "llmir/Cache/CacheDump.h"
#include "llmir/Cache/CheckpointManager.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {
class InspectCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    char path[] = "/tmp/llmir-inspect-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder_ = path;
    PagedKVCache cache(2, 1, 8, 4, 64, ElementType::F16, 8);
    CacheStepTables tables;
    AppendRequest request{SequenceId{5}, 6};
    ASSERT_TRUE(cache.reserve({&request, 1}, tables).isOk());
    ASSERT_TRUE(cache.fork(SequenceId{5}, SequenceId{6}).isOk());
    CheckpointManager manager(folder_, {.model = "model-1"});
    ASSERT_TRUE(manager.createCheckpoint(cache, "first").isOk());
    dump_ = toJson(*dumpCache(cache));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string manifest() const { return folder_ + "/000000000001.manifest"; }
  static CommandResult inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"inspect", "cache"});
    return runCommand(std::move(arguments));
  }

  std::string folder_, dump_;
};
} // namespace

TEST_F(InspectCacheTest, ShowsACheckpoint) {
  CommandResult text = inspect({manifest()});
  EXPECT_EQ(text.exitCode, 0) << text.errors;
  for (const char *expected :
       {"checkpoint 'first'", "model-1", "2 layers, 1 KV heads, keys 8 x f16", "blocks of 4 tokens",
        "6 tokens, 2 blocks, 2 of them shared"})
    EXPECT_THAT(text.output, HasSubstr(expected));
  auto json = nlohmann::json::parse(inspect({manifest(), "--json"}).output);
  EXPECT_EQ(json["kind"], "checkpoint");
  EXPECT_EQ(json["name"], "first");
  EXPECT_EQ(json["packs"], nlohmann::json({1}));
  EXPECT_EQ(json["cache"]["pool"]["shared"], 2);
  EXPECT_EQ(json["cache"]["sequences"][1]["id"], 6);
}

TEST_F(InspectCacheTest, ShowsAFolder) {
  for (const std::string &path : {folder_, folder_ + "/catalog"}) {
    CommandResult text = inspect({path});
    EXPECT_EQ(text.exitCode, 0) << text.errors;
    EXPECT_THAT(text.output, HasSubstr("catalog of 1 checkpoints"));
    EXPECT_THAT(text.output, HasSubstr("first"));
  }
  auto json = nlohmann::json::parse(inspect({folder_, "--json"}).output);
  EXPECT_EQ(json["checkpoints"][0]["name"], "first");
}

TEST_F(InspectCacheTest, ShowsADump) {
  TemporaryFile file(dump_);
  CommandResult text = inspect({file.path()});
  EXPECT_EQ(text.exitCode, 0) << text.errors;
  EXPECT_THAT(text.output, HasSubstr("live pool"));
  EXPECT_THAT(text.output, HasSubstr("6 (75.0 %)"));
  EXPECT_THAT(text.output, HasSubstr("median 1, oldest 1 allocations; 0 of 2 held"));
  EXPECT_THAT(text.output, Not(HasSubstr("oldest own"))) << "all blocks have two owners";
  EXPECT_EQ(inspect({file.path(), "--json"}).output, dump_);
}

TEST_F(InspectCacheTest, Draws) {
  std::string picture = folder_ + "/pool.svg";
  TemporaryFile file(dump_);
  for (const std::string &path : {manifest(), file.path()}) {
    CommandResult result = inspect({path, "--svg", picture});
    EXPECT_EQ(result.exitCode, 0) << result.errors;
    std::ostringstream content;
    content << std::ifstream(picture).rdbuf();
    EXPECT_THAT(content.str(), HasSubstr("<svg xmlns"));
    EXPECT_THAT(content.str(), HasSubstr("5: 6 tokens, 2 blocks"));
  }
  CommandResult catalog = inspect({folder_, "--svg", picture});
  EXPECT_EQ(catalog.exitCode, 1);
  EXPECT_THAT(catalog.errors, HasSubstr("--svg needs a checkpoint or a dump"));
}

TEST_F(InspectCacheTest, RefusesOtherFiles) {
  TemporaryFile other("hello"), json("{\"a\": 1}");
  EXPECT_THAT(inspect({other.path()}).errors, HasSubstr("the file starts like none"));
  EXPECT_THAT(inspect({json.path()}).errors, HasSubstr("expected 'kind'"));
  EXPECT_THAT(inspect({folder_ + "/000000000001.pages"}).errors, HasSubstr("these are pages"));
  std::filesystem::resize_file(manifest(), 100);
  CommandResult damaged = inspect({manifest()});
  EXPECT_EQ(damaged.exitCode, 1);
  EXPECT_THAT(damaged.errors, HasSubstr(manifest()));
  EXPECT_EQ(inspect({}).exitCode, 2);
  EXPECT_EQ(runCommand({"inspect"}).exitCode, 2);
}
