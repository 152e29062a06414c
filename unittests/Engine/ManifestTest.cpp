// Manifest: round trip, and one message for each way in which a field can be wrong.

#include "FakeArtifact.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

using namespace llmir;
using Json = nlohmann::json;

namespace {

Json goodJson() { return Json::parse(formatManifest(llmir::testing::makeManifest(128))); }

std::string messageOf(const Json &json) {
  StatusOr<Manifest> manifest = parseManifest(json.dump());
  return manifest ? std::string("ok") : manifest.status().message();
}

} // namespace

TEST(ManifestTest, ReadsWhatItWrites) {
  Manifest written = llmir::testing::makeManifest(128);
  written.targetFeatures = {"avx2", "fma"};
  written.name = "Größe \"x\"";
  StatusOr<Manifest> read = parseManifest(formatManifest(written));
  ASSERT_TRUE(read.isOk()) << read.status().message();
  EXPECT_EQ(formatManifest(*read), formatManifest(written));
  EXPECT_EQ(read->targetFeatures, written.targetFeatures);
  EXPECT_EQ(read->options.at("kv"), "f16");
  EXPECT_EQ(read->caches[0].numKVHeads, 3);
  EXPECT_EQ(read->workspace.bytes(2, 3, 1, 4), 10 + 200 + 21 + 5 + 12);
}

TEST(ManifestTest, KnowsItsRank) {
  Manifest written = llmir::testing::makeManifest(128);
  EXPECT_FALSE(Json::parse(formatManifest(written)).contains("world"));
  written.rank = 1;
  written.worldSize = 2;
  StatusOr<Manifest> read = parseManifest(formatManifest(written));
  ASSERT_TRUE(read.isOk()) << read.status().message();
  EXPECT_EQ(read->rank, 1);
  EXPECT_EQ(read->worldSize, 2);
  Json json = goodJson();
  json["world"] = {{"rank", 2}, {"size", 2}};
  EXPECT_EQ(messageOf(json), "expected 'world.rank' to be below 'world.size', but got 2 of 2");
}

TEST(ManifestTest, ReadsEveryFieldOfACache) {
  Manifest written = llmir::testing::makeManifest(128);
  written.caches.push_back({.keyType = ElementType::I8,
                            .valueType = ElementType::I4,
                            .numLayers = 2,
                            .numKVHeads = 3,
                            .keyHeadDim = 8,
                            .valueHeadDim = 16,
                            .blockSize = 16,
                            .maxSeqLen = 64,
                            .arrangement = CacheArrangement::TokenMajorKeys,
                            .keyScales = ScaleGranularity::Token,
                            .valueScales = ScaleGranularity::Group,
                            .scaleType = ElementType::BF16,
                            .valueScaleGroup = 4,
                            .window = 32,
                            .numSinks = 4});
  StatusOr<Manifest> read = parseManifest(formatManifest(written));
  ASSERT_TRUE(read.isOk()) << read.status().message();
  EXPECT_EQ(formatManifest(*read), formatManifest(written));
  for (size_t i = 0; i < 2; ++i) {
    Status same =
        checkSameLayout(*makeCacheLayout(read->caches[i]), *makeCacheLayout(written.caches[i]));
    EXPECT_TRUE(same.isOk()) << same.message();
  }
  // A cache that stores what it is given is written as before these fields.
  EXPECT_EQ(Json::parse(formatManifest(written))["caches"][0].size(), 8u);
}

TEST(ManifestTest, IgnoresFieldsThatItDoesNotKnow) {
  Json json = goodJson();
  json["later"] = {{"a", 1}};
  EXPECT_EQ(messageOf(json), "ok");
}

TEST(ManifestTest, NamesEachMissingField) {
  const Json good = goodJson();
  for (const auto &[name, value] : good.items()) {
    Json json = goodJson();
    json.erase(name);
    EXPECT_EQ(messageOf(json), "missing field '" + name + "'");
  }
  for (const char *object : {"target", "workspace", "weights"})
    for (const auto &[name, value] : good[object].items()) {
      Json json = goodJson();
      json[object].erase(name);
      EXPECT_EQ(messageOf(json), "missing field '" + std::string(object) + "." + name + "'");
    }
  for (const auto &[name, value] : good["caches"][0].items()) {
    Json json = goodJson();
    json["caches"][0].erase(name);
    EXPECT_EQ(messageOf(json), "missing field 'caches[0]." + name + "'");
  }
}

TEST(ManifestTest, NamesFieldsOfTheWrongKind) {
  auto withChange = [](auto change) {
    Json json = goodJson();
    change(json);
    return messageOf(json);
  };
  EXPECT_EQ(withChange([](Json &j) { j["name"] = 3; }),
            "expected 'name' to be a string, but got 3");
  EXPECT_EQ(withChange([](Json &j) { j["vocabulary_size"] = 0; }),
            "expected 'vocabulary_size' to be an integer of at least 1, but got 0");
  EXPECT_EQ(withChange([](Json &j) { j["bytes_per_token"] = 1.5; }),
            "expected 'bytes_per_token' to be an integer of at least 0, but got 1.5");
  EXPECT_EQ(
      withChange([](Json &j) { j["weights"]["bytes"] = 18446744073709551615ull; }),
      "expected 'weights.bytes' to be an integer of at least 0, but got 18446744073709551615");
  EXPECT_EQ(withChange([](Json &j) { j["target"] = Json::array(); }),
            "expected 'target' to be an object, but got []");
  EXPECT_EQ(withChange([](Json &j) { j["target"]["features"] = {"avx2", 2}; }),
            "expected 'target.features[1]' to be a string, but got 2");
  EXPECT_EQ(withChange([](Json &j) { j["options"]["kv"] = true; }),
            "expected 'options.kv' to be a string, but got true");
  EXPECT_EQ(withChange([](Json &j) { j["caches"] = "none"; }),
            "expected 'caches' to be an array, but got \"none\"");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0] = 1; }),
            "expected 'caches[0]' to be an object, but got 1");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0]["key_type"] = "f8"; }),
            "'caches[0].key_type': expected element type f32, f16, bf16, f8E4M3FN, "
            "f8E5M2, i8 or i4, but got 'f8'");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0]["key_scales"] = "row"; }),
            "'caches[0].key_scales': expected scale granularity none, tensor, head, token or "
            "group, but got 'row'");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0]["window"] = -1; }),
            "expected 'caches[0].window' to be an integer of at least 0, but got -1");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0]["key_scales"] = "token"; }),
            "'caches[0]': expected no 'key_scales' with 'key_type' f16, which is stored as it is, "
            "but got token");
  EXPECT_EQ(withChange([](Json &j) { j["caches"][0]["num_layers"] = 1 << 30; }),
            "'caches[0]': expected 'num_layers' to be 1 to 1048576, but got 1073741824");
  EXPECT_EQ(withChange([](Json &j) { j["format"] = 2; }),
            "expected manifest format 1, but got 2; compile the model with this version");
}

TEST(ManifestTest, RefusesWhatIsNotJSON) {
  EXPECT_EQ(parseManifest("{\"format\": 1").status().message(),
            "the manifest of 12 bytes is not JSON");
  EXPECT_EQ(parseManifest("[]").status().message(),
            "expected the manifest to be an object, but got []");
  EXPECT_FALSE(parseManifest("").isOk());
  EXPECT_FALSE(parseManifest(std::string(100000, '[')).isOk());
}
