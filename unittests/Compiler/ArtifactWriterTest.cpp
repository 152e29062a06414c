// A written artifact has its sections, a manifest that the runtime reads, and the right hashes; a
// failure leaves nothing.

#include "llmir/Compiler/ArtifactWriter.h"
#include "../ModelFiles/GGUFBuilder.h"
#include "CompilerTestSupport.h"
#include "llmir/Compiler/Fingerprint.h"
#include "llmir/Compiler/InterruptGuard.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Engine/LoadedModel.h"
#include <gmock/gmock.h>

using namespace mlir;
using namespace mlir::llm;
using ::llmir::GGUFFile;
using ::llmir::LoadedModel;
using ::llmir::LoadOptions;

namespace {

class ArtifactWriterTest : public testing::Test {
protected:
  void SetUp() override {
    linkEmptyModel(folder.path("model.so"));
    ::llmir::GGUFBuilder builder;
    builder.string("general.architecture", "llama");
    builder.tensor("w", static_cast<uint32_t>(::llmir::GGUFType::F32), {20, 3},
                   std::vector<uint8_t>(240, 0x3f));
    bytes = builder.build();
    auto parsed = GGUFFile::parse(bytes, "test.gguf");
    ASSERT_TRUE(parsed.isOk()) << parsed.status().message();
    file.emplace(*std::move(parsed));
    context.loadDialect<LLMDialect>();
    module = parseSourceString<ModuleOp>("llm.weight @w offset(0) : tensor<3x20xf32>", &context);
    ASSERT_TRUE(module);
    auto packer = WeightPacker::create(*module, *file);
    ASSERT_TRUE(packer.isOk()) << packer.status().message();
    weights.emplace(*std::move(packer));
  }

  ArtifactContent makeContent() const {
    ArtifactContent content;
    content.manifest.abiVersion = 2;
    content.manifest.compiler = "test";
    content.manifest.name = "tiny";
    content.manifest.architecture = "llama";
    content.manifest.fingerprint = std::string(64, '0');
    content.manifest.targetTriple = TargetDescription::forHost().triple;
    content.manifest.vocabularySize = 3;
    content.manifest.maxSequenceLength = 8;
    content.manifest.caches = {
        {::llmir::ElementType::F16, ::llmir::ElementType::F16, 1, 1, 8, 8, 16, 16}};
    content.tokenizer = file->copyMetadata();
    content.weights = &*weights;
    return content;
  }

  TestFolder folder;
  std::vector<uint8_t> bytes;
  std::optional<GGUFFile> file;
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::optional<WeightPacker> weights;
};

} // namespace

TEST_F(ArtifactWriterTest, WritesWhatTheRuntimeLoads) {
  std::string path = folder.path("model.llmir");
  ::llmir::Status status =
      writeArtifact(folder.path("model.so"), makeContent(), {path}, WeightPackingOptions());
  ASSERT_TRUE(status.isOk()) << status.message();
  LoadOptions options;
  options.weightCheck = ::llmir::WeightCheck::Verify;
  auto model = LoadedModel::open(path, options);
  ASSERT_TRUE(model.isOk()) << model.status().message();
  EXPECT_EQ((*model)->manifest().name, "tiny");
  EXPECT_EQ((*model)->manifest().weightBytes, weights->totalBytes());
  auto tokenizer = GGUFFile::parse((*model)->tokenizer(), "tokenizer");
  ASSERT_TRUE(tokenizer.isOk()) << tokenizer.status().message();
  EXPECT_EQ(*tokenizer->getString("general.architecture"), "llama");
  EXPECT_THAT(folder.list(), testing::UnorderedElementsAre("model.so", "model.llmir"));
}

TEST_F(ArtifactWriterTest, AnInterruptLeavesNothing) {
  InterruptGuard guard;
  ::raise(SIGINT);
  ::llmir::Status status = writeArtifact(folder.path("model.so"), makeContent(),
                                         {folder.path("model.llmir")}, WeightPackingOptions());
  EXPECT_EQ(status.message(), "interrupted by signal 2");
  EXPECT_THAT(folder.list(), testing::ElementsAre("model.so"));
}

TEST_F(ArtifactWriterTest, AFullDiskIsOneClearError) {
  ::llmir::Status status =
      writeArtifact(folder.path("model.so"), makeContent(), {"/dev/full"}, WeightPackingOptions());
  EXPECT_FALSE(status.isOk());
  EXPECT_THAT(status.message(), testing::StartsWith("/dev/full: "));
}

TEST_F(ArtifactWriterTest, FingerprintsDependOnEveryPart) {
  auto base = computeFingerprint(*file, {"a", "b"});
  ASSERT_TRUE(base.isOk()) << base.status().message();
  EXPECT_EQ(base->size(), 64u);
  EXPECT_EQ(*base, *computeFingerprint(*file, {"a", "b"}));
  EXPECT_NE(*base, *computeFingerprint(*file, {"ab", ""}));
  std::vector<uint8_t> changed = bytes;
  changed.back() ^= 1;
  auto other = GGUFFile::parse(changed, "test.gguf");
  ASSERT_TRUE(other.isOk());
  EXPECT_NE(*base, *computeFingerprint(*other, {"a", "b"}));
}
