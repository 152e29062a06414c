// ObjectCache: what is added is found again; what is damaged, missing or cannot be written is a
// miss and never an error.

#include "llmir/Target/CPU/ObjectCache.h"

#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace mlir::llm;

namespace {

class ObjectCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    llvm::SmallString<128> path;
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("llmir-objects", path));
    root = path.str().str();
  }
  void TearDown() override { llvm::sys::fs::remove_directories(root); }

  /// The names in the folder.
  std::set<std::string> files(const std::string &folder) const {
    std::set<std::string> names;
    std::error_code error;
    for (llvm::sys::fs::directory_iterator entry(folder, error), end; entry != end && !error;
         entry.increment(error))
      names.insert(entry->path());
    return names;
  }

  std::string root;
};

TEST_F(ObjectCacheTest, FindsWhatWasAdded) {
  auto cache = ObjectCache::open(root + "/a/b");
  ASSERT_TRUE(cache.isOk()) << cache.status().message();
  std::string key = ObjectCache::computeKey({"target", "code"});
  EXPECT_FALSE(cache->find(key));
  std::string object("\0\1object\xff", 9);
  cache->add(key, object);
  cache->add(ObjectCache::computeKey({"empty"}), "");
  EXPECT_EQ(files(root + "/a/b").size(), 2u); // Nothing else is left there.
  auto found = ObjectCache::open(root + "/a/b")->find(key);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->str().str(), object);
  EXPECT_EQ(cache->find(ObjectCache::computeKey({"empty"}))->str(), "");
  cache->add(key, "another");
  EXPECT_EQ(cache->find(key)->str(), "another");
}

TEST_F(ObjectCacheTest, KeysTellPartsApart) {
  std::set<std::string> keys = {
      ObjectCache::computeKey({}),          ObjectCache::computeKey({""}),
      ObjectCache::computeKey({"ab", "c"}), ObjectCache::computeKey({"a", "bc"}),
      ObjectCache::computeKey({"abc"}),     ObjectCache::computeKey({"abc", ""})};
  EXPECT_EQ(keys.size(), 6u);
  for (const std::string &key : keys)
    EXPECT_EQ(key.size(), 64u);
}

TEST_F(ObjectCacheTest, DamageIsAMiss) {
  auto cache = ObjectCache::open(root);
  ASSERT_TRUE(cache.isOk());
  std::string key = ObjectCache::computeKey({"code"}), object(1000, 'x');
  cache->add(key, object);
  std::string path = *files(root).begin();
  std::string content;
  {
    std::ifstream file(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
  }
  auto write = [&](const std::string &bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  for (size_t at : {size_t(0), size_t(9), size_t(16), content.size() - 1}) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    write(damaged);
    EXPECT_FALSE(cache->find(key)) << "byte " << at;
  }
  for (size_t size : {size_t(0), size_t(8), size_t(15), size_t(16), content.size() - 1}) {
    write(content.substr(0, size));
    EXPECT_FALSE(cache->find(key)) << size << " bytes";
  }
  write(content);
  EXPECT_TRUE(cache->find(key));
}

TEST_F(ObjectCacheTest, AFileInItsPlaceIsAnError) {
  std::string path = root + "/file";
  std::ofstream(path) << "x";
  auto cache = ObjectCache::open(path);
  ASSERT_FALSE(cache.isOk());
  EXPECT_NE(cache.status().message().find(path), std::string::npos);
}

TEST_F(ObjectCacheTest, AFolderThatVanishesIsAMiss) {
  auto cache = ObjectCache::open(root + "/gone");
  ASSERT_TRUE(cache.isOk());
  llvm::sys::fs::remove_directories(root + "/gone");
  std::string key = ObjectCache::computeKey({"code"});
  cache->add(key, "object");
  cache->prune();
  EXPECT_FALSE(cache->find(key));
}

TEST_F(ObjectCacheTest, ManyWritersAgree) {
  auto cache = ObjectCache::open(root);
  ASSERT_TRUE(cache.isOk());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        std::string number = std::to_string(i % 5), key = ObjectCache::computeKey({number});
        cache->add(key, std::string(100, number[0]));
        if (auto found = cache->find(key))
          EXPECT_EQ(found->str().str(), std::string(100, number[0]));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(files(root).size(), 5u);
}

} // namespace
