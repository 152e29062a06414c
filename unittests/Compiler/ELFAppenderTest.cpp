// Appended sections are found by name, aligned and whole, and the shared object still loads.

#include "llmir/Compiler/ELFAppender.h"
#include "CompilerTestSupport.h"
#include "llmir/Engine/ELFSections.h"
#include <dlfcn.h>
#include <gmock/gmock.h>

using namespace mlir::llm;
using ::llmir::AtomicFile;
using ::llmir::ELFSections;
using ::llmir::MappedFile;

static std::span<const uint8_t> asBytes(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

TEST(ELFAppenderTest, AppendsSectionsToASharedObjectThatStillLoads) {
  TestFolder folder;
  linkEmptyModel(folder.path("model.so"));
  auto linked = MappedFile::open(folder.path("model.so"));
  ASSERT_TRUE(linked.isOk());
  auto output = AtomicFile::create(folder.path("model.llmir"));
  ASSERT_TRUE(output.isOk());
  auto appender = ELFAppender::create(*output, linked->bytes());
  ASSERT_TRUE(appender.isOk()) << appender.status().message();
  std::string big(100003, 'w');
  ASSERT_TRUE(appender->beginSection(".llmir.weights", 4096).isOk());
  ASSERT_TRUE(appender->write(asBytes(big)).isOk());
  ASSERT_TRUE(appender->write(asBytes("tail")).isOk());
  EXPECT_EQ(appender->sectionSize(), big.size() + 4);
  ASSERT_TRUE(appender->beginSection(".llmir.manifest", 64).isOk());
  ASSERT_TRUE(appender->write(asBytes("{}")).isOk());
  ASSERT_TRUE(appender->finish().isOk());
  ASSERT_TRUE(output->commit().isOk());

  auto file = MappedFile::open(folder.path("model.llmir"));
  ASSERT_TRUE(file.isOk());
  auto sections = ELFSections::read(file->bytes());
  ASSERT_TRUE(sections.isOk()) << sections.status().message();
  auto before = ELFSections::read(linked->bytes());
  ASSERT_TRUE(before.isOk());
  EXPECT_EQ(sections->sections().size(), before->sections().size() + 2);
  auto text = sections->find(".text");
  ASSERT_TRUE(text.isOk());
  EXPECT_EQ(text->offset, before->find(".text")->offset);
  auto weights = sections->find(".llmir.weights");
  ASSERT_TRUE(weights.isOk()) << weights.status().message();
  EXPECT_EQ(weights->offset % 4096, 0u);
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(file->bytes().data()) + weights->offset,
                        weights->size),
            big + "tail");
  auto manifest = sections->find(".llmir.manifest");
  ASSERT_TRUE(manifest.isOk());
  EXPECT_EQ(manifest->offset % 64, 0u);
  EXPECT_EQ(manifest->size, 2u);

  void *library = ::dlopen(folder.path("model.llmir").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << ::dlerror();
  auto *version = static_cast<const uint32_t *>(::dlsym(library, "llmir_model_abi_version"));
  ASSERT_NE(version, nullptr);
  EXPECT_EQ(*version, 2u);
  auto step = reinterpret_cast<void (*)(void *, int, int)>(::dlsym(library, "llmir_model_step"));
  ASSERT_NE(step, nullptr);
  step(nullptr, 0, 1);
  EXPECT_EQ(::dlsym(library, "helper"), nullptr) << "only the model's two symbols are exported";
  ::dlclose(library);
}

TEST(ELFAppenderTest, RefusesWhatIsNotAnELFFile) {
  TestFolder folder;
  auto output = AtomicFile::create(folder.path("out"));
  ASSERT_TRUE(output.isOk());
  auto empty = ELFAppender::create(*output, {});
  EXPECT_EQ(empty.status().message(), "expected an ELF file of at least 64 bytes, but got 0");
  std::string noise(200, 'x');
  auto wrong = ELFAppender::create(*output, asBytes(noise));
  EXPECT_EQ(wrong.status().message(), "expected a 64-bit little-endian ELF file");
}

TEST(ELFAppenderTest, RefusesDamagedHeaders) {
  TestFolder folder;
  linkEmptyModel(folder.path("model.so"));
  auto linked = MappedFile::open(folder.path("model.so"));
  ASSERT_TRUE(linked.isOk());
  std::vector<uint8_t> bytes(linked->bytes().begin(), linked->bytes().end());
  auto output = AtomicFile::create(folder.path("out"));
  ASSERT_TRUE(output.isOk());
  auto message = [&](size_t offset, uint16_t value) {
    std::vector<uint8_t> copy = bytes;
    std::memcpy(copy.data() + offset, &value, sizeof(value));
    return ELFAppender::create(*output, copy).status().message();
  };
  EXPECT_THAT(message(offsetof(llvm::ELF::Elf64_Ehdr, e_shnum), 0xff00),
              testing::HasSubstr("e_shnum 65280"));
  EXPECT_THAT(message(offsetof(llvm::ELF::Elf64_Ehdr, e_shstrndx), 0xfff0),
              testing::HasSubstr("expected e_shstrndx below"));
  bytes.resize(bytes.size() - 8);
  EXPECT_THAT(ELFAppender::create(*output, bytes).status().message(),
              testing::HasSubstr("expected an ELF file with a section table"));
}
