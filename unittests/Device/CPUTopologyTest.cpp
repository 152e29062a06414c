// Which CPUs workers take, on machines that are folders of text files.

#include "llmir/Device/CPUTopology.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

using namespace llmir;

namespace {

using CPUs = std::vector<int>;

/// A folder like /sys/devices/system.
class FakeMachine : public ::testing::Test {
protected:
  FakeMachine() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cpusXXXXXX").string();
    root = mkdtemp(pattern.data());
  }
  ~FakeMachine() override { std::filesystem::remove_all(root); }

  void write(const std::string &path, const std::string &text) const {
    std::filesystem::path file = root / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  void addNode(int node, const std::string &cpus) const {
    write("node/node" + std::to_string(node) + "/cpulist", cpus);
  }
  void addCore(const std::string &cpus) const {
    for (int cpu : parseCPUList(cpus))
      write("cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", cpus);
  }
  CPUs choose(const CPUs &available, int32_t workers) const {
    return chooseCPUs(available, CPUTopology::read(root.string()), workers);
  }
  static CPUs upTo(int count) {
    CPUs cpus(static_cast<size_t>(count));
    std::iota(cpus.begin(), cpus.end(), 0);
    return cpus;
  }

  std::filesystem::path root;
};

/// Two nodes of two cores of two threads; the second threads' numbers follow all cores', as on
/// most x86 servers.
class TwoNodes : public FakeMachine {
protected:
  TwoNodes() {
    addNode(0, "0-1,4-5");
    addNode(1, "2-3,6-7");
    write("node/has_cpu", "0-1");
    write("cpu/cpufreq/boost", "1");
    for (const char *core : {"0,4", "1,5", "2,6", "3,7"})
      addCore(core);
  }
};

} // namespace

TEST(CPUListTest, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(parseCPUList("0"), CPUs{0});
  EXPECT_EQ(parseCPUList("0-2,5,7-8"), (CPUs{0, 1, 2, 5, 7, 8}));
  for (const char *text : {"", "a", "3-1", "-1", "1-", "1,,2", "0-99999999"})
    EXPECT_EQ(parseCPUList(text), CPUs{}) << text;
}

TEST_F(TwoNodes, ReadsNodesAndCores) {
  CPUTopology topology = CPUTopology::read(root.string());
  EXPECT_EQ(topology.nodeOf(5), 0);
  EXPECT_EQ(topology.nodeOf(6), 1);
  EXPECT_EQ(topology.coreOf(6), 2);
  EXPECT_EQ(topology.coreOf(3), 3);
}

TEST_F(TwoNodes, SpreadsWorkersOverNodesAndCores) {
  EXPECT_EQ(choose(upTo(8), 1), (CPUs{0}));
  EXPECT_EQ(choose(upTo(8), 2), (CPUs{0, 2}));
  EXPECT_EQ(choose(upTo(8), 3), (CPUs{0, 1, 2}));
  EXPECT_EQ(choose(upTo(8), 4), (CPUs{0, 1, 2, 3}));
  EXPECT_EQ(choose(upTo(8), 6), (CPUs{0, 1, 4, 2, 3, 6}));
  EXPECT_EQ(choose(upTo(8), 8), (CPUs{0, 1, 4, 5, 2, 3, 6, 7}));
  // No CPU twice, whatever is asked for.
  EXPECT_EQ(choose(upTo(8), 100).size(), 8u);
}

TEST_F(TwoNodes, TakesOnlyWhatIsAvailable) {
  // The first node has one core left, both of whose threads are there.
  EXPECT_EQ(choose({1, 2, 3, 5, 6, 7}, 3), (CPUs{1, 2, 3}));
  EXPECT_EQ(choose({1, 5}, 2), (CPUs{1, 5}));
  EXPECT_EQ(choose({4, 5}, 2), (CPUs{4, 5}));
  EXPECT_EQ(choose({}, 2), CPUs{});
}

TEST_F(FakeMachine, NodesOfDifferentSizesGetDifferentShares) {
  addNode(0, "0-1");
  addNode(3, "2-7");
  EXPECT_EQ(choose(upTo(8), 4), (CPUs{0, 2, 3, 4}));
}

TEST_F(FakeMachine, WithoutFoldersEveryCPUIsACore) {
  EXPECT_EQ(choose({3, 4, 9}, 2), (CPUs{3, 4}));
}
