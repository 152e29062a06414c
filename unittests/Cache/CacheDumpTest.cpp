// CacheDump: a live pool and a checkpoint as JSON (against expected text), back, and as a picture
// that is well-formed XML.

#include "llmir/Cache/CacheDump.h"

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"
#include "llmir/Cache/PrefixTreeCheckpoint.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace llmir;
using testing::HasSubstr;

namespace {

/// Ok when `text` is one XML element with matching tags, quoted attributes and known entities.
Status checkXml(std::string_view text) {
  std::vector<std::string> open;
  size_t elements = 0;
  auto fail = [&](const std::string &what, size_t at) {
    return dataLoss(what + " at " + std::to_string(at) + ": " + std::string(text.substr(at, 60)));
  };
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 32 && text[at] != '\n')
      return fail("control character", at);
    if (text[at] == '&') {
      size_t end = text.find(';', at);
      std::string_view name = text.substr(at + 1, end - at - 1);
      if (name != "amp" && name != "lt" && name != "gt" && name != "quot")
        return fail("unknown entity", at);
    }
    if (text[at] != '<') {
      ++at;
      continue;
    }
    size_t end = at + 1;
    for (bool isQuoted = false; end < text.size() && (isQuoted || text[end] != '>'); ++end) {
      if (text[end] == '<')
        return fail("unescaped <", end);
      isQuoted ^= text[end] == '"';
    }
    if (end == text.size())
      return fail("open tag", at);
    std::string_view tag = text.substr(at + 1, end - at - 1);
    if (tag.starts_with("/")) {
      if (open.empty() || open.back() != tag.substr(1))
        return fail("unexpected end", at);
      open.pop_back();
    } else if (!tag.starts_with("?")) {
      if (open.empty() && ++elements > 1)
        return fail("second root", at);
      if (!tag.ends_with("/"))
        open.emplace_back(tag.substr(0, tag.find(' ')));
    }
    at = end + 1;
  }
  return open.empty() && elements == 1 ? Status::ok() : dataLoss("unclosed elements");
}

size_t count(std::string_view text, std::string_view part) {
  size_t result = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++result;
  return result;
}

/// A pool of 8 blocks: sequence 1 and its fork 2, a prefix in the tree, one block held by a reader.
class CacheDumpTest : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_OK(appendTokens(cache, 1, 6, 1));
    ASSERT_OK(cache.fork(SequenceId{1}, SequenceId{2}));
    ASSERT_OK(appendTokens(cache, 2, 3, 2));
    ASSERT_OK(tree.insert(std::vector<int32_t>{1, 2, 3, 4}, *cache.blocks(SequenceId{1})).status());
    ASSERT_EQ(tree.match(std::vector<int32_t>{1, 2, 3, 4, 5}).length, 4);
    ASSERT_OK(appendTokens(cache, 3, 1, 3));
    ASSERT_OK(tree.insert(std::vector<int32_t>{9, 9, 9, 9}, *cache.blocks(SequenceId{3})).status());
    ASSERT_OK(cache.freeSequence(SequenceId{3}));
    reader = *cache.allocateBlock();
  }
  void TearDown() override { EXPECT_OK(cache.releaseBlock(reader)); }

  PagedKVCache cache = SmallCache::make(8);
  PrefixTree tree{cache};
  BlockId reader;
};

TEST_F(CacheDumpTest, JsonOfALivePool) {
  StatusOr<CacheDump> dump = dumpCache(cache, &tree);
  ASSERT_OK(dump.status());
  for (CacheDump::TreeNode &node : dump->tree)
    node.key = node.key.substr(0, 4);
  std::string first = dump->tree[0].key, second = dump->tree[1].key;
  EXPECT_EQ(
      toJson(*dump),
      R"({"kind":"cache dump","format":1,"source":"live pool","layout":{"key_type":"f32",)"
      R"("value_type":"f32","num_layers":2,"num_kv_heads":2,"key_head_dim":64,)"
      R"("value_head_dim":64,"block_size":4,"max_seq_len":64,"block_bytes":8192},)"
      R"("pool":{"blocks":8,"free":2,"of_one_sequence":3,"shared":1,"of_tree_alone":1,)"
      R"("of_others":1,"slack_tokens":5},"blocks":[)"
      R"({"owners":3,"sequences":[1,2],"tree":true,"age":5},)"
      R"({"owners":1,"sequences":[1],"tree":false,"age":4},)"
      R"({"owners":1,"sequences":[2],"tree":false,"age":3},)"
      R"({"owners":1,"sequences":[2],"tree":false,"age":2},)"
      R"({"owners":1,"sequences":[],"tree":true,"age":1},)"
      R"({"owners":1,"sequences":[],"tree":false,"age":0},)"
      R"({"free_order":0},{"free_order":1}],)"
      R"("sequences":[{"id":1,"length":6,"blocks":[0,1]},{"id":2,"length":9,"blocks":[0,2,3]}],)"
      R"("tree":[{"key":")" +
          first + R"(","parent":null,"tokens":4,"block":0,"priority":50,"pins":0,"last_use":)" +
          std::to_string(dump->tree[0].lastUse) + R"(},{"key":")" + second +
          R"(","parent":null,"tokens":4,"block":4,"priority":50,"pins":0,"last_use":)" +
          std::to_string(dump->tree[1].lastUse) +
          R"(}],"statistics":{"matches":1,"tokens_asked":5,"tokens_matched":4,)"
          R"("blocks_inserted":2,"blocks_evicted":0,"pages_written":0,"pages_read":0}})"
          "\n");
}

TEST_F(CacheDumpTest, JsonComesBack) {
  std::string text = toJson(*dumpCache(cache, &tree));
  StatusOr<CacheDump> dump = parseCacheDump(text);
  ASSERT_OK(dump.status());
  EXPECT_EQ(toJson(*dump), text);
  EXPECT_EQ(toSvg(*dump), toSvg(*dumpCache(cache, &tree)));
}

TEST_F(CacheDumpTest, RefusesOtherJson) {
  EXPECT_EQ(parseCacheDump("").status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(parseCacheDump("[1]").status().message(), "cache dump: expected an object in the dump");
  auto refuse = [&](const std::string &pointer, nlohmann::json value, const char *message) {
    nlohmann::json json = nlohmann::json::parse(toJson(*dumpCache(cache, &tree)));
    json[nlohmann::json::json_pointer(pointer)] = std::move(value);
    StatusOr<CacheDump> dump = parseCacheDump(json.dump());
    EXPECT_THAT(dump.status().message(), HasSubstr(message));
  };
  refuse("/format", 2, "expected format 1, but got 2");
  refuse("/kind", "other", "'kind'");
  refuse("/blocks", 3, "'blocks' to be a list in the dump");
  refuse("/blocks/2/owners", -1, "'owners' to be 0 to 2147483647 in block 2");
  refuse("/sequences/1/blocks/0", 8, "'blocks' to have integers of 0 to 7 in sequence 1");
  refuse("/blocks/2/age", -3, "'age' to be 0 to");
  refuse("/tree/1/parent", 1, "'parent' to be 0 to 0 in tree node 1");
  refuse("/tree/0/block", "x", "'block' to be");
  refuse("/statistics/matches", nullptr, "'matches'");
}

TEST_F(CacheDumpTest, PictureOfALivePool) {
  std::string svg = toSvg(*dumpCache(cache, &tree));
  EXPECT_OK(checkXml(svg));
  EXPECT_THAT(svg, HasSubstr("live pool: 75.0 % of 8 blocks in use"));
  EXPECT_THAT(svg, HasSubstr("block 0: 3 owners: sequence 1, 2, prefix tree, age 5"));
  EXPECT_THAT(svg, HasSubstr("<title>block 0: age 5</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>block 6: free</title>"));
  // Ages 0 and 1, 2 and 3, 4 and 5 of a pool of 8.
  EXPECT_THAT(svg, HasSubstr("<title>less than 1/4 turn, tree alone: 1</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>1/4 to 1/2, one sequence: 2</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>1/2 to 1 turn, shared: 1</title>"));
  EXPECT_THAT(svg, HasSubstr("median age 3, oldest 5; held for a turn or longer: 0 of 6 blocks"));
  EXPECT_THAT(svg, HasSubstr("block 6: free, number 1 to be handed out"));
  EXPECT_THAT(svg, HasSubstr("2: 9 tokens, 3 blocks, oldest own: age 3"));
  EXPECT_THAT(svg, HasSubstr("hit rate 80.0 %: 4 of 5 tokens in 1 look-ups"));
}

TEST_F(CacheDumpTest, AgesCountAllocations) {
  // All of the pool is handed out and given back once.
  for (int i = 0; i < 8; ++i)
    ASSERT_OK(cache.releaseBlock(*cache.allocateBlock()));
  StatusOr<CacheDump> dump = dumpCache(cache, &tree);
  ASSERT_OK(dump.status());
  std::vector<std::optional<int64_t>> ages;
  for (const CacheDump::Block &block : dump->blocks)
    ages.push_back(block.age);
  EXPECT_EQ(ages, (std::vector<std::optional<int64_t>>{13, 12, 11, 10, 9, 8, {}, {}}));
  std::optional<CacheDump::Ages> summary = dump->ages();
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->median, 11);
  EXPECT_EQ(summary->oldest, 13);
  EXPECT_EQ(summary->blocks, 6);
  EXPECT_EQ(summary->pastOneTurn, 6);
  EXPECT_EQ(dump->oldestBlock(dump->sequences[0]), 12) << "block 0 is another's too";
  EXPECT_FALSE(CacheDump().ages().has_value());
  const int64_t bounds[] = {0, 25, 50, 100, 200, 400};
  for (size_t step = 0; step < 6; ++step) {
    EXPECT_EQ(CacheDump::ageStep(bounds[step], 100), step);
    EXPECT_EQ(CacheDump::ageStep(
                  bounds[step] + (step == 5 ? 1 << 30 : bounds[step + 1] - 1 - bounds[step]), 100),
              step);
  }
}

TEST_F(CacheDumpTest, PictureOfACheckpoint) {
  FaultyFileSystem files;
  CheckpointManager manager("f", {}, files);
  PrefixTreeCheckpoint saved(tree);
  ASSERT_OK(manager.createCheckpoint(cache, "a<&\">b", &saved));
  CacheDump dump = dumpCheckpoint(*manager.readManifest("a<&\">b"));
  std::string svg = toSvg(dump);
  EXPECT_OK(checkXml(svg));
  EXPECT_THAT(svg, HasSubstr("a&lt;&amp;&quot;&gt;b: 100.0 % of 5 blocks in use"));
  EXPECT_THAT(svg, Not(HasSubstr("for how long"))) << "a checkpoint knows no ages";
  EXPECT_EQ(dump.counts().shared, 1);
  EXPECT_EQ(dump.counts().ofTreeAlone, 1);
}

TEST(CacheDumpPictureTest, LargePoolsAndTreesStaySmall) {
  CacheDump dump;
  dump.source = "large";
  dump.layout.blockSize = 16;
  dump.blocks.resize(100000);
  for (int32_t i = 0; i < 1000; ++i) {
    CacheDump::Sequence sequence{i, 800, {}};
    for (int32_t b = 0; b < 50; ++b) {
      sequence.blocks.push_back(i * 50 + b);
      dump.blocks[static_cast<size_t>(i * 50 + b)] = {{i}, false, 1, std::nullopt, i + b};
    }
    dump.sequences.push_back(std::move(sequence));
  }
  for (int64_t i = 0; i < 50000; ++i)
    dump.blocks[static_cast<size_t>(50000 + i)].freeOrder = i;
  // A prefix of 5,000 blocks, and 500 that branch off its start.
  for (int64_t i = 0; i < 5500; ++i) {
    CacheDump::TreeNode node;
    node.key = std::to_string(i);
    if (i > 0)
      node.parent = i < 5000 ? i - 1 : 0;
    node.tokens = 16;
    node.block = static_cast<int32_t>(i);
    node.lastUse = static_cast<uint64_t>(i);
    dump.tree.push_back(std::move(node));
  }
  std::string svg = toSvg(dump);
  EXPECT_OK(checkXml(svg));
  EXPECT_LT(svg.size(), 2u << 20);
  EXPECT_THAT(svg, HasSubstr("and 453 prefixes used less recently"));
  EXPECT_THAT(svg, HasSubstr("and 960 smaller ones"));
  EXPECT_GT(count(svg, "<rect"), 1000u);
}

TEST(CacheDumpPictureTest, AnEmptyPool) {
  PagedKVCache cache = SmallCache::make(1);
  std::string svg = toSvg(*dumpCache(cache));
  EXPECT_OK(checkXml(svg));
  EXPECT_THAT(svg, HasSubstr("0.0 % of 1 blocks"));
  EXPECT_OK(checkXml(toSvg(CacheDump())));
}

} // namespace
